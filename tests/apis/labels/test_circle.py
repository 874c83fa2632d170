"""The full circle on tiny data: a set, a model's labels in every format, an edit, back into the set, and a training."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import ROOT, call, shapes
from tiny import lively

from ssod import cli
from ssod.apis import load_config, new_dataset
from ssod.apis.labels import import_labels, label_folder, prepare_self_training
from ssod.core.errors import InputError
from ssod.core.task import task_of
from ssod.data.labels import read_labels, write_labels

QUICK = {
    'runner.max_iters': 2, 'burn_in': 0, 'custom_hooks.0.ramp': 0, 'lr_config.warmup_iters': 1,
    'train_scale': '[(64,64),(64,64)]', 'weak_scale': '[(64,64),(64,64)]', 'data.workers_per_gpu': 0,
    'checkpoint_config.interval': 2, 'evaluation.interval': 2, 'accelerate': False,
}  # fmt: skip
WITHOUT_WEIGHTS = {
    'model.detector.backbone.init_cfg': None,
    'test_pipeline.1.img_scale': (96, 96),
    'model.detector.test_cfg.rcnn.max_per_img': 5,
}


def raw(folder: Path) -> Path:
    """16 of the shapes' images with labels, 6 others apart, all copied."""
    content = json.loads((shapes() / 'annotations/instances_train.json').read_text())
    for part, images in (('more', content['images'][:6]), ('train', content['images'][6:22])):
        (folder / part).mkdir(parents=True)
        for image in images:
            name = image['file_name']
            (folder / part / name).write_bytes((shapes() / 'images/train' / name).read_bytes())
    kept = {image['id'] for image in images}
    annotations = [one for one in content['annotations'] if one['image_id'] in kept]
    (folder / 'train.json').write_text(json.dumps({**content, 'images': images, 'annotations': annotations}))
    return folder


def random_checkpoint(cfg, path: Path) -> str:
    """Of random weights with scores of all sizes; the teacher's differ a little."""
    torch.manual_seed(0)
    model = task_of(cfg).build_model(cfg.model)
    lively(model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(CLASSES=tuple(cfg.classes))), path)
    return str(path)


@pytest.fixture(scope='module')
def labeled(tmp_path_factory):
    """A set with masks, a checkpoint of random weights, and what it finds on two unlabeled images, as COCO JSON."""
    folder = raw(tmp_path_factory.mktemp('circle'))
    out = folder / 'set'
    new_dataset('tiny', folder / 'train.json', folder / 'more', out=out, masks=True)
    cfg = load_config(str(out / 'soft_teacher.py'), WITHOUT_WEIGHTS)
    checkpoint = random_checkpoint(cfg, folder / 'random.pth')
    images = [str(path) for path in sorted((folder / 'more').iterdir())[:2]]
    said = label_folder(cfg, checkpoint, images, 'coco', folder / 'coco', score_thr=0.15)
    assert 'label these next' in said
    return folder, read_labels(folder / 'coco/labels.json')


@pytest.fixture
def fresh(labeled, tmp_path):
    """A new set of the same images."""
    folder = labeled[0]
    new_dataset('tiny', folder / 'train.json', folder / 'more', out=tmp_path / 'set', masks=True)
    return tmp_path / 'set'


def test_what_is_found_and_what_to_label_next(labeled):
    folder, (images, classes, _) = labeled
    assert len(images) == 2 and all(one.mask is not None for image in images for one in image.objects)
    objects = [one for image in images for one in image.objects]
    assert objects and all(one.score >= 0.15 for one in objects)
    rows = json.loads((folder / 'coco/label_next.json').read_text())
    assert {row['image'] for row in rows} == {image.name for image in images}
    assert all(row['disagreement'] > 0 and row['variance'] >= 0 for row in rows)
    assert [row['priority'] for row in rows] == sorted((row['priority'] for row in rows), reverse=True)
    text = (folder / 'coco/label_next.csv').read_text().splitlines()
    assert text[0] == 'rank,image,priority,disagreement,variance,rarity,reasons' and len(text) == 3
    assert all((folder / 'coco/images' / image.name).is_file() for image in images)


@pytest.mark.parametrize('kind', ['coco', 'yolo', 'labelstudio', 'cvat', 'png'])
def test_an_edit_comes_back(kind, labeled, fresh, tmp_path):
    """The person keeps one object, or removes all but one of each image."""
    images, classes, _ = labeled[1]
    for image in images:
        image.objects = image.objects[:1]
    path = write_labels(images, classes, kind, tmp_path / 'edit')
    if kind == 'labelstudio':
        tasks = json.loads(path.read_text())
        path.write_text(json.dumps([dict(t, annotations=[dict(result=t['predictions'][0]['result'])]) for t in tasks]))
    before = {part: json.loads((fresh / f'annotations/{part}.json').read_text()) for part in ('labeled', 'unlabeled')}
    said = import_labels(str(fresh), [tmp_path / 'edit' if kind in ('yolo', 'png') else path])
    assert '2 images are labeled now that were not, 0 were corrected' in said and 'load_from=' in said
    after = {part: json.loads((fresh / f'annotations/{part}.json').read_text()) for part in ('labeled', 'unlabeled')}
    names = {Path(image.name).name for image in images}
    gone = {one['file_name'] for one in before['unlabeled']['images']} - {
        one['file_name'] for one in after['unlabeled']['images']
    }
    assert gone == names
    entries = {one['file_name']: one for one in after['labeled']['images']}
    assert len(entries) == len(before['labeled']['images']) + 2
    assert all((fresh / 'images/labeled' / name).is_file() for name in entries)
    for image in images:
        entry = entries[f'unlabeled/{Path(image.name).name}']
        (own,) = [one for one in after['labeled']['annotations'] if one['image_id'] == entry['id']]
        assert own['category_id'] == classes.index(image.objects[0].name) + 1 and 'score' not in own
        assert own['segmentation']['size'] == [96, 96] and own['area'] > 0
        wanted = image.objects[0].xyxy if kind == 'coco' else None
        if wanted:
            np.testing.assert_allclose(own['bbox'][:2], wanted[:2], atol=0.02)
    old = json.loads((fresh / 'backups/1/annotations/labeled.json').read_text())
    assert old == before['labeled']
    again = import_labels(str(fresh), [tmp_path / 'edit' if kind in ('yolo', 'png') else path], dry_run=True)
    assert '0 images are labeled now that were not, 0 were corrected, 2 were as in the files' in again


def test_training_goes_on_with_what_was_imported(labeled, fresh, tmp_path):
    import_labels(str(fresh / 'soft_teacher.py'), [labeled[0] / 'coco/labels.json'])
    options = [f'{key}={value}' for key, value in {**QUICK, **WITHOUT_WEIGHTS}.items()]
    call('tools/train.py', fresh / 'soft_teacher.py', '--work-dir', tmp_path / 'run', '--no-validate', '--seed', 0,
         '--cfg-options', f'load_from={labeled[0] / "random.pth"}', *options)  # fmt: skip
    assert (tmp_path / 'run/iter_2.pth').is_file()


def edited(folder: Path, change) -> Path:
    """What the model found, as COCO JSON, after a change."""
    content = json.loads((folder / 'coco/labels.json').read_text())
    change(content)
    path = folder / 'edited.json'
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    'change, sentence',
    [
        (lambda c: c['categories'][0].update(name='square'), "has the class 'square', and the set has "),
        (lambda c: c['images'][0].update(file_name='no.jpg'), 'no.jpg is no image of the set'),
        (lambda c: c['images'][0].update(width=90), r'is of \(90, 96\) pixels there, and of \(96, 96\) in the set'),
        (lambda c: c['annotations'][0].update(bbox=[5, 5, 0, 9]), 'without width or height: remove or correct it'),
        (lambda c: c['annotations'][0].update(bbox=[5, 5, 120, 9]), 'out of its image of 96 x 96: correct it'),
        (lambda c: c['annotations'][0].pop('segmentation'), 'has a box without a mask'),
        (lambda c: c['images'][0].update(file_name=c['images'][1]['file_name']), 'which comes twice'),
    ],
)
def test_refused_and_nothing_changed(change, sentence, labeled, fresh):
    before = {path: path.read_bytes() for path in (fresh / 'annotations').iterdir()}
    with pytest.raises(InputError, match=sentence):
        import_labels(str(fresh), [edited(labeled[0], change)])
    assert {path: path.read_bytes() for path in before} == before
    assert not (fresh / 'backups').exists() and not (fresh / 'images/both').exists()


def test_only_some_of_the_images_and_the_command(labeled, fresh, capsys):
    name = labeled[1][0][0].name
    cli.import_([str(fresh), str(labeled[0] / 'coco/labels.json'), '--only', Path(name).stem, '--dry-run'])
    said = capsys.readouterr().out
    assert '1 images are labeled now' in said and said.endswith('Nothing was changed: --dry-run\n')
    with pytest.raises(InputError, match='is no data set of `ssod new`'):
        import_labels('nowhere', [labeled[0] / 'coco/labels.json'])


def test_labels_of_another_model_start_a_run(labeled, fresh, tmp_path):
    """A list of results with file names and classes; of scores 0.95 and 0.5 one is above the threshold."""
    cfg = load_config(str(fresh / 'soft_teacher.py'), {**WITHOUT_WEIGHTS, 'data.workers_per_gpu': 0})
    files = [one['file_name'] for one in json.loads((fresh / 'annotations/unlabeled.json').read_text())['images']]
    square = dict(category='star', bbox=[10, 10, 40, 30], segmentation=[[10, 10, 50, 10, 50, 40, 10, 40]])
    rows = [dict(square, file_name=f'C:\\found\\{files[0]}', score=0.95), dict(square, file_name=files[1], score=0.5)]
    path = tmp_path / 'found.json'
    path.write_text(json.dumps(rows))
    config, said = prepare_self_training(cfg, path, 0.9, tmp_path / 'run')
    assert said.startswith('1 of 2 labels have a score above 0.9 (mean 0.95), on 1 of 6 unlabeled images')
    own = load_config(str(config))
    assert own.model.type == 'SelfTraining' and own.data.train.unlabeled.type == 'PseudoLabelDataset'
    source = task_of(own).build_dataset(own.data.train).sources['unlabeled']
    assert len(source) == 1 and source.data_infos[0]['filename'] == files[0]
    assert source.get_ann_info(0)['bboxes'].tolist() == [[10, 10, 50, 40]]
    for change, sentence in (
        (dict(score=None), 'annotation 1 has no score'),
        (dict(category='moon'), "is of the class 'moon'"),
        (dict(file_name='x.jpg'), 'x.jpg is no image'),
        (dict(bbox=[1, 2, 3]), r'has the bbox \[1, 2, 3\]'),
        (dict(score=0.1), 'no label with a score above 0.9, the highest is 0.50'),
    ):
        path.write_text(json.dumps([{**rows[0], **change}, rows[1]]))
        with pytest.raises(InputError, match=sentence):
            prepare_self_training(cfg, path, 0.9, tmp_path / 'refused')
    assert not (tmp_path / 'refused').exists()


@pytest.fixture(scope='module')
def maps(tmp_path_factory):
    """A set of label maps, and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp('maps')
    for part, images in (('images', 'images'), ('labels', 'semantic')):
        (folder / 'raw' / part).mkdir(parents=True)
        for path in sorted((shapes() / images / 'train').iterdir())[:14]:
            (folder / 'raw' / part / path.name).write_bytes(path.read_bytes())
    names = ['back', 'circle', 'triangle', 'star', 'cross']
    more = folder / 'more'
    more.mkdir()
    for path in sorted((folder / 'raw/images').iterdir())[:3]:
        path.rename(more / path.name)
        (folder / 'raw/labels' / f'{path.stem}.png').unlink()
    new_dataset('m', folder / 'raw', more, out=folder / 'm', task='segmentation', classes=names)
    cfg = load_config(str(folder / 'm/fixmatch/m.py'), {'model.segmentor.backbone.init_cfg': None})
    return folder, cfg, random_checkpoint(cfg, folder / 'random.pth')


def test_label_maps_go_out_and_come_back(maps):
    folder, cfg, checkpoint = maps
    images = [str(path) for path in sorted((folder / 'more').iterdir())]
    label_folder(cfg, checkpoint, images, 'png', folder / 'png')
    rows = json.loads((folder / 'png/label_next.json').read_text())
    assert all(0 < row['disagreement'] <= 1 and 0 < row['uncertainty'] < 1 for row in rows) and len(rows) == 3
    (image, second, _), classes, _ = read_labels(folder / 'png')
    assert classes == list(cfg.classes)
    edit = np.array(Image.open(folder / f'png/maps/{image.name}.png'))
    edit[:40] = 3
    Image.fromarray(edit).save(folder / f'png/maps/{image.name}.png')
    original = folder / 'raw/labels' / sorted(path.name for path in (folder / 'm/labels/train').iterdir())[0]
    before = original.read_bytes()
    said = import_labels(str(folder / 'm'), [folder / 'png'], only=[image.name])
    assert '1 images are labeled now' in said
    assert (folder / f'm/images/train/{image.name}.jpg').is_file()
    assert not (folder / f'm/images/unlabeled/{image.name}.jpg').is_symlink()
    assert np.array_equal(np.array(Image.open(folder / f'm/labels/train/{image.name}.png')), edit)
    # One that was labeled, as polygons of masks in CVAT's file: the person's own file stays as it is.
    known = read_labels(folder / 'm/labels/train')[0]
    known = next(one for one in known if one.name == original.stem)
    edit = np.full_like(known.labels, 2)
    known.labels, known.objects = edit, []
    Image.fromarray(edit).save(folder / 'one.png')
    (folder / 'back').mkdir()
    (folder / 'one.png').rename(folder / f'back/{original.stem}.png')
    assert '1 were corrected' in import_labels(str(folder / 'm'), [folder / 'back'])
    assert original.read_bytes() == before
    assert (np.array(Image.open(folder / f'm/labels/train/{original.stem}.png')) == 2).all()
    Image.fromarray(np.full_like(edit, 9)).save(folder / f'back/{original.stem}.png')
    with pytest.raises(InputError, match='holds the number 9, the classes are 0 to 4'):
        import_labels(str(folder / 'm'), [folder / 'back'])
    labels = label_folder(cfg, checkpoint, images[1:2], 'cvat', folder / 'cvat')
    assert labels.startswith(str(folder / 'cvat/annotations.xml'))
    node = ET.parse(folder / 'cvat/annotations.xml').getroot().find('image')
    assert {shape.tag for shape in node} == {'mask'} and node.get('name') == f'{second.name}.jpg'
    import_labels(str(folder / 'm'), [folder / 'cvat/annotations.xml'])
    written = np.array(Image.open(folder / f'm/labels/train/{second.name}.png'))
    assert np.array_equal(written, second.labels)
    assert load_config(str(folder / 'm/fixmatch/m.py')) and ROOT


def test_a_box_is_no_label_map(maps, tmp_path):
    folder, cfg, _ = maps
    name = next((folder / 'm/images/unlabeled').iterdir()).name
    box = '<box label="star" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    image = f'<image name="{name}" width="96" height="96">{box}</image>'
    (tmp_path / 'a.xml').write_text(f'<annotations>{image}</annotations>')
    with pytest.raises(InputError, match='has a star that is a box: a label map needs polygons or masks'):
        import_labels(str(folder / 'm'), [tmp_path / 'a.xml'])
