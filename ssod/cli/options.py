"""What the commands' arguments have in common."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssod.apis.config import Options
from ssod.apis.predictor import checkpoint_in
from ssod.compat import init_distributed
from ssod.core.errors import building

Arguments = Sequence[str] | None  # of the command line; None are those of the process


def make_parser(about: str | None, prog: str | None, *positional: str) -> argparse.ArgumentParser:
    """A parser with the arguments that have to be given, and a command's own text as its help."""
    parser = argparse.ArgumentParser(prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_positional(parser, *positional)
    return parser


def add_positional(parser: argparse.ArgumentParser, *names: str) -> None:
    """Arguments that are files and have to be given."""
    for name in names:
        if name == 'checkpoint':
            about = 'checkpoint file, or the work dir of a training, whose best one it is'
            parser.add_argument(name, action=Checkpoint, help=about)
        else:
            parser.add_argument(name, help=f'{name} file')


class Checkpoint(argparse.Action):
    """A checkpoint file; for the work dir of a training its best one."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, value: Any, option_string: str | None = None
    ) -> None:
        """Keep the file's name."""
        setattr(namespace, self.dest, str(checkpoint_in(Path(value))) if Path(value).is_dir() else value)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a model."""
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def join_processes(args: argparse.Namespace) -> bool:
    """Join the other processes of a launcher; returns whether there is one."""
    if args.launcher == 'none':
        return False
    with building('--launcher pytorch'):
        init_distributed()
    return True
