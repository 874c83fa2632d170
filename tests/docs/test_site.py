"""The documentation's own code: links between pages, the reference, and the paths of tests that pages name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]


@pytest.fixture(scope='module')
def reference():
    pytest.importorskip('sphinx')
    sys.path.insert(0, str(ROOT / 'docs/site'))
    import reference

    yield reference
    sys.path.remove(str(ROOT / 'docs/site'))


def test_every_setting_at_the_top_of_a_config_is_explained_and_every_key_of_a_method(reference):
    page = reference.settings_page()
    assert '| `base_batch` | the labeled and unlabeled images' in page
    own = page.split('## `semi_train_cfg` of SoftTeacher\n')[1].split('\n## ')[0]
    assert '| `candidate_score_thr` | `float` | `0.5` | class score from which' in own
    assert '| `ema` |' not in own and '| `unsup_weight` |' in own
    assert '## `semi_test_cfg` of CrossPseudoSupervision' in page


def test_every_command_is_in_the_reference_with_its_options(reference):
    page = reference.commands_page()
    from ssod import cli

    assert re.findall(r'^## ssod (.+)$', page, flags=re.MULTILINE) == list(cli.COMMANDS)
    assert page.count('usage: ssod ') == len(cli.COMMANDS) and '--auto-scale' in page


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_tests_and_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding='utf-8')
    for path in re.findall(r'`(tests/[\w/]+\.py)', text):
        assert (ROOT / path).is_file(), path
    for link in re.findall(r'\]\((?!https?:|mailto:|#)([^)\s#]+)', text):
        assert (page.parent / link).exists() or link.startswith('reference/'), link


@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip('sphinx')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '-c', 'docs/site', '-b', 'html', '-d', tmp_path / 'trees']
    done = subprocess.run([*command, '.', tmp_path / 'html'], cwd=ROOT, text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'Two doors' in (tmp_path / 'html/docs/index.html').read_text(encoding='utf-8')
