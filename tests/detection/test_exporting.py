"""Graphs of tiny detectors, run by onnxruntime and as TorchScript, against the detectors' own tests."""

import re

import pytest
import torch
from detectors import cascade_mask_rcnn, cascade_rcnn, dense, hybrid_task_cascade, mask_rcnn, randomize
from mmdet.models import build_detector
from tiny import tiny_detector

from ssod.apis.export.files import Graph, run_onnx, run_torchscript, write_onnx, write_torchscript
from ssod.core.errors import InputError
from ssod.detection.exporting import BoxExporter

pytest.importorskip('onnxruntime')
EXPORTER = BoxExporter()
DETECTORS = dict(
    faster_rcnn=tiny_detector,
    mask_rcnn=lambda: mask_rcnn(tiny_detector()),
    cascade_rcnn=lambda: cascade_rcnn(tiny_detector()),
    **{kind: lambda kind=kind: dense(tiny_detector(), kind) for kind in ('RetinaNet', 'FCOS', 'ATSS', 'GFL', 'YOLOX')},
)


def detector(cfg):
    """Random weights; class scores of a dense head are kept from 1, where equal ones would be in no order."""
    torch.manual_seed(0)
    model = randomize(build_detector(cfg)).eval()
    for name, value in model.named_parameters():
        if re.search('bbox_head.*(retina_cls|conv_cls|gfl_cls|_conv_reg|_conv_obj)', name):
            value.data *= 0.2
    return model


def images():
    generator = torch.Generator().manual_seed(1)
    return [scale * torch.randn(1, 3, 96, 128, generator=generator) for scale in (1.0, 0.7)]


FORMATS = dict(onnx=(False, write_onnx, run_onnx, 0.02), torchscript=(True, write_torchscript, run_torchscript, 1e-4))
QUICK = (('mask_rcnn', 'onnx'), ('mask_rcnn', 'torchscript'), ('cascade_rcnn', 'onnx'), ('FCOS', 'onnx'))
QUICK += (('GFL', 'onnx'), ('YOLOX', 'torchscript'))


def cases():
    for kind in DETECTORS:
        for form in FORMATS:
            yield pytest.param(kind, form, marks=() if (kind, form) in QUICK else pytest.mark.long)


@pytest.mark.parametrize('kind, form', list(cases()))
def test_the_graph_finds_what_the_test_finds(kind, form, tmp_path):
    script, write, run, sides = FORMATS[form]
    model = detector(DETECTORS[kind]())
    with torch.no_grad():
        expected = [EXPORTER.expected(model, image) for image in images()]
    assert sum(len(boxes.dets) for image in expected for boxes in image) > 10
    write(Graph(EXPORTER.graph(model, script), images()[0], EXPORTER.outputs(model), False, {}), tmp_path / 'file')
    found = [run(tmp_path / 'file')(image.numpy()) for image in images()]
    said = EXPORTER.difference(model, expected, found, sides).said
    agree, count = map(int, re.match(r'(\d+) of (\d+) boxes', said).groups())
    assert agree >= 0.99 * count and 'PyTorch does not' not in said, said
    assert ('; 0 % of the pixels of their masks' in said) == (kind == 'mask_rcnn'), said
    assert not any(hasattr(module, 'script') for module in model.modules())  # a copy was changed


REFUSED = dict(
    PAA=(lambda: dense(tiny_detector(), 'PAA'), 'PAAHead finds boxes in a way of its own'),
    TOOD=(lambda: dense(tiny_detector(), 'TOOD'), 'TOODHead finds boxes in a way of its own'),
    cascade_of_classes=(lambda: cascade_rcnn(tiny_detector(), class_agnostic=False), 'CascadeRCNN moves boxes by cl'),
    cascade_masks=(lambda: cascade_mask_rcnn(tiny_detector()), 'CascadeRCNN takes the mean of the masks'),
    htc=(lambda: hybrid_task_cascade(tiny_detector()), 'the HybridTaskCascadeRoIHead of HybridTaskCascade'),
)


@pytest.mark.parametrize('kind', REFUSED)
def test_refusals(kind):
    make, sentence = REFUSED[kind]
    with pytest.raises(InputError, match=sentence):
        EXPORTER.graph(build_detector(make()), False)


def test_soft_nms_is_refused():
    cfg = tiny_detector()
    cfg.test_cfg.rcnn.nms = dict(type='soft_nms', iou_threshold=0.5)
    with pytest.raises(InputError, match='StandardRoIHead suppresses boxes by soft_nms'):
        EXPORTER.graph(build_detector(cfg), False)


def test_an_image_without_objects(tmp_path):
    model = detector(tiny_detector())
    model.roi_head.test_cfg.score_thr = 1.0
    write_onnx(Graph(EXPORTER.graph(model, False), images()[0], EXPORTER.outputs(model), False, {}), tmp_path / 'file')
    dets, labels = run_onnx(tmp_path / 'file')(images()[0].numpy())
    assert dets.shape == (0, 5) and labels.shape == (0,)
    with pytest.raises(InputError, match='finds nothing on the 1 images'):
        EXPORTER.difference(model, [EXPORTER.expected(model, images()[0])], [(dets, labels)], None)


def test_what_counts_as_agreement():
    model = detector(tiny_detector())
    with torch.no_grad():
        expected = EXPORTER.expected(model, images()[0])
    dets = torch.cat([torch.from_numpy(boxes.dets) for boxes in expected]).numpy()
    labels = torch.cat([torch.full((len(boxes.dets),), i) for i, boxes in enumerate(expected)]).numpy()
    same = EXPORTER.difference(model, [expected], [(dets, labels)], None)
    assert same.said.endswith('agree: sides within 0 px, scores within 0') and not same.too_large
    moved = dets + [0.2, 0, 0, 0, 0]
    assert EXPORTER.difference(model, [expected], [(moved, labels)], None).too_large
    assert not EXPORTER.difference(model, [expected], [(moved, labels)], 0.3).too_large
    assert EXPORTER.difference(model, [expected], [(dets - [0, 0, 0, 0, 0.02], labels)], None).too_large
    assert EXPORTER.difference(model, [expected], [(dets, (labels + 1) % 3)], None).too_large
    twice = dets.repeat(2, axis=0), labels.repeat(2)
    assert 'finds' in EXPORTER.difference(model, [expected], [twice], None).said
    assert EXPORTER.difference(model, [expected], [twice], None).too_large
