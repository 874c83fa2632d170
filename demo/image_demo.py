"""`ssod predict` with the images first, as MMDetection's demo has them.

python demo/image_demo.py IMAGES CONFIG CHECKPOINT --out DIR
"""

from ssod.cli import predict, run_command


def main() -> None:
    """Detect on the images of the command line."""
    predict(images_first=True)


if __name__ == '__main__':
    run_command(main)
