import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import build_dataset
from PIL import Image
from pycocotools import mask as rle
from raw_folders import make_coco, make_voc, make_yolo, save_image, voc_xml, write

from ssod.apis import load_config, new_dataset
from ssod.apis.checks import check_train_config
from ssod.cli import COMMANDS
from ssod.core.errors import InputError
from ssod.detection.checks import check_boxes

BCCD = Path(__file__).resolve().parents[5] / 'shared' / 'data' / 'bccd'


@pytest.fixture(autouse=True)
def in_project(tmp_path, monkeypatch):
    """Each test runs in a folder of its own, with `data/` in it."""
    (tmp_path / 'project').mkdir()
    monkeypatch.chdir(tmp_path / 'project')


def load(name, part):
    return json.loads(Path(f'data/{name}/annotations/{part}.json').read_text())


def files(name, part):
    return [image['file_name'] for image in load(name, part)['images']]


def unlabeled_folder(folder='more', seeds=range(100, 110)):
    for seed in seeds:
        save_image(Path(folder) / 'deep' / f'{seed}.{("jpg", "PNG", "webp")[seed % 3]}', seed)
    return folder


def test_everything_a_config_needs_is_there():
    make_voc(Path('raw/voc'), range(1, 21))
    report = new_dataset('mine', 'raw/voc', unlabeled_folder())
    assert {part: len(files('mine', part)) for part in ('labeled', 'val', 'unlabeled')} == dict(
        labeled=12, val=8, unlabeled=10
    )
    assert not set(files('mine', 'labeled')) & set(files('mine', 'val'))
    for part, boxes in (('labeled', True), ('val', True), ('unlabeled', False)):
        ann = dict(ann_file=f'annotations/{part}.json', img_prefix=f'images/{part}/', data_root='data/mine')
        dataset = build_dataset(
            dict(
                type='CocoDataset',
                classes=['cat', 'dog'],
                filter_empty_gt=boxes,
                pipeline=[dict(type='LoadImageFromFile')],
                **ann,
            )
        )
        assert len(dataset) == len(files('mine', part))
        assert dataset[0]['img'].shape == (48, 64, 3)
        assert dataset.cat_ids == [1, 2]
    annotation = load('mine', 'val')['annotations'][0]
    assert annotation['bbox'] == [10, 12, 20, 12] and annotation['area'] == 240 and annotation['iscrowd'] == 0
    assert load('mine', 'unlabeled')['annotations'] == []
    assert report.summary.classes == ['cat', 'dog']
    assert report.summary.scale == (64, 48)
    assert json.loads(Path('data/mine/summary.json').read_text())['splits']['unlabeled']['images'] == 10
    assert not list(Path('data/mine').rglob('*.jpg')) and not Path('data/mine/annotations/test.json').exists()


def test_the_parts_depend_on_the_seed_alone():
    make_voc(Path('raw'), range(1, 31))
    unlabeled_folder()
    chosen = []
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        new_dataset(name, 'raw', 'more', seed=seed)
        chosen.append(files(name, 'val'))
    assert chosen[0] == chosen[1] != chosen[2]


def test_frames_of_a_video_do_not_leak():
    """Ten videos of three frames, which differ in brightness alone."""
    for i in range(30):
        save_image(Path(f'raw/images/{i}.png'), i // 3, shift=i % 3)
        write(Path(f'raw/labels/{i}.txt'), '0 0.5 0.5 0.2 0.2\n')
    write(Path('raw/classes.txt'), 'cat\n')
    unlabeled_folder()
    save_image(Path('more/frame.png'), 3, shift=9)  # of a video whose other frames have labels
    report = new_dataset('a', 'raw', 'more')
    val = {int(Path(name).stem) for name in files('a', 'val')}
    assert len(val) == 12
    assert len({i // 3 for i in val}) == 4
    # The unlabeled frame is told of where its video is in the validation part.
    assert len([w for w in report.warnings if 'look like images of' in w]) == (3 in val)
    report = new_dataset('b', 'raw', 'more', val='raw')
    assert '30 images of `val` look like images of `labeled` (0.png and 0.png' in '\n'.join(report.warnings)


def test_images_in_both_sets_are_used_once():
    make_voc(Path('raw'), range(1, 21))
    unlabeled_folder()
    for name in ('1', '2', '3'):
        shutil.copy(f'raw/images/{name}.jpg', f'more/copy{name}.jpg')
    shutil.copy('more/deep/100.PNG', 'more/twice.PNG')
    report = new_dataset('a', 'raw', 'more')
    assert len(files('a', 'unlabeled')) == 10
    val = {Path(name).stem for name in files('a', 'val')}
    shared = len(val & {'1', '2', '3'})
    for part, number in (('val', shared), ('labeled', 3 - shared)):
        sentence = f'{number} unlabeled images are in the part `{part}` too: they were left out'
        assert (sentence in report.notes) == (number > 0)
    assert '1 unlabeled images are copies of others: they were left out' in report.notes
    with pytest.raises(InputError, match='no unlabeled image is left'):
        new_dataset('b', 'raw', 'raw/images')


def test_without_unlabeled_images_labels_are_put_aside():
    make_voc(Path('raw'), range(1, 101))
    report = new_dataset('a', 'raw', labeled_percent=30)
    numbers = {part: len(files('a', part)) for part in ('labeled', 'unlabeled', 'val')}
    assert numbers == dict(labeled=24, unlabeled=56, val=20)
    assert len(set(files('a', 'labeled') + files('a', 'unlabeled') + files('a', 'val'))) == 100
    assert '56 of 80 labeled images are used without their labels' in report.notes[-1]
    new_dataset('b', 'raw')  # 10 % would be 8
    assert len(files('b', 'labeled')) == 20


def test_a_given_validation_part_of_another_format_and_order():
    make_yolo(Path('raw'), [f'images/{i}.jpg' for i in range(5)], names='names: [cat, dog]')
    make_coco(Path('val/val.json'), [f'{i}.jpg' for i in range(50, 53)], names=('dog', 'cat'))
    new_dataset('a', 'raw', unlabeled_folder(), val='val')
    assert len(files('a', 'labeled')) == 5 and len(files('a', 'val')) == 3
    for part, name, bbox in (('labeled', 'cat', [24, 12, 16, 24]), ('val', 'dog', [8, 6, 16, 24])):
        dataset = load('a', part)
        assert [c['name'] for c in dataset['categories']] == ['cat', 'dog']
        assert {dataset['categories'][a['category_id'] - 1]['name'] for a in dataset['annotations']} == {name}
        assert dataset['annotations'][0]['bbox'] == bbox
    make_coco(Path('other/val.json'), ['60.jpg'], names=('dogs',))
    with pytest.raises(InputError, match='other has boxes of dogs, but the labeled set has cat, dog'):
        new_dataset('b', 'raw', 'more', val='other')


def test_classes_choose_and_order():
    make_voc(Path('raw'), range(1, 11))
    unlabeled_folder()
    report = new_dataset('a', 'raw', 'more', classes=['dog'])
    assert load('a', 'labeled')['categories'] == [{'id': 1, 'name': 'dog'}]
    assert report.notes[0].startswith('10 boxes of other classes were left out (')
    empty = sum(int(Path(name).stem) % 2 for name in files('a', 'labeled'))  # those with a cat alone
    assert empty and f'{empty} labeled images have no box: MMDetection leaves them out in training' in report.warnings
    with pytest.raises(InputError, match="raw has no class 'bird'; it has cat, dog: correct --classes"):
        new_dataset('b', 'raw', 'more', classes=['bird'])


def test_repairs_are_counted():
    nan = float('nan')
    boxes = [[-4, -4, 10, 12], [60, 40, 20, 20], [8, 8, 0, 5], [70, 10, 5, 5], [nan, 1, 2, 3], [8.2, 8, 55.9, 40.1]]
    annotations = [{'image_id': 1, 'category_id': 7, 'bbox': box, 'area': nan} for box in boxes]
    annotations += [{'image_id': i, 'category_id': 8, 'bbox': [5, 5, 2, 20]} for i in range(2, 7)]
    sizes = {'2.jpg': dict(width=0, height=0), '3.jpg': dict(width=640, height=480), '4.jpg': dict(width=48, height=64)}
    path = make_coco(Path('raw/a.json'), [f'{i}.jpg' for i in range(1, 8)], annotations, sizes=sizes)
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(Path('raw/images/4.jpg'), 40, size=(48, 64), exif=exif)  # is 64 x 48 when turned
    Path('raw/images/7.jpg').write_bytes(b'no image')
    write(Path('more/broken.png'), 'no image')
    report = new_dataset('a', path, unlabeled_folder(), val=path)
    dataset = load('a', 'labeled')
    first = [a for a in dataset['annotations'] if a['image_id'] == 1]
    assert [a['bbox'] for a in first] == [[0, 0, 6, 8], [60, 40, 4, 8], [8.2, 8, 55.8, 40]]
    assert [a['area'] for a in first] == [48, 32, 55.8 * 40]
    assert [a['id'] for a in dataset['annotations']] == list(range(1, 9))
    assert all((image['width'], image['height']) == (64, 48) for image in dataset['images'])
    # The same file is both parts here, so that each is counted twice.
    for sentence in (
        '2 boxes that are no four numbers were dropped (1.jpg)',
        '2 boxes without width or height were dropped (1.jpg)',
        '2 boxes outside their image were dropped (1.jpg)',
        '4 boxes that reach out of their image were clipped (1.jpg)',
        '2 images that cannot be read were left out (7.jpg)',
        '1 unlabeled images that cannot be read were left out (broken.png)',
    ):
        assert sentence in report.notes
    assert any(n.startswith('4 images have a size that is 0 or wrong') and '(2.jpg, 3.jpg)' in n for n in report.notes)
    assert any(n.startswith('2 images are turned by EXIF') and '(4.jpg)' in n for n in report.notes)
    assert any(w.startswith('5 labeled boxes (62 %) have a side under 4 pixels') for w in report.warnings)


def test_small_images_and_classes_without_a_box():
    make_coco(Path('raw/a.json'), [f'{i}.jpg' for i in range(6)])  # `cat` has no box
    save_image(Path('more/small.jpg'), 1, size=(100, 31))
    report = new_dataset('a', 'raw', 'more')
    assert report.warnings[0].startswith('no box of cat is among the labeled images')
    assert '1 images have a side under 32 pixels: MMDetection leaves them out in training' in report.warnings


def test_the_report_is_a_table():
    make_voc(Path('raw'), range(1, 11))
    text = str(new_dataset('a', 'raw', unlabeled_folder()))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines() if line.startswith('|')]
    assert text.startswith('data/a: Pascal VOC, classes cat, dog\n')
    assert rows[0] == ['', 'labeled', 'unlabeled', 'val']
    assert ['images', '6', '10', '4'] in rows
    assert ['image size, median', '64 x 48', '64 x 48', '64 x 48'] in rows
    assert next(row for row in rows if row[0] == 'boxes: cat') == ['boxes: cat', '6', '', '4']


def test_nothing_is_written_over():
    make_voc(Path('raw'), range(1, 11))
    unlabeled_folder()
    new_dataset('a', 'raw', 'more', val='raw')
    before = load('a', 'val')
    with pytest.raises(InputError, match='data/a is there already: take another name, or --force'):
        new_dataset('a', 'raw', 'more')
    write(Path('data/a/notes.txt'), 'mine')
    write(Path('data/a/annotations/test.json'), '{}')  # of an earlier set with a test part
    new_dataset('a', 'raw', 'more', force=True)
    assert load('a', 'val') != before
    assert Path('data/a/notes.txt').read_text() == 'mine'
    assert not Path('data/a/annotations/test.json').exists()
    Path('data/a/images/val').unlink()
    save_image(Path('data/a/images/val/a.jpg'), 1)
    with pytest.raises(InputError, match='images/val is no link'):
        new_dataset('a', 'raw', 'more', force=True)
    with pytest.raises(InputError, match="'../a' is no name"):
        new_dataset('../a', 'raw', 'more')
    with pytest.raises(InputError, match='cannot be split'):
        make_voc(Path('one'), [1])
        new_dataset('b', 'one', 'more')
    assert not Path('data/b').exists()


def test_links_survive_a_move(tmp_path):
    """The project moves as a whole; images outside it stay where they are."""
    make_voc(Path('raw'), range(1, 11))
    unlabeled_folder(tmp_path / 'elsewhere')
    new_dataset('a', 'raw', tmp_path / 'elsewhere')
    os.rename(tmp_path / 'project', tmp_path / 'moved')
    root = tmp_path / 'moved' / 'data' / 'a'
    for part in ('labeled', 'val', 'unlabeled'):
        names = [i['file_name'] for i in json.loads((root / 'annotations' / f'{part}.json').read_text())['images']]
        assert names and all((root / 'images' / part / name).is_file() for name in names)


def test_unlabeled_folders_that_are_none():
    make_voc(Path('raw'), range(1, 11))
    write(Path('docs/a.heic'), '')
    with pytest.raises(InputError, match=r'docs holds no image: looked for .jpg .* and found .heic'):
        new_dataset('a', 'raw', 'docs')
    with pytest.raises(InputError, match='nowhere is no folder'):
        new_dataset('a', 'raw', 'nowhere')
    for path in Path('raw/images').iterdir():
        path.write_bytes(b'')
    with pytest.raises(InputError, match='none of the 10 labeled images can be read'):
        new_dataset('a', 'raw', unlabeled_folder())
    for path in Path('raw/annots').iterdir():
        path.write_text(voc_xml([('cat', 900, 900, 990, 990)]))
    make_voc(Path('raw'), range(20, 25))
    for path in Path('raw/annots').iterdir():
        path.write_text(voc_xml([('cat', 900, 900, 990, 990)]))
    with pytest.raises(InputError, match='no labeled image has a box that can be used'):
        new_dataset('a', 'raw', 'more')


def test_the_command(capsys):
    make_voc(Path('raw'), range(1, 11))
    argv = [
        'a',
        '--labeled',
        'raw',
        '--unlabeled',
        str(unlabeled_folder()),
        '--classes',
        'dog',
        'cat',
        '--out',
        'sets/b',
    ]
    COMMANDS['new'](argv, 'ssod new')
    assert capsys.readouterr().out.startswith('sets/b: Pascal VOC, classes dog, cat\n')
    assert Path('sets/b/annotations/unlabeled.json').is_file()


@pytest.mark.skipif(not BCCD.is_dir(), reason='the BCCD set is not beside the repository')
def test_bccd():
    report = new_dataset('bccd', BCCD)
    assert {part: s.images for part, s in report.summary.splits.items()} == dict(
        labeled=20, unlabeled=185, val=87, test=72
    )
    assert report.summary.splits['val'].boxes == {'Platelets': 83, 'RBC': 967, 'WBC': 87}
    assert report.summary.splits['test'].boxes == {'Platelets': 69, 'RBC': 805, 'WBC': 71}
    assert report.summary.scale == (640, 480)
    assert min(report.summary.splits['labeled'].boxes.values()) >= 1
    assert report.warnings == []


def coco_with_masks(folder, size=(64, 48), images=30, wrong_size=0, without=0):
    """Pictures of one class with a square each, whose mask is a polygon or, of every second, run lengths."""
    w, h = size
    pixels = np.zeros((h, w), np.uint8, order='F')
    pixels[10:30, 20:40] = 1
    code = rle.encode(pixels)
    for i in range(1, images + 1):
        save_image(Path(folder) / f'{i}.jpg', i)
    content = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=w, height=h) for i in range(1, images + 1)],
        annotations=[
            dict(
                id=i, image_id=i, category_id=1, bbox=[20, 10, 20, 20], area=400, iscrowd=0,
                segmentation=dict(size=[h, w], counts=code['counts'].decode()) if i % 2 else [[20, 10, 40, 10, 40, 30]],
            )
            for i in range(1, images + 1)
        ],
        categories=[dict(id=1, name='square')],
    )  # fmt: skip
    for annotation in content['annotations'][:wrong_size]:
        annotation['segmentation'] = dict(size=[w, h], counts=[0, w * h])
    for annotation in content['annotations'][:without]:
        del annotation['segmentation']
    write(Path(folder) / 'labels.json', json.dumps(content))
    return content


def test_masks_stay_in_every_part_and_can_be_asked_for():
    content = coco_with_masks('raw')
    report = new_dataset('plain', 'raw', labeled_percent=50)
    assert 'all labeled boxes have masks: with --masks they are learned, too' in report.notes
    assert 'boxes with a mask' in str(report) and 'faster_rcnn' in report.config.read_text()
    COMMANDS['new'](['mine', '--labeled', 'raw', '--masks', '--labeled-percent', '50'], 'ssod new')
    pairs = zip(content['images'], content['annotations'], strict=True)
    by_name = {image['file_name']: annotation['segmentation'] for image, annotation in pairs}
    for part in ('labeled', 'val'):
        data = load('mine', part)
        names = {image['id']: image['file_name'] for image in data['images']}
        assert len(data['annotations']) == len(names) > 5
        for annotation in data['annotations']:
            assert annotation['segmentation'] == by_name[names[annotation['image_id']]]
    text = Path('data/mine/soft_teacher.py').read_text()
    assert 'small_data/soft_teacher_mask_rcnn_' in text and '--eval bbox segm' in text
    cfg = load_config('data/mine/soft_teacher.py')
    assert cfg.model.detector.roi_head.mask_head.num_classes == 1 and cfg.evaluation.metric == ['segm', 'bbox']
    check_train_config(cfg)
    dataset = build_dataset(cfg.data.train)
    check_boxes(dataset)
    view = dataset[0]['sup']
    assert len(view['gt_masks'].data) == len(view['gt_bboxes'].data) == 1


def test_masks_that_are_missing_or_do_not_fit():
    coco_with_masks('some', without=20)
    report = new_dataset('a', 'some', labeled_percent=50)
    assert not any('--masks' in note for note in report.notes)
    with pytest.raises(InputError, match=r'--masks needs a mask of each .* none: \d+ of the part `labeled`'):
        new_dataset('b', 'some', labeled_percent=50, masks=True)
    assert not Path('data/b').exists()
    coco_with_masks('turned', wrong_size=30)
    report = new_dataset('c', 'turned', labeled_percent=50)
    assert report.summary.splits['labeled'].masks == 0
    assert any('masks that do not fit their image were left out, their boxes were kept' in n for n in report.notes)
