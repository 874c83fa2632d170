"""Pages written when the site is built: every command's options, every setting's keys."""

import contextlib
import inspect
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from unittest import mock

from sphinx.application import Sphinx

from ssod import cli
from ssod.apis.overrides import SETTINGS
from ssod.core.ema import EMA
from ssod.core.task import TASKS
from ssod.core.teacher_student import SemiTestCfg, TeacherStudent, TeacherStudentCfg

# MMDetection's or mmcv's own settings, and ours, each in a sentence.
MEANINGS = Path(__file__).parent / 'settings.md'


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect('builder-inited', lambda app: write_pages(Path(app.srcdir) / 'docs/reference'))
    return dict(parallel_read_safe=True, parallel_write_safe=True)


def write_pages(folder: Path) -> None:
    """Write ``commands.md`` and ``settings.md``; a page that stays the same keeps its time."""
    folder.mkdir(exist_ok=True)
    for name, text in (('commands.md', commands_page()), ('settings.md', settings_page())):
        path = folder / name
        if not path.exists() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')


def commands_page() -> str:
    """The ``--help`` of every command."""
    parts = ['# Commands', 'What `ssod COMMAND --help` says. `tools/*.py` of the same name take the same options.']
    for name, command in cli.COMMANDS.items():
        parts += [f'## ssod {name}', f'```text\n{help_of(command, f"ssod {name}")}```']
    return '\n\n'.join(parts) + '\n'


def help_of(command: Callable[..., None], prog: str) -> str:
    """What a command prints for ``--help``, 100 columns wide."""
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
        mock.patch.dict(os.environ, COLUMNS='100', NO_COLOR='1'),
    ):
        command(['--help'], prog)
    return out.getvalue()


def settings_page() -> str:
    """The top-level settings, and the keys of each method's ``semi_train_cfg`` and ``semi_test_cfg``."""
    known = dict(re.findall(r'^- `(\w+)`: (.+)$', MEANINGS.read_text(encoding='utf-8'), flags=re.MULTILINE))
    if SETTINGS != known.keys():
        raise ValueError(f'{MEANINGS} lacks {sorted(SETTINGS - known.keys())}, knows {sorted(known.keys() - SETTINGS)}')
    rows = [f'| `{name}` | {meaning} |' for name, meaning in sorted(known.items())]
    parts = ['# Settings', '## At the top of a config', '\n'.join(['| setting | what it does |', '|---|---|', *rows])]
    parts += ['## Every `semi_train_cfg`', table(TeacherStudentCfg), '## Every `semi_test_cfg`', table(SemiTestCfg)]
    parts += ['## Every `semi_train_cfg.ema`', table(EMA)]
    for name, method in methods():
        if method.Settings is not TeacherStudentCfg:
            parts += [f'## `semi_train_cfg` of {name}', table(method.Settings, TeacherStudentCfg)]
        if method.TestSettings is not SemiTestCfg:
            parts += [f'## `semi_test_cfg` of {name}', table(method.TestSettings, SemiTestCfg)]
    return '\n\n'.join(parts) + '\n'


def methods() -> list[tuple[str, type[TeacherStudent]]]:
    """This package's models that have a teacher, by the name that a config's ``type`` has for them."""
    named = {
        name: kind
        for task in TASKS.values()
        for name, kind in task.models.module_dict.items()
        if inspect.isclass(kind) and issubclass(kind, TeacherStudent)
    }
    return sorted(named.items())


def table(kind: type, base: type | None = None) -> str:
    """The keys of a dataclass that ``base`` has not: type, default, and what the docstrings say of each."""
    meanings = dict(pair for one in reversed(kind.__mro__) for pair in attributes_of(one))
    known = {field.name: field.default for field in fields(base)} if base else {}
    rows = [
        f'| `{field.name}` | {cell(type_of(field))} | {cell(default_of(field))} | {meanings[field.name]} |'
        for field in fields(kind)
        if field.name not in known or field.default != known[field.name]
    ]
    return '\n'.join(['| key | type | default | what it does |', '|---|---|---|---|', *rows])


def attributes_of(kind: type) -> Iterator[tuple[str, str]]:
    """Name and meaning of each entry of a docstring's ``Attributes`` section, in Markdown."""
    found = re.search(r'^Attributes:\n((?:    .*\n|\n)*)', inspect.cleandoc(kind.__doc__ or '') + '\n', re.MULTILINE)
    section = found[1] if found else ''
    for entry in re.split(r'\n(?=    \w)', section):
        names, _, meaning = entry.strip().partition(': ')
        meaning = re.sub(r':\w+:`~?(?:[\w.]+\.)?(\w+)`', r'`\1`', ' '.join(meaning.split())).replace('``', '`')
        for name in names.split(', '):  # "xi, eps: ..." is said of both
            yield name, meaning.replace('|', '\\|')


def type_of(field: Field) -> str:
    """A field's type as the code has it."""
    return field.type if isinstance(field.type, str) else getattr(field.type, '__name__', str(field.type))


def default_of(field: Field) -> str:
    """A field's default as a config writes it."""
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return 'none: it must be given' if value is MISSING else repr(value)


def cell(text: str) -> str:
    """Code in a table."""
    return f'`{text}`'.replace('|', '\\|')
