"""What a repository has beside its code: versions that agree, workflows, hooks, templates, an image."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ssod

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / '.github/workflows').glob('*.yml'))
TARGETS = re.search(r'^\.PHONY: (.*)$', (ROOT / 'Makefile').read_text(), re.M).group(1).split()


def steps(workflow: Path) -> list[dict]:
    return [step for job in yaml.safe_load(workflow.read_text())['jobs'].values() for step in job['steps']]


def test_the_version_is_said_alike_everywhere():
    newest = re.search(r'^## (\S+)$', (ROOT / 'docs/changelog.md').read_text(), re.M).group(1)
    assert newest == yaml.safe_load((ROOT / 'CITATION.cff').read_text())['version'] == ssod.__version__


def test_a_built_package_says_that_it_is_typed(tmp_path):
    build = ['egg_info', '--egg-base', tmp_path, 'build_py', '--build-lib', tmp_path / 'lib']
    subprocess.run([sys.executable, 'setup.py', '-q', *build], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / 'lib/ssod/py.typed').is_file() and (tmp_path / 'lib/ssod/cli/__init__.py').is_file()
    assert not (tmp_path / 'lib/tests').exists()


@pytest.mark.parametrize('workflow', WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_is_there(workflow):
    called = '\n'.join(step.get('run', '') for step in steps(workflow))
    made = re.findall(r'\bmake ([\w-]+)$', called, re.M)
    assert made and set(made) <= set(TARGETS)
    for path in re.findall(r'(?:bash|-f|-q) (\S+/\S+)|\b(tests/\S+\.py)', called):
        assert (ROOT / next(filter(None, path))).is_file(), path


def test_the_workflows_cover_three_pythons_and_both_ends_of_torch():
    jobs = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())['jobs']
    project = (ROOT / 'pyproject.toml').read_text()
    named = re.findall(r'Python :: (3\.\d+)', project)
    pythons = jobs['python']['strategy']['matrix']['python']
    assert len(pythons) == 3 and {named[0], named[-1]} < set(pythons) <= set(named)
    oldest = dict(re.findall(r'"(torch|torchvision)>=([\d.]+)"', project))
    pairs = {row['name']: row['pair'] for row in jobs['torch']['strategy']['matrix']['include']}
    assert pairs == {
        'oldest': f'torch=={oldest["torch"]}.0 torchvision=={oldest["torchvision"]}.0',
        'newest': 'torch torchvision',
    }
    assert {'make install', 'make lint', 'make test'} <= {step.get('run') for step in steps(WORKFLOWS[0])}
    weekly = yaml.safe_load((ROOT / '.github/workflows/weekly.yml').read_text())
    assert re.fullmatch(r'\d+ \d+ \* \* \d', weekly[True]['schedule'][0]['cron'])  # YAML reads `on` as true


def test_a_commit_is_checked_as_make_lint_checks():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    lint = (ROOT / 'Makefile').read_text().split('\nlint:')[1].split('\n\n')[0]
    programs = re.findall(r'(?:-m |\)\))?(ruff check|ruff format|codespell|mypy|lint-imports)', lint)
    assert [' '.join(hook['entry'].split()[: 1 + ('ruff' in hook['entry'])]) for hook in hooks] == programs


@pytest.mark.parametrize(
    'form', sorted((ROOT / '.github/ISSUE_TEMPLATE').glob('[!c]*.yml')), ids=lambda path: path.stem
)
def test_issue_forms_are_whole_and_name_pages_that_are_there(form):
    content = yaml.safe_load(form.read_text())
    assert {'name', 'description', 'body'} <= content.keys()
    fields = [part for part in content['body'] if part['type'] != 'markdown']
    assert all(part['attributes']['label'] for part in fields)
    assert len({part['id'] for part in fields}) == len(fields) > 1
    for page in re.findall(r'docs/\w+\.md', form.read_text()):
        assert (ROOT / page).is_file(), page


def test_the_image_copies_no_data_and_installs_as_the_readme_says():
    text = (ROOT / 'docker/Dockerfile').read_text()
    assert 'has not been built' in text and re.search(r'^COPY \. \.$', text, re.M)
    assert re.search(r'PIP_CONSTRAINT=\S+ make install', text)
    ignored = (ROOT / 'docker/Dockerfile.dockerignore').read_text().split()
    assert {'.git', '.venv', 'data', 'work_dirs'} <= set(ignored)
