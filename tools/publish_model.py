"""Make a plain MMDetection model of student or teacher: `python tools/publish_model.py CHECKPOINT --out NAME.pth`."""

from ssod.cli import publish as main
from ssod.cli import run_command

if __name__ == '__main__':
    run_command(main)
