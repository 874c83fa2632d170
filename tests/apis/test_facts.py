"""What a run's draws depend on, and what is said of a change."""

import hashlib

from runs import SOFT_TEACHER, shapes

from ssod.apis import load_config
from ssod.apis.facts import differences, digest, facts_of


def test_facts_of_a_config():
    options = {'data_root': f'{shapes()}/', 'percent': 25, 'optimizer_config.cumulative_iters': 2}
    cfg = load_config(SOFT_TEACHER, options)
    facts = facts_of(cfg, 3, 8)
    path = shapes() / 'annotations/semi_supervised/instances_train.1@25.json'
    assert facts == {
        'seed': 3,
        'processes': 8,
        'samples_per_gpu': 8,
        'cumulative_iters': 2,
        'data.train.labeled.ann_file': hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        'data.train.unlabeled.ann_file': digest(str(path.with_name('instances_train.1@25-unlabeled.json'))),
    }
    cfg.data.train.labeled.ann_file = 'nowhere.json'
    assert facts_of(cfg, 3, 8)['data.train.labeled.ann_file'] == ''


def test_differences():
    assert (
        differences({}, dict(seed=1)) == differences(dict(seed=1), {}) == differences(dict(seed=1), dict(seed=1)) == []
    )
    assert differences(dict(seed=1), dict(seed=None)) == ['seed was 1 and is None']
