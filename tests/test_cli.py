"""The command `ssod`."""

import sys

import pytest
from runs import BASELINE, shell, small, trained_baseline

import ssod
from ssod import cli


def said(monkeypatch, capsys, *argv):
    """The exit status, or the sentence of a refusal, and what was printed."""
    monkeypatch.setattr(sys, 'argv', ['ssod', *map(str, argv)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_help_names_the_commands_and_each_has_its_own(monkeypatch, capsys):
    for argv in ((), ('--help',)):
        status, text = said(monkeypatch, capsys, *argv)
        assert status == 0 and all(f'ssod {name} ' in text for name in cli.COMMANDS)
    for name in cli.COMMANDS:
        status, text = said(monkeypatch, capsys, name, '--help')
        assert status == 0 and text.startswith(f'usage: ssod {name} ')


def test_it_says_its_version(monkeypatch, capsys):
    assert said(monkeypatch, capsys, '--version') == (0, f'ssod {ssod.__version__}\n')


def test_refusals(monkeypatch, capsys):
    known = (
        'new, browse, train, test, predict, pseudo-label, label, import, self-train, compare, report, publish, '
        'export, doctor'
    )
    assert said(monkeypatch, capsys, 'tran')[0] == f"error: no command 'tran': ssod has {known}"
    assert said(monkeypatch, capsys, 'train', 'nowhere.py')[0] == 'error: no config file nowhere.py'
    assert said(monkeypatch, capsys, 'test', BASELINE)[0] == 2


def test_it_does_what_the_tools_do(monkeypatch, capsys, tmp_path):
    checkpoint = trained_baseline() / 'iter_2.pth'
    options = ['--eval', 'bbox', '--work-dir', tmp_path, *small()]
    assert said(monkeypatch, capsys, 'test', BASELINE, checkpoint, *options)[0] == 0
    assert (tmp_path / 'eval.json').exists()


@pytest.mark.parametrize('tool', ['train', 'test', 'pseudo_label', 'publish_model', 'compare'])
def test_tools_are_the_same_commands(tool):
    done = shell(sys.executable, f'tools/{tool}.py', '--help')
    assert done.returncode == 0 and done.stdout.startswith(f'usage: {tool}.py'), done.stdout


def test_it_is_a_module_too():
    done = shell(sys.executable, '-m', 'ssod.cli', '--help')
    assert done.returncode == 0 and done.stdout.startswith('The command `ssod`'), done.stdout
