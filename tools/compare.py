"""Do the unlabeled images help? `python tools/compare.py CONFIG --seeds 0 1 2`. See --help."""

from ssod.cli import compare as main
from ssod.cli import run_command

if __name__ == '__main__':
    run_command(main)
