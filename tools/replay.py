"""Make a training step again whose losses were not finite: `python tools/replay.py CONFIG nonfinite_iter_N.pth`."""

from ssod.cli import replay as main
from ssod.cli import run_command

if __name__ == '__main__':
    run_command(main)
