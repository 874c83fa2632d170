"""The verdict and its page from made-up runs: seeds, classes without labels, label-once missing, what to take."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssod.apis import InputError
from ssod.apis.comparison import report, verdict
from ssod.apis.comparison.choice import Choice
from ssod.apis.comparison.reasons import Reasons
from ssod.core.task import TASKS

QUALITY = dict(a=dict(precision=0.9, recall=0.5), b=dict(precision=None, recall=None))
NUM_IMAGES = 40


class Runs:
    """Stands for Judge and plan: columns of a value per seed, None for a run that is not finished; class b is empty."""

    def __init__(self, spread=0.05, test_shift=None, **columns):
        self.test_shift = test_shift  # of the method on the test images
        self.columns, self.seeds, self.folder, self.plan = columns, tuple(range(3)), Path('out'), self
        self.configs = columns
        self.measures = TASKS['detection'].measures
        noise = np.random.default_rng(0).normal(0, spread, NUM_IMAGES)
        self.noise = noise - noise.mean()

    def is_done(self, column, seed):
        return seed < len(self.columns[column]) and self.columns[column][seed] is not None

    def config_file(self, column):
        return Path(f'out/{column}.py')

    def choice(self, column, seed):
        return Choice(Path(f'out/{column}/seed{seed}/iter_9.pth'), 'teacher', 'last iteration')

    def detected(self, column, checkpoint, place):
        return SimpleNamespace(classes=('a', 'b'))

    def has_test_set(self):
        return self.test_shift is not None

    def num_images(self, column, checkpoint, place):
        return NUM_IMAGES

    def value(self, column, seed, place):
        return self.columns[column][seed] + (self.test_shift if (column, place) == ('method', 'test') else 0)

    def metric(self, column, checkpoint, model, place):
        return 100 * self.value(column, int(checkpoint.parent.name[-1]), place)

    def chosen_scores(self, column, seed, place):
        values = self.value(column, seed, place) + (self.noise if column == 'method' else 0 * self.noise)
        return lambda counts: np.array([counts @ values / counts.sum(), np.nan])

    def reasons(self, seed):
        known = dict(pseudo_per_image=3.0, precision=0.4 + 0.1 * seed, recall=0.5, by_class=QUALITY)
        return Reasons(50, NUM_IMAGES, 5.0, 0.9, 0.7, **known)


def judged(monkeypatch, **columns):
    runs = Runs(**columns)
    monkeypatch.setattr(verdict, 'Judge', lambda plan: plan)
    return verdict.judge(runs, rounds=200)


def test_a_gain(monkeypatch):
    found = judged(monkeypatch, baseline=[0.3, 0.32, 0.31], label_once=[0.33, 0.34, 0.35], method=[0.4, 0.42, 0.41])
    assert found['baseline'] == {'0': 30, '1': 32, '2': 31}
    assert found['difference'] == pytest.approx(10) and found['verdict'] == 'helps'
    assert 7 < found['interval'][0] < 10 < found['interval'][1] < 13
    assert found['reasons']['label_once_difference'] == pytest.approx(3)
    assert found['reasons']['precision'] == pytest.approx(0.5)
    assert found['reasons']['by_class']['a'] == dict(
        precision=0.9, recall=0.5, baseline=pytest.approx(31), label_once=pytest.approx(34), method=pytest.approx(41),
        difference=pytest.approx(10), interval=found['interval'],
    )  # fmt: skip
    empty = found['reasons']['by_class']['b']
    assert (empty['method'], empty['difference'], empty['interval']) == (None, None, [None, None])
    assert found['recommended'] == dict(
        checkpoint='out/method/seed1/iter_9.pth',
        model='teacher',
        config='out/method.py',
        why='method, seed 1: +10.0 to the baseline; the teacher (last iteration)',
    )
    assert found['sentence'].endswith('the unlabeled images help; labeling them once gives +3.0')


def test_a_loss_and_a_draw_recommend_the_baseline_or_what_beats_it(monkeypatch):
    found = judged(monkeypatch, baseline=[0.3], method=[0.2])
    assert found['verdict'] == 'hurts' and found['label_once'] == {}
    assert found['recommended']['checkpoint'] == 'out/baseline/seed0/iter_9.pth'
    assert found['sentence'].startswith('worse by 10.0 mAP (') and 'precision of pseudo boxes 0.40' in found['sentence']
    found = judged(monkeypatch, baseline=[0.3], method=[0.301], label_once=[0.33])
    assert found['verdict'] == 'no_difference' and found['recommended']['config'] == 'out/label_once.py'


def test_seeds_that_are_not_finished(monkeypatch):
    found = judged(monkeypatch, baseline=[0.3, 0.3, None], label_once=[0.4, None], method=[0.3, 0.3, 0.9])
    assert list(found['baseline']) == list(found['method']) == ['0', '1']
    assert found['label_once'] == {'0': 40, '1': None}
    assert found['reasons']['label_once_difference'] is None  # of other seeds than the baseline's
    with pytest.raises(InputError, match=r'no seed of \[0, 1, 2\] is finished in out'):
        judged(monkeypatch, baseline=[None], method=[0.3])


def test_the_same_choices_on_test_images(monkeypatch):
    columns = dict(baseline=[0.3, 0.32], label_once=[0.33, 0.34], method=[0.4, 0.42])
    assert judged(monkeypatch, **columns)['test'] is None
    found = judged(monkeypatch, test_shift=-0.07, **columns)
    test = found['test']
    assert found['difference'] == pytest.approx(10) and test['difference'] == pytest.approx(3)
    assert test['method'] == {'0': pytest.approx(33), '1': pytest.approx(35)}
    assert test['baseline'] == found['baseline'] and test['interval'][0] < 3 < test['interval'][1]
    assert test['label_once_difference'] == pytest.approx(2.5)
    assert found['recommended']['config'] == 'out/method.py'  # chosen on validation images
    low, high = test['interval']
    page = report.make_page(found, TASKS['detection'].measures)
    assert f'| method | 33.0 | 35.0 | 34.0 | +3.0 ({low:.1f} to {high:.1f}) |' in page.split('On the test images')[1]


def test_the_page(monkeypatch):
    found = judged(monkeypatch, baseline=[0.3, 0.3], label_once=[0.4, None], method=[0.3, 0.31])
    page = report.make_page(found, TASKS['detection'].measures)
    low, high = found['interval']
    assert '| mAP | seed 0 | seed 1 | mean | difference |\n| --- | --- | --- | --- | --- |' in page
    assert '| label-once | 40.0 | - | 40.0 | - |' in page
    assert f'| method | 30.0 | 31.0 | 30.5 | +0.5 ({low:.1f} to {high:.1f}) |' in page
    assert '| b | - | - | - | - | - | - |' in page
    assert '| precision above 0.9, oldest checkpoint and now | -, 0.45 |' in page
    assert report.points(-0.04) == '0.0' and report.points(0.04, '+') == '+0.0'
