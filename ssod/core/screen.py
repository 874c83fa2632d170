"""The terminal while something works: bars and figures at its foot, lines of the log above them.

Off a terminal, and on ranks other than 0, nothing of it is shown.
"""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import cache
from typing import Any, TextIO, TypeVar

from mmcv.runner import get_dist_info

from .progress import Progress, follower

T = TypeVar('T')
REFRESH, WRITE = 0.1, 1.0  # seconds between two looks, and between two files


class Screen:
    """What is shown; one at a time, for a terminal has one foot.

    Nothing is drawn from a thread of its own: a loader's worker that is forked meanwhile would inherit its locks. The
    cursor stays visible, for a second Ctrl-C ends the process without a word.

    Attributes:
        rows: how far trainings are, by their label; the label of the training in this process is ''.
    """

    current: 'Screen | None' = None

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self.rows: dict[str, Progress] = {}
        self.console = Console(file=stream, highlight=False)
        columns = ('{task.description}', BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        parts = [TextColumn(one, markup=False) if isinstance(one, str) else one for one in columns]
        self.bars = Bars(*parts, console=self.console, auto_refresh=False)
        self.live = Live(
            get_renderable=self.render,
            console=self.console,
            auto_refresh=False,
            redirect_stderr=sys.stderr.isatty(),  # else it goes to a file
            vertical_overflow='visible',
        )
        self.moved: list[tuple[logging.StreamHandler, TextIO]] = []
        self.drawn = 0.0

    def render(self) -> Any:
        """The foot of the terminal."""
        from rich.console import Group

        from .look import of_run, of_runs

        own = self.rows.get('')
        parts = [of_run(own)] if own else [of_runs(self.rows)] if self.rows else []
        return Group(*parts, *([self.bars] if self.bars.tasks else []))

    def refresh(self, now: bool = False) -> None:
        """Draw again, at most every tenth of a second."""
        if now or time.monotonic() - self.drawn > REFRESH:
            self.drawn = time.monotonic()
            self.live.refresh()

    def say(self, text: str) -> None:
        """A line above."""
        self.console.print(text, markup=False, soft_wrap=True)

    def show(self, label: str, progress: Progress) -> None:
        """How far a training is."""
        self.rows[label] = progress
        self.refresh()

    def start(self) -> None:
        """Take the terminal; whatever is logged or printed from now on appears above."""
        self.before = sys.stdout, sys.stderr
        self.live.start(refresh=False)
        self.console.show_cursor(True)
        for handler in terminal_handlers(self.before[1]):
            self.moved.append((handler, handler.stream))
            handler.stream = sys.stderr
            handler.addFilter(is_no_line_of_iterations)

    def stop(self) -> None:
        """Leave the terminal as it was, the last look above the prompt."""
        self.give_back()
        self.live.stop()

    def give_back(self) -> None:
        """Let the log write to its own streams again."""
        for handler, stream in self.moved:
            handler.stream = stream
            handler.removeFilter(is_no_line_of_iterations)
        self.moved.clear()


def is_no_line_of_iterations(record: logging.LogRecord) -> bool:
    """Whether a record is none of mmcv's ``TextLoggerHook``, whose figures the screen shows; its file has them all."""
    return (record.module, record.funcName) != ('text', '_log_info')


def terminal_handlers(stderr: TextIO) -> list[logging.StreamHandler]:
    """Handlers of all loggers that write to the terminal."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    plain = [handler for handler in handlers if type(handler) is logging.StreamHandler]
    return [handler for handler in plain if handler.stream in (stderr, sys.__stderr__) and stderr.isatty()]


def forget_in_child() -> None:
    """In a forked process: the screen is the parent's."""
    screen, Screen.current = Screen.current, None
    if screen is not None:
        sys.stdout, sys.stderr = screen.before
        screen.give_back()


@cache
def leave_it_to_the_parent() -> None:
    """From now on a forked process, a loader's worker say, does not draw."""
    os.register_at_fork(after_in_child=forget_in_child)


@contextmanager
def screen() -> Iterator[Screen | None]:
    """The screen for a while: the one that is there, or a new one; None off a terminal and on other ranks than 0."""
    if Screen.current is not None:
        yield Screen.current
        return
    if not sys.stdout.isatty() or os.environ.get('TERM') == 'dumb' or get_dist_info()[0] != 0:
        yield None
        return
    leave_it_to_the_parent()
    own = Screen(sys.stdout)
    own.start()
    Screen.current = own
    try:
        yield own
    finally:
        Screen.current = None
        own.stop()


class Work:
    """A piece of work that counts, on the screen and in a file for whoever follows.

    Args:
        what: its name.
        total: how much there is; None if nobody knows.
        own: the screen, if there is one.
    """

    training: Progress | None = None  # that of this process, which an evaluation is a part of
    files: tuple[str, ...] = ()

    def __init__(self, what: str, total: int | None, own: Screen | None) -> None:
        self.screen, self.written, self.done = own, 0.0, 0
        self.progress = Work.training or Progress(what)
        self.what, self.total = what, total
        self.bar = own.bars.add_task(what, total=total) if own else None
        self.paths = Work.files or tuple(follower())
        self.write()

    def advance(self, number: int = 1) -> None:
        """So many more are done."""
        self.done += number
        if self.total is not None:
            self.done = min(self.done, self.total)
        if self.screen and self.bar is not None:
            self.screen.bars.update(self.bar, completed=self.done)
            self.screen.refresh()
        if self.paths and time.monotonic() - self.written > WRITE:
            self.write()

    def write(self) -> None:
        """Write the file, if anybody follows."""
        self.written = time.monotonic()
        if self.paths and get_dist_info()[0] == 0:
            replaced = {**vars(self.progress), 'what': self.what, 'done': self.done, 'total': self.total}
            Progress(**replaced).write(*self.paths)

    def end(self) -> None:
        """Take the bar away."""
        if self.screen and self.bar is not None:
            self.screen.bars.remove_task(self.bar)
            self.screen.refresh(now=True)


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Work]:
    """Show a piece of work.

    Examples:
        >>> with working('counting', 3) as work:
        ...     for number in range(3):
        ...         work.advance()
        >>> work.done
        3
    """
    with screen() as own:
        work = Work(what, total, own)
        try:
            yield work
        finally:
            work.end()


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items, and how many of them are done; ``total`` is their number unless they know it.

    Examples:
        >>> list(track([1, 2], 'counting'))
        [1, 2]
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with working(what, total) as work:
        for item in items:
            yield item
            work.advance()
