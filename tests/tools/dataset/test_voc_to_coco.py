import json
from pathlib import Path

import pytest
import voc_to_coco
from PIL import Image
from pycocotools.coco import COCO

BCCD = Path(__file__).resolve().parents[4] / 'shared' / 'data' / 'bccd'


def write_voc(root, splits, objects, size=(40, 30)):
    """A VOC folder; objects: name -> [(class, xmin, ymin, xmax, ymax, difficult), ...]. The XML's <size> is wrong."""
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    for split, names in splits.items():
        (root / 'ImageSets' / 'Main' / f'{split}.txt').write_text(''.join(f'{name}\n' for name in names))
    keys = ('xmin', 'ymin', 'xmax', 'ymax')
    for name, found in objects.items():
        Image.new('RGB', size).save(root / 'JPEGImages' / f'{name}.jpg')
        xml = '<annotation><size><width>0</width><height>0</height></size>'
        for cls, *bbox, difficult in found:
            corners = ''.join(f'<{key}>{value}</{key}>' for key, value in zip(keys, bbox, strict=True))
            xml += f'<object><name>{cls}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox></object>'
        (root / 'Annotations' / f'{name}.xml').write_text(xml + '</annotation>')
    return root


@pytest.fixture
def voc(tmp_path):
    objects = {
        'a': [('dog', 1, 1, 40, 30, 0), ('cat', 5, 6, 5, 9, 0)],  # the whole image; no width
        'b': [('dog', 0, 10, 50, 20, 0), ('cat', 41, 1, 60, 9, 0)],  # reaches out on both sides; is outside
        'c': [('ant', 2, 3, 4, 6, 1)],
    }
    return write_voc(tmp_path / 'voc', {'train': ['a', 'b'], 'val': ['c']}, objects)


def load(out, split):
    return json.loads((out / 'annotations' / f'instances_{split}.json').read_text())


def fails(capsys, *argv):
    with pytest.raises(SystemExit) as e:
        voc_to_coco.main([str(a) for a in argv])
    assert e.value.code.startswith('error: ') and '\n' not in e.value.code
    return e.value.code


def test_boxes_are_converted_clipped_and_dropped(voc, tmp_path, capsys):
    out = tmp_path / 'out'
    voc_to_coco.main([str(voc), '--out', str(out)])
    train, val = load(out, 'train'), load(out, 'val')
    assert train['images'] == [
        {'id': 1, 'file_name': 'a.jpg', 'width': 40, 'height': 30},
        {'id': 2, 'file_name': 'b.jpg', 'width': 40, 'height': 30},
    ]
    assert [a['bbox'] for a in train['annotations']] == [[0, 0, 40, 30], [0, 9, 40, 11]]
    assert [a['area'] for a in train['annotations']] == [1200, 440]
    assert [a['id'] for a in train['annotations']] == [1, 2]
    assert [a['bbox'] for a in val['annotations']] == [[1, 2, 3, 4]]
    assert [a['iscrowd'] for a in train['annotations'] + val['annotations']] == [0, 0, 1]
    names = [{'id': 1, 'name': 'ant'}, {'id': 2, 'name': 'cat'}, {'id': 3, 'name': 'dog'}]
    assert train['categories'] == val['categories'] == names
    assert not (out / 'annotations' / 'instances_test.json').exists()
    lines = capsys.readouterr().out.splitlines()
    counts = 'train: 2 images, 2 boxes (ant 0, cat 0, dog 2)'
    assert lines[0] == f'{counts}; 1 boxes clipped (in b); 2 boxes dropped (in a, b)'
    assert lines[1] == 'val: 1 images, 1 boxes (ant 1, cat 0, dog 0); 0 boxes clipped; 0 boxes dropped'


def test_classes_keep_their_order(voc, tmp_path):
    voc_to_coco.main([str(voc), '--out', str(tmp_path), '--classes', 'dog', 'cat', 'ant'])
    assert [c['name'] for c in load(tmp_path, 'val')['categories']] == ['dog', 'cat', 'ant']
    assert [a['category_id'] for a in load(tmp_path, 'val')['annotations']] == [3]


@pytest.mark.parametrize('copy, linked', [(False, True), (True, False)])
def test_images_are_linked_or_copied(voc, tmp_path, copy, linked):
    out = tmp_path / 'out'
    for _ in range(2):  # a second run finds everything in place
        voc_to_coco.convert_all(voc, out, copy=copy)
        assert sorted(path.name for path in (out / 'images').iterdir()) == ['a.jpg', 'b.jpg', 'c.jpg']
        for path in (out / 'images').iterdir():
            assert path.is_symlink() == linked
            assert path.read_bytes() == (voc / 'JPEGImages' / path.name).read_bytes()


def test_copies_where_links_do_not_work(voc, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError('no links here')

    monkeypatch.setattr(Path, 'symlink_to', refuse)
    voc_to_coco.convert_all(voc, tmp_path / 'out')
    path = tmp_path / 'out' / 'images' / 'a.jpg'
    assert path.is_file() and not path.is_symlink()


def test_images_folder_may_be_the_original_one(voc, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'images').symlink_to(voc / 'JPEGImages')
    voc_to_coco.convert_all(voc, out)
    assert sorted(path.name for path in (voc / 'JPEGImages').iterdir()) == ['a.jpg', 'b.jpg', 'c.jpg']
    assert not any(path.is_symlink() for path in (voc / 'JPEGImages').iterdir())


def test_size_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[voc_to_coco.EXIF_ORIENTATION] = 6
    Image.new('RGB', (40, 30)).save(tmp_path / 'x.jpg', exif=exif)
    assert voc_to_coco.image_size(tmp_path / 'x.jpg') == (30, 40)


def test_errors(voc, tmp_path, capsys):
    out = tmp_path / 'out'
    message = fails(capsys, voc, '--out', out, '--classes', 'dog', 'cat')
    assert 'c.xml' in message and "'ant'" in message
    assert 'ImageSets' in fails(capsys, tmp_path / 'nowhere', '--out', out)
    (voc / 'JPEGImages' / 'c.jpg').write_bytes(b'no image')
    assert 'c.jpg is not a readable image' in fails(capsys, voc, '--out', out)
    (voc / 'JPEGImages' / 'c.jpg').unlink()
    assert 'c.jpg does not exist' in fails(capsys, voc, '--out', out)
    xml = voc / 'Annotations' / 'c.xml'
    xml.write_text('<annotation><object><name>dog</name></object></annotation>')
    assert 'c.xml has an object without a complete <bndbox>' in fails(capsys, voc, '--out', out)
    xml.write_text('<annotation>')
    assert 'c.xml is not XML' in fails(capsys, voc, '--out', out)
    xml.unlink()
    assert 'c.xml does not exist' in fails(capsys, voc, '--out', out)
    assert not out.exists()


@pytest.mark.skipif(not BCCD.is_dir(), reason='the BCCD set is not beside the repository')
def test_bccd(tmp_path, capsys):
    voc_to_coco.main([str(BCCD), '--out', str(tmp_path)])
    numbers = {}
    for split in ('train', 'val', 'test'):
        coco = COCO(tmp_path / 'annotations' / f'instances_{split}.json')
        numbers[split] = (len(coco.imgs), len(coco.anns))
        assert [c['name'] for c in coco.cats.values()] == ['Platelets', 'RBC', 'WBC']
        assert all((tmp_path / 'images' / image['file_name']).is_file() for image in coco.imgs.values())
        for annotation in coco.anns.values():
            x, y, w, h = annotation['bbox']
            assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= 640 and y + h <= 480
    # 4888 objects, two of them single points.
    assert numbers == {'train': (205, 2804), 'val': (87, 1137), 'test': (72, 945)}
    assert '1 boxes dropped (in BloodImage_00343)' in capsys.readouterr().out
