"""What is shown is what training gets."""

import re

import mmcv
import numpy as np
import pytest
import torch
from runs import SOFT_TEACHER, shapes
from segmentation_runs import CONFIGS
from tiny import lively

from ssod.apis import load_config
from ssod.apis.browse import browse
from ssod.apis.browse.browse import chosen
from ssod.apis.browse.steps import record_ops
from ssod.apis.train import build_train_dataset
from ssod.core.errors import InputError
from ssod.core.task import task_of
from ssod.data import build_train_loader
from ssod.detection.browsing import KEPT, REJECTED, filter_panel
from ssod.detection.pseudo_labels import PseudoLabels, ScoreFilter

OPTIONS = {
    'data_root': f'{shapes()}/', 'percent': 25, 'train_scale': [(96, 80), (96, 96)], 'data.samples_per_gpu': 4,
    'data.workers_per_gpu': 0,
}  # fmt: skip


def config(path=SOFT_TEACHER, **more):
    return load_config(path, {**OPTIONS, **more})


def checkpoint(cfg, path):
    model = task_of(cfg).build_model(cfg.model)
    lively(model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(CLASSES=tuple(cfg.classes))), path)
    return str(path)


def test_its_samples_are_those_of_a_run_bit_by_bit():
    """Steps are recorded around the ops and change nothing: the first batch of a run is made of the same samples."""
    cfg = config()
    plain = build_train_loader(build_train_dataset(cfg), cfg.data, seed=3)
    batch = next(iter(plain))
    dataset = build_train_dataset(cfg)
    steps = []
    for source in dataset.sources.values():
        record_ops(source.pipeline, steps)
    shown = build_train_loader(dataset, cfg.data, seed=3)
    keys = next(iter(shown.batch_sampler))
    for name in ('sup', 'unsup_student'):
        metas, images = batch[name]['img_metas'].data[0], batch[name]['img'].data[0].numpy()
        samples = [shown.dataset[key] for key in keys]
        views = [sample[name] for sample in samples if name in sample]
        assert len(views) == len(metas)
        for view, meta, image in zip(views, metas, images, strict=True):
            own = view['img'].data
            assert view['img_metas'].data['filename'] == meta['filename']
            assert np.array_equal(own, image[: own.shape[0], : own.shape[1]])
    names = [name for name, _ in steps]
    assert {'LoadImageFromFile', 'ResizeWithMatrix', 'FlipWithMatrix', 'RandomErasing'} <= set(names)
    assert not {'MultiBranch', 'RandomOrder', 'AutoAugment', 'Collect'} & set(names)


def test_the_page_and_the_sheet(tmp_path, capsys):
    cfg = config(**{'model.semi_train_cfg.candidate_score_thr': 0.3})
    said = browse(cfg, tmp_path / 'out', checkpoint(cfg, tmp_path / 'c.pth'), number=4, steps=True)
    assert said.endswith('4 images')
    page = (tmp_path / 'out/index.html').read_text()
    assert 'http' not in page and '<script' not in page and page.count('<section>') == 4
    titles = re.findall('<figcaption>(.*?)</figcaption>', page)
    assert titles.count('weak view') == titles.count('strong view') == 2
    assert sum(title.startswith('labeled view, ') for title in titles) == 2
    assert any(title.startswith('strong: after ') for title in titles)
    assert sum(title.startswith('candidates by variance: ') for title in titles) == 2
    for what in ('RPN', 'classification', 'regression'):
        assert sum(what in title and ' keeps ' in title for title in titles) == 2
    assert mmcv.imread(str(tmp_path / 'out/sheet.png')).shape[0] == 4 * (240 + 22 + 22 + 4)


def test_only_what_is_asked_for(tmp_path, capsys):
    cfg = config()
    loader = build_train_loader(build_train_dataset(cfg), cfg.data, seed=0)
    task, dataset = task_of(cfg), loader.dataset
    (only,) = set(re.findall(r'\d+\.jpg', dataset.name_of(2)))
    assert [key.index for key in chosen(loader, task, 9, (), [only])] == [2]
    found = [key.index for key in chosen(loader, task, 99, ('star',), ())]
    labeled = dataset.dataset.sources['labeled']
    stars = [i for i in range(len(labeled)) if labeled.CLASSES.index('star') in labeled.get_ann_info(i)['labels']]
    assert sorted(found) == stars
    for options, sentence in ((dict(classes=['moon']), '--classes moon'), (dict(files=['x*']), 'no image of ')):
        with pytest.raises(InputError, match=sentence):
            browse(cfg, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_filter_s_verdicts_are_colors():
    meta = dict(img_norm_cfg=dict(mean=np.zeros(3), std=np.ones(3), to_rgb=False), img_shape=(40, 60, 3))
    boxes = torch.tensor([[2.0, 2, 20, 20], [30, 5, 50, 30], [0, 0, 0, 0]])
    labels = PseudoLabels(boxes, torch.zeros(3, dtype=torch.long), torch.tensor([0.95, 0.4, 0.99]))
    view = dict(img=torch.zeros(1, 3, 64, 64), img_metas=[meta])
    panel = filter_panel('score', ScoreFilter(0.9), view, labels, labels)
    assert panel.title == 'score keeps 2 of 3 (thr 0.9)' and panel.picture.shape == (40, 60, 3)
    assert tuple(panel.picture[2, 10]) == KEPT and tuple(panel.picture[5, 40]) == REJECTED


def test_label_maps(tmp_path, capsys):
    path = str(CONFIGS / 'fixmatch/deeplabv3plus_r18_shapes.py')
    options = {'data_root': f'{shapes()}/', 'every': 4, 'crop_size': (64, 64), 'data.workers_per_gpu': 0}
    cfg = load_config(path, {**options, 'model.semi_train_cfg.threshold': 0.5})
    browse(cfg, tmp_path / 'out', checkpoint(cfg, tmp_path / 'c.pth'), number=2)
    titles = re.findall('<figcaption>(.*?)</figcaption>', (tmp_path / 'out/index.html').read_text())
    assert titles[:4] == ['labeled view', 'weak view', 'strong view', 'the teacher finds']
    assert titles[4].startswith('confidence, mean 0.') and titles[5].startswith('kept: ')


def test_one_stage(tmp_path, capsys):
    cfg = config(SOFT_TEACHER.replace('soft_teacher_r18_shapes', 'mean_teacher_fcos_r18_shapes'))
    browse(cfg, tmp_path / 'out', checkpoint(cfg, tmp_path / 'c.pth'), number=2)
    titles = re.findall('<figcaption>(.*?)</figcaption>', (tmp_path / 'out/index.html').read_text())
    assert any(title.startswith('score keeps ') for title in titles)
