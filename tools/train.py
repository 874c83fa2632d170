"""Train a detector: `python tools/train.py CONFIG`, or through torchrun (see tools/dist_train.sh)."""

from ssod.cli import run_command
from ssod.cli import train as main

if __name__ == '__main__':
    run_command(main)
