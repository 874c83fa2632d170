"""What a training starts from: the newest whole checkpoint, and never another run's."""

import logging
import os

import pytest
import torch
from mmcv import Config
from mmcv.parallel import MMDataParallel
from mmcv.runner import IterBasedRunner
from torch import nn

from ssod.apis.start import Start, candidates, check_work_dir, latest_whole, restore, seed_of, start_of
from ssod.core.errors import InputError


@pytest.fixture
def cfg(tmp_path):
    return Config(dict(work_dir=str(tmp_path), auto_resume=True, checkpoint_config=dict(interval=4)))


@pytest.fixture
def save(tmp_path):
    """``save(4, 8)``: checkpoints of these iterations, the last the latest."""

    def write(*iterations, name='iter_{}.pth'):
        for i in iterations:
            content = dict(meta=dict(iter=i - 1, epoch=1), state_dict=nn.Linear(2, 3).state_dict())
            torch.save(content, tmp_path / name.format(i))
        (tmp_path / 'latest.pth').unlink(missing_ok=True)
        (tmp_path / 'latest.pth').symlink_to(name.format(i))

    return write


@pytest.fixture
def warned(fake_runner):
    return fake_runner()


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(torch.load(path)['state_dict']['weight'].numpy().tobytes())] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def empty(path):
    path.write_bytes(b'')


def gone(path):
    path.unlink()


def text(path):
    path.write_text('not a checkpoint')


def test_nothing_to_resume(cfg, tmp_path):
    assert start_of(cfg) == Start(None, False)
    cfg.load_from = 'a.pth'
    assert start_of(cfg) == Start('a.pth', False)
    cfg.work_dir = str(tmp_path / 'not_there')
    assert start_of(cfg) == Start('a.pth', False)


def test_the_latest_is_taken_and_what_is_asked_for_comes_first(cfg, save, tmp_path):
    save(4, 8)
    assert start_of(cfg) == Start(str(tmp_path / 'latest.pth'), True)
    cfg.resume_from = 'b.pth'
    assert start_of(cfg) == Start('b.pth', True)


def test_iterations_are_numbers_not_text(cfg, save, tmp_path):
    save(8, 16, 100, 4)
    (tmp_path / 'latest.pth').unlink()
    assert [path.name for path in candidates(cfg)] == ['iter_100.pth', 'iter_16.pth', 'iter_8.pth', 'iter_4.pth']


def test_later_iterations_of_an_older_run_are_not_taken(cfg, save):
    save(100, 4, 8)
    assert [path.name for path in candidates(cfg)] == ['latest.pth', 'iter_4.pth']


@pytest.mark.parametrize('damage', [flip, cut, empty, text])
def test_a_damaged_one_is_named_and_the_one_before_it_taken(cfg, save, tmp_path, warned, damage):
    save(4, 8, 12)
    damage(tmp_path / 'iter_12.pth')
    assert latest_whole(cfg, warned.logger) == str(tmp_path / 'iter_8.pth')
    (message,) = warned.messages
    assert message.startswith(f'--auto-resume: cannot load the checkpoint {tmp_path}/latest.pth: it is ')
    assert message.endswith('; trying the one before it')
    damage(tmp_path / 'iter_8.pth')
    assert latest_whole(cfg, warned.logger) == str(tmp_path / 'iter_4.pth')
    damage(tmp_path / 'iter_4.pth')
    with pytest.raises(InputError, match='every checkpoint in .* is damaged, .*latest.pth the newest: remove them'):
        latest_whole(cfg, warned.logger)


def test_a_dangling_latest_and_files_of_others_do_not_matter(cfg, save, tmp_path, warned):
    save(4, 8)
    gone(tmp_path / 'iter_8.pth')
    assert os.path.islink(tmp_path / 'latest.pth')
    for name in ('resnet50.pth', 'my_model.pth', 'best_teacher_bbox_mAP_iter_900.pth', 'iter_x.pth', 'iter_9.pth.old'):
        text(tmp_path / name)
    assert latest_whole(cfg, warned.logger) == str(tmp_path / 'iter_4.pth') and warned.messages == []
    gone(tmp_path / 'iter_4.pth')
    assert latest_whole(cfg, warned.logger) is None


def test_names_of_the_configs_own(cfg, save, tmp_path, warned):
    cfg.checkpoint_config.filename_tmpl = 'step-{}+.pth'
    save(4, 8, name='step-{}+.pth')
    flip(tmp_path / 'step-8+.pth')
    assert latest_whole(cfg, warned.logger) == str(tmp_path / 'step-4+.pth')


def test_the_warning_is_in_the_log(cfg, save, tmp_path, caplog):
    save(4, 8)
    cut(tmp_path / 'iter_8.pth')
    with caplog.at_level(logging.WARNING):
        logging.getLogger('mmdet').propagate = True
        assert start_of(cfg) == Start(str(tmp_path / 'iter_4.pth'), True)
    assert 'it is damaged' in caplog.text


def test_another_run_in_the_folder_is_not_written_over(cfg, save, tmp_path):
    check_work_dir(cfg, Start())  # an empty folder
    (tmp_path / 'best_x_iter_900.pth').write_text('')
    check_work_dir(cfg, Start('a.pth'))
    save(4, 8)
    sentence = f'{tmp_path} holds the checkpoints of another run, iter_8.pth the last: continue it with --auto-resume'
    for start in (Start(), Start('a.pth'), Start('elsewhere/iter_4.pth', True), Start(str(tmp_path / 'iter_4.pth'))):
        with pytest.raises(InputError) as refused:
            check_work_dir(cfg, start)
        assert str(refused.value) == f'{sentence}, or give another --work-dir'
    for name in ('iter_4.pth', 'latest.pth'):
        check_work_dir(cfg, Start(str(tmp_path / name), True))
        check_work_dir(cfg, Start(os.path.relpath(tmp_path / name), True))


@pytest.fixture
def runner(tmp_path, warned):
    model = nn.Linear(2, 3)
    model.CLASSES = ('a', 'b', 'c')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return IterBasedRunner(
        MMDataParallel(model, device_ids=[]), optimizer=optimizer, work_dir=str(tmp_path), logger=warned.logger,
        meta={}, max_iters=10,
    )  # fmt: skip


def checkpoint(runner, path, **changes):
    runner.model(torch.ones(1, 2)).sum().backward()
    runner.optimizer.step()
    content = dict(
        meta=dict(iter=3, epoch=1, CLASSES=('a', 'b', 'c'), hook_msgs=dict(best_score=0.5), fp16=dict(scale=7.0)),
        state_dict=runner.model.module.state_dict(), optimizer=runner.optimizer.state_dict(),
    )  # fmt: skip
    content['meta'].update(changes.pop('meta', {}))
    content.update(changes)
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return str(path)


def test_a_run_is_taken_up(runner, tmp_path):
    path = checkpoint(runner, tmp_path / 'x.pth')
    weight, momentum = runner.model.module.weight.detach().clone(), runner.optimizer.state_dict()['state']
    runner.model.module.weight.data.zero_()
    runner.optimizer.state.clear()
    restore(runner, Start(path, True))
    assert torch.equal(runner.model.module.weight, weight) and runner.iter == 4
    assert torch.equal(runner.optimizer.state_dict()['state'][0]['momentum_buffer'], momentum[0]['momentum_buffer'])
    assert runner.meta == dict(hook_msgs=dict(best_score=0.5), fp16=dict(scale=7.0))


def test_weights_alone_start_a_run(runner, tmp_path):
    path = checkpoint(runner, tmp_path / 'x.pth')
    runner.optimizer.state.clear()
    restore(runner, Start(path))
    assert runner.iter == 0 and not runner.optimizer.state and 'fp16' not in runner.meta
    restore(runner, Start())
    assert runner.iter == 0


def test_what_cannot_be_taken_up(runner, tmp_path, warned):
    def refused(**changes):
        with pytest.raises(InputError) as error:
            restore(runner, Start(checkpoint(runner, tmp_path / 'x.pth', **changes), True))
        return str(error.value)

    assert 'does not say its iteration, so no run can continue from it: give it as load_from' in refused(
        meta=dict(iter=None)
    )
    assert "was trained for the classes ['a', 'c', 'b'], the data have ['a', 'b', 'c']" in refused(
        meta=dict(CLASSES=('a', 'c', 'b'))
    )
    wider = nn.Linear(2, 4).state_dict()
    assert 'x.pth does not fit the Linear of the config: 2 weights have another shape, the first: weight is (4, 2)' in (
        refused(state_dict=wider)
    )
    lacking = dict(weight=torch.zeros(3, 2))
    assert 'it lacks 1 weights, the first bias' in refused(state_dict=lacking)
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1).state_dict()
    assert 'cannot load the checkpoint' in refused(optimizer=other)
    assert warned.messages == []
    restore(runner, Start(checkpoint(runner, tmp_path / 'x.pth', optimizer=None), True))
    assert 'x.pth holds no state of the optimizer' in warned.messages[0] and runner.iter == 4


def test_what_has_changed_since_is_said(runner, tmp_path, warned):
    facts = {'seed': 0, 'processes': 8, 'samples_per_gpu': 5, 'data.train.labeled.ann_file': 'a1', 'old': 1}
    path = checkpoint(runner, tmp_path / 'x.pth', meta=dict(facts=facts))
    runner.logger.setLevel(logging.WARNING)
    runner.meta['facts'] = dict(facts)
    restore(runner, Start(path, True))
    assert warned.messages == []
    runner.meta['facts'] = {'seed': 1, 'processes': 4, 'samples_per_gpu': 5, 'data.train.labeled.ann_file': 'b2'}
    restore(runner, Start(path, True))
    end = '; the run will differ from one that was not stopped'
    assert warned.messages == [
        f'{path}: the content of data.train.labeled.ann_file has changed{end}',
        f'{path}: processes was 8 and is 4{end}',
        f'{path}: seed was 0 and is 1{end}',
    ]
    before = len(warned.messages)
    restore(runner, Start(checkpoint(runner, path), True))  # a checkpoint of an older version knows none
    assert len(warned.messages) == before


def test_the_seed_of_the_run_that_goes_on(runner, tmp_path):
    path = checkpoint(runner, tmp_path / 'x.pth', meta=dict(seed=7))
    assert seed_of(Start(path, True)) == 7 and seed_of(Start(path)) is None and seed_of(Start()) is None
