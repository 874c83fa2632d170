"""Tiny COCO data sets on disk: images whose grey value is their number. The host drops sides under 32 pixels."""

import json

import cv2
import numpy as np
import pytest

CLASSES = ('cell', 'dust')


@pytest.fixture
def coco(tmp_path):
    """``coco(name, sizes, boxes=True)``: config of a data set of images of (width, height)."""

    def make(name: str, sizes: list[tuple[int, int]], boxes: bool = True) -> dict:
        (tmp_path / name).mkdir()
        images, annotations = [], []
        for i, (width, height) in enumerate(sizes, 1):
            cv2.imwrite(str(tmp_path / name / f'{i}.png'), np.full((height, width, 3), i, np.uint8))
            images.append(dict(id=i, file_name=f'{i}.png', width=width, height=height))
            box = dict(bbox=[2, 3, 10, 12], area=120, iscrowd=0, category_id=1)
            annotations += [dict(box, id=i, image_id=i)] if boxes else []
        categories = [dict(id=k, name=c) for k, c in enumerate(CLASSES, 1)]
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
        return dict(
            type='CocoDataset',
            ann_file=str(path),
            img_prefix=str(tmp_path / name),
            classes=CLASSES,
            filter_empty_gt=boxes,
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)],
        )

    return make
