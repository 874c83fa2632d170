"""From raw folders to detections without editing a file: new, train, test, predict."""

import json
from pathlib import Path

import pytest
from raw_folders import make_coco, make_voc, make_yolo, save_image
from runs import call, hook_of

from ssod.cli import COMMANDS
from ssod.hooks import Best

FORMATS = {
    'voc': lambda: make_voc(Path('raw'), range(1, 21)),
    'yolo': lambda: make_yolo(
        Path('raw'),
        [f'images/{part}/{i}.jpg' for part, n in (('train', 12), ('val', 4), ('test', 3)) for i in range(n)],
    ),
    'coco': lambda: make_coco(Path('raw/instances.json'), [f'{i}.jpg' for i in range(20)]),
}
# So short a run is none of the config's; and there are no weights to load.
QUICK = [
    '--cfg-options', 'model.detector.backbone.init_cfg=None', 'runner.max_iters=3', 'burn_in=1',
    'log_config.interval=1', 'checkpoint_config.interval=3', 'evaluation.interval=3', 'data.workers_per_gpu=0',
]  # fmt: skip


@pytest.mark.parametrize('kind', FORMATS)
def test_new_train_test_predict(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    FORMATS[kind]()
    for i in range(100, 106):
        save_image(Path(f'more/deep/{i}.png'), i, size=(80, 60))
    COMMANDS['new'](['mine', '--labeled', 'raw', '--unlabeled', 'more'], 'ssod new')
    config, run = Path('data/mine/soft_teacher.py'), Path('work_dirs/mine/soft_teacher')
    text = config.read_text()

    ramp = f'{hook_of("UnsupWeightHook", str(config))}.ramp=1'
    call('tools/train.py', config, '--seed', 0, *QUICK, ramp)
    log = [json.loads(line) for line in next(run.glob('*.log.json')).read_text().splitlines()]
    assert [entry['iter'] for entry in log if entry.get('mode') == 'train'] == [1, 2, 3]
    assert any('teacher_bbox_mAP' in entry for entry in log)

    call('tools/test.py', config, run / 'latest.pth', '--eval', 'bbox', '--eval-on', 'both')
    scores = json.loads((run / 'eval.json').read_text())
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(scores)

    arguments = [config, run, 'more', 'raw', '--out', 'found', '--score-thr', 0]
    COMMANDS['predict'](list(map(str, arguments)), 'ssod predict')
    assert f'The {Best.read(run).model} predicts: best.json names it' in capsys.readouterr().out
    images = [path for path in (*Path('more').rglob('*'), *Path('raw').rglob('*')) if path.suffix in ('.png', '.jpg')]
    assert len(list(Path('found').rglob('*.[pj][np]g'))) == len(images)
    records = json.loads(Path('found/predictions.json').read_text())
    assert {record['category'] for record in records} <= {'cat', 'dog'}
    assert {record['file_name'] for record in records} <= set(map(str, images))
    assert config.read_text() == text
