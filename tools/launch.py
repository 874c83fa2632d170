"""torchrun that leaves the last word to the process that failed: no traceback of its own, and that process's status.

Takes torchrun's arguments.
"""

import logging
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    logging.disable(logging.ERROR)  # of the launcher's own process
    try:
        main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print(f'error: process {rank} was ended by {name} (SIGKILL: out of memory, often)', file=sys.stderr)
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
    except SignalException as stop:
        sys.exit(128 + stop.sigval)
