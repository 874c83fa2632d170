"""Every command line of README, pages and configs: the program, its options and files are there; many are run."""

import argparse
import functools
import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from runs import QUICK, ROOT, call_ssod, hook_of, shapes

from ssod import cli
from ssod.apis import load_config
from ssod.core.errors import InputError

PAGES = [
    ROOT / 'README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *(path for room in ('configs', 'projects', 'benchmarks', 'data') for path in sorted((ROOT / room).rglob('*.md'))),
]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
OURS, OTHERS = ('ssod', 'python', 'bash', 'make'), ('cd', 'docker', 'git', 'ln', 'pip', 'source', 'yolo', 'pre-commit')
# Of pages, not of this repository: what `ssod new` and trainings write, and what the reader has.
NOT_HERE = re.compile(r'data/|work_dirs/|[A-Z]')
Words = list[str]


class Caught(Exception):
    """A parser, at the moment when it would have parsed."""


@functools.cache
def parser_of(*program: str) -> argparse.ArgumentParser:
    """The real parser of `ssod NAME`, of `python FILE` or of `python -m MODULE`."""

    def catch(parser, *_):
        raise Caught(parser)

    if program[0] == 'ssod':
        main = functools.partial(cli.COMMANDS[program[1]], [], ' '.join(program))
    elif program[0] == '-m':
        main = importlib.import_module(program[1]).main
    else:
        spec = importlib.util.spec_from_file_location('script', ROOT / program[0])
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        main = script.main
    with mock.patch('argparse.ArgumentParser.parse_args', catch), pytest.raises(Caught) as caught:
        main()
    return caught.value.args[0]


def split(line: str) -> Iterator[Words]:
    """The commands of a line; [what may be left out] is in, `...` and [prose in brackets] are not."""
    line = re.sub(r'\[(?!--)[^\]=]* [^\]]*\]', '', line)
    line = re.sub(r'\[(--[^\]]*)\]', r'\1', line)
    words: Words = []
    for word in [*shlex.split(line, comments=True), '&&']:
        if word == '...':
            continue
        end = word == '&&' or word.endswith(';')
        if word not in ('&&', 'do', 'done', '|'):
            words.append(re.sub(r'\$\w+', '1', word.rstrip(';')))  # the turns of a loop
        if end:
            if words and words[0] != 'for':
                yield words
            words = []


def fenced(text: str) -> Iterator[Words]:
    """The commands of a page's blocks."""
    for kind, block in re.findall(r'^```([^\n]*)\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL):
        if kind not in ('', 'bash'):
            continue
        for line in block.replace('\\\n', ' ').splitlines():
            if kind == 'bash' or line.startswith(OURS):
                yield from split(line)


def inline(text: str) -> Iterator[Words]:
    """The commands within sentences; they may leave out arguments."""
    text = re.sub(r'^```.*?^```$', '', text, flags=re.MULTILINE | re.DOTALL)
    for words in re.findall(r'`((?:ssod|make|bash|python) [^`]+)`', text):
        yield from split(words.replace('\n', ' '))


def in_header(config: Path) -> Iterator[Words]:
    """The commands of a config's lab note."""
    for line in re.findall(r'^#\s+((?:[A-Z]+=\S+ )*(?:ssod|bash|python) .*)$', config.read_text(), flags=re.MULTILINE):
        yield from split(line.split('  ')[0])


def check(words: Words, sandbox: Path, whole: bool = True) -> None:
    """Assert that a command could be called like this."""
    env = dict(word.split('=', 1) for word in words if re.match(r'[A-Z_]+=', word))
    program, *rest = [word for word in words if not re.match(r'[A-Z_]+=', word)]
    for word in rest:
        if re.fullmatch(r'[\w./-]+\.(py|sh)', word) and not NOT_HERE.match(word):
            assert (ROOT / word).is_file(), word
    if program == 'make':
        check_make(rest, env)
    elif program == 'bash' or program.endswith('.sh'):
        check_shell(rest if program == 'bash' else [program, *rest], env, sandbox)
    elif program in ('ssod', 'python'):
        check_python(words_of_program(program, rest), whole)
    else:
        assert program in OTHERS, f'{program}: {words}'


def words_of_program(program: str, rest: Words) -> tuple[tuple[str, ...], Words]:
    """What the parser is of, and what it parses."""
    if program == 'ssod':
        assert rest[0] in (*cli.COMMANDS, 'COMMAND', '--version'), f'ssod {rest[0]}'
        return ('ssod', rest[0]), rest[1:]
    size = 2 if rest[0] == '-m' else 1
    return tuple(rest[:size]), rest[size:]


def check_python(parts: tuple[tuple[str, ...], Words], whole: bool) -> None:
    """By the real parser; settings by the config that is named."""
    program, rest = parts
    if program[-1] in ('COMMAND', '--version', '-c') or program[0] == '-m' and program[1] in ('venv', 'pytest'):
        return
    parser = parser_of(*program)
    if not whole:
        for word in rest:
            assert not word.startswith('--') or word.split('=')[0] in parser._option_string_actions, (program, word)
        return
    with mock.patch.object(parser, 'error', lambda said: pytest.fail(f'{" ".join([*program, *rest])}: {said}')):
        args = parser.parse_args(rest)
    config, options = getattr(args, 'config', None), getattr(args, 'cfg_options', None)
    if options and config and Path(ROOT / config).is_file():
        load_config(str(ROOT / config), options)


def check_make(rest: Words, env: dict[str, str]) -> None:
    """The target, its variables, and what is handed on to the demo."""
    makefile = (ROOT / 'Makefile').read_text()
    assert all(re.search(rf'^{target}:', makefile, flags=re.MULTILINE) for target in rest), rest
    assert all(f'$({name})' in makefile or name == 'SSOD_OPS' for name in env), env
    if 'DEMO_ARGS' in env:
        check_python((('demo/train_demo.py',), env['DEMO_ARGS'].split()), whole=True)


def check_shell(rest: Words, env: dict[str, str], sandbox: Path) -> None:
    """Run a script with programs that only note what they are called with, and check that."""
    script, *rest = rest
    if script.endswith('prepare_coco_data.sh'):  # it downloads; its own tests run it
        assert re.search(rf'^  {rest[0]}  ', (ROOT / script).read_text(), flags=re.MULTILINE), rest
        return
    if script in ('.ci/run', 'tools/slurm_train.sh'):
        return
    rest = [word.lower() + '.py' if word == 'CONFIG' else '1' if word in NUMBERS else word for word in rest]
    for word in rest:
        if word.endswith('.py') and not (sandbox / word).exists():
            teacher = sandbox / Path(word).parent.parent / 'supervised' / Path(word).name
            for path in (sandbox / word, teacher):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    calls = sandbox / 'calls'
    calls.unlink(missing_ok=True)
    env = {**os.environ, 'PATH': f'{sandbox}/bin:{os.environ["PATH"]}', 'CALLS': str(calls), **env}
    done = subprocess.run(['bash', script, *rest], cwd=sandbox, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (script, rest, done.stderr)
    for call_ in calls.read_text().strip().split('\n\n'):
        program, *words = call_.split('\n')
        if words[0].endswith('launch.py'):
            words = words[next(i for i, word in enumerate(words) if i and word.endswith('.py')) :]
        if program == 'python':
            words[0] = str((sandbox / words[0]).resolve().relative_to(ROOT))
        check_python(words_of_program(program, words), whole=True)


NUMBERS = ('FOLD', 'PERCENT', 'GPUS', 'ROUNDS', 'NODES')
NOTE = r"""#!/usr/bin/env bash
printf '%s\n' "${0##*/}" "$@" '' >>"$CALLS"
while [ $# -gt 1 ]; do
    [ "$1" != --work-dir ] || mkdir -p "$2"
    shift
done
"""


@pytest.fixture
def sandbox(tmp_path):
    """Seems to be the repository; `python` and `ssod` note what they are called with."""
    for room in ('configs', 'demo', 'projects', 'tools'):
        (tmp_path / room).symlink_to(ROOT / room)
    (tmp_path / 'bin').mkdir()
    for name in ('python', 'ssod'):
        (tmp_path / 'bin' / name).write_text(NOTE)
        (tmp_path / 'bin' / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page(page, sandbox):
    text = page.read_text(encoding='utf-8')
    for words in fenced(text):
        check(words, sandbox)
    for words in inline(text):
        check(words, sandbox, whole=False)


def test_commands_in_the_configs_headers(sandbox):
    found = {tuple(words) for config in CONFIGS for words in in_header(config)}
    assert len(found) > 80
    for words in sorted(found):
        check(list(words), sandbox)


def test_every_command_of_ssod_is_on_a_page():
    text = '\n'.join(page.read_text(encoding='utf-8') for page in PAGES)
    shown = {words[1] for words in [*fenced(text), *inline(text)] if words[0] == 'ssod'}
    assert set(cli.COMMANDS) <= shown


@pytest.mark.parametrize(
    'line',
    [
        'ssod tran data/cells/soft_teacher.py',
        'ssod test CONFIG CHECKPOINT --eval-by bbox',
        'ssod train',
        'python tools/train.py configs/soft_teacher/gone.py',
        'bash tools/dist_train.sh configs/demo/soft_teacher_r18_shapes.py 2 --cfg-options optimzer.lr=1',
        'bash tools/dist_train_partially.sh semi 1 10',
        'make tests',
        "make demo DEMO_ARGS='--tasks segmentation'",
        'conda activate ssod',
    ],
)
def test_a_wrong_line_is_found(line, sandbox):
    (words,) = split(line)
    with pytest.raises(BaseException) as error:
        check(words, sandbox)
    assert isinstance(error.value, (AssertionError, pytest.fail.Exception, InputError))


# ------------------------------------------------------------------------------------------------------ run as they are

# The pages' own lines, in this order, in a folder where LABELED and FOLDER are images of the tests. Options are added,
# by which a training takes seconds.
STEPS = [
    ('README.md', 'ssod new cells'),
    ('README.md', 'ssod train'),
    ('docs/labels.md', 'ssod browse data/cells/soft_teacher.py --steps'),
    ('docs/labels.md', 'ssod browse data/cells/soft_teacher.py --checkpoint'),
    ('docs/own_data.md', 'ssod test'),
    ('docs/own_data.md', 'ssod predict'),
    ('docs/labels.md', 'ssod label CONFIG CHECKPOINT --images FOLDER --format labelstudio'),
    ('docs/labels.md', 'ssod self-train'),
    ('docs/labels.md', 'ssod import cells corrected.xml'),
    ('docs/report.md', 'ssod report'),
    ('docs/which_checkpoint.md', 'ssod publish'),
]
LEFT_BEHIND = [
    'data/cells/soft_teacher.py', 'work_dirs/cells/soft_teacher/latest.pth', 'work_dirs/cells/soft_teacher/report.html',
    'work_dirs/cells/soft_teacher/browse/index.html', 'work_dirs/cells/soft_teacher/eval.json',
    'work_dirs/cells/found/predictions.json', 'to_correct/tasks.json', 'to_correct/label_next.csv', 'NAME-*.pth',
    'work_dirs/cells/soft_teacher_self_training/latest.pth', 'data/cells/backups/1',
]  # fmt: skip


def expand(word: str) -> list[str]:
    """as a shell does: NAME-*.pth."""
    return sorted(map(str, Path().glob(word))) or [word]


def raw_folders() -> None:
    """LABELED, 16 of the tests' images with labels; FOLDER, 6 others; found.json, what a perfect model finds there."""
    content = json.loads((shapes() / 'annotations/instances_train.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    for part, images in (('FOLDER', content['images'][:6]), ('LABELED', content['images'][6:22])):
        Path(part).mkdir()
        for image in images:
            name = image['file_name']
            image['file_name'] = f'cell_00{name}'
            shutil.copy(shapes() / 'images/train' / name, f'{part}/cell_00{name}')
        own = {image['id']: image['file_name'] for image in images}
        labels = [one for one in content['annotations'] if one['image_id'] in own]
        if part == 'LABELED':
            Path('LABELED/coco.json').write_text(json.dumps({**content, 'images': images, 'annotations': labels}))
            continue
        found = [
            dict(file_name=own[one['image_id']], category=names[one['category_id']], bbox=one['bbox'], score=0.9)
            for one in labels
        ]
        Path('found.json').write_text(json.dumps(found))


def line_of(page: str, start: str) -> Words:
    """A line of a page: the first that begins like this."""
    lines = fenced((ROOT / page).read_text(encoding='utf-8'))
    return next(words for words in lines if ' '.join(words).startswith(start))


def test_the_pages_lines_run_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw_folders()
    for page, start in STEPS:
        words = line_of(page, start)
        stands_for = {'CONFIG': 'data/cells/soft_teacher.py', 'CHECKPOINT': 'work_dirs/cells/soft_teacher/latest.pth'}
        rest = [found for word in words[2:] for found in expand(stands_for.get(word, word).replace('IMAGES', 'FOLDER'))]
        if words[1] == 'import':
            out = ['--format', 'cvat', '--out', 'cvat', '--score-thr', '0', '--images', 'FOLDER']
            call_ssod('label', *stands_for.values(), *out)
            shutil.copy('cvat/annotations.xml', 'corrected.xml')
        if '--cfg-options' in parser_of(*words[:2])._option_string_actions:
            ramp = f'{hook_of("UnsupWeightHook", str(tmp_path / stands_for["CONFIG"]))}.ramp'
            rest += ['--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in {**QUICK, ramp: 0}.items())]
        call_ssod(words[1], *rest)
    assert [path for path in LEFT_BEHIND if not list(Path().glob(path))] == []
