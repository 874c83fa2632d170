"""Evaluate a checkpoint: `python tools/test.py CONFIG CHECKPOINT --eval bbox`, or through tools/dist_test.sh."""

from ssod.cli import run_command
from ssod.cli import test as main

if __name__ == '__main__':
    run_command(main)
