"""MMDetection 3's SoftTeacher as a contestant: ``PYTHON mmdet3.py KIND CASE_DIR``, its environment's Python."""

from copy import deepcopy
from pathlib import Path

import mmdet
import numpy as np
import torch
from mmdet.engine.hooks import MeanTeacherHook
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from benchmarks.contestant import PlainOptimizer, Run, detecting, load_weights, loading, peer_loader, serve
from benchmarks.counting import counting
from benchmarks.measuring import Parts

LOADER_CONFIG = 'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'

TRAINING_PARTS = dict(
    loss_by_gt_instances='sup forward',
    get_pseudo_instances='teacher',
    rpn_loss_by_pseudo_instances='unsup rpn',
    rcnn_cls_loss_by_pseudo_instances='unsup cls loss',
    rcnn_reg_loss_by_pseudo_instances='unsup reg loss',
)


def build_model(folder: Path, case: dict) -> torch.nn.Module:
    """Its SoftTeacher with the case's settings and weights."""
    register_all_modules()
    semi = case['model']['semi_train_cfg']
    detector = case['model']['detector']
    detector['roi_head']['bbox_roi_extractor']['roi_layer'].pop('use_torchvision', None)  # as its configs
    detector['data_preprocessor'] = dict(type='DetDataPreprocessor', pad_size_divisor=32)
    cfg = dict(
        type='SoftTeacher',
        detector=detector,
        data_preprocessor=dict(
            type='MultiBranchDataPreprocessor', data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32)
        ),
        semi_train_cfg=dict(
            freeze_teacher=True,
            sup_weight=semi['sup_weight'],
            unsup_weight=semi['unsup_weight'],
            pseudo_label_initial_score_thr=semi['candidate_score_thr'],
            rpn_pseudo_thr=semi['rpn_filter']['thr'],
            cls_pseudo_thr=semi['cls_filter']['thr'],
            reg_pseudo_thr=semi['reg_filter']['thr'],
            jitter_times=semi['reg_filter']['num_jitters'],
            jitter_scale=semi['reg_filter']['jitter_scale'],
            min_pseudo_bbox_wh=(1e-2, 1e-2),
        ),
        semi_test_cfg=dict(predict_on='student'),
    )
    model = MODELS.build(ConfigDict(cfg))
    load_weights(model, folder)
    return model.to(case['device'])


def data_samples(view: dict, device: str) -> list[DetDataSample]:
    """Its own structure for the images of a view."""
    height, width = view['img'].shape[-2:]
    shapes = dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape', 'batch_input_shape'), (height, width))
    samples = []
    for i, matrix in enumerate(view['matrices']):
        matrix = matrix.numpy().astype(np.float32)
        sample = DetDataSample(metainfo=dict(**shapes, scale_factor=(1.0, 1.0), homography_matrix=matrix))
        boxes = view.get('gt_bboxes', {i: torch.zeros(0, 4)})[i].to(device)
        labels = view.get('gt_labels', {i: torch.zeros(0, dtype=torch.long)})[i].to(device)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])
        samples.append(sample)
    return samples


def step_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Its training step: losses, backward, optimizer, EMA; autocast over all of the losses, as its wrapper does."""
    model = build_model(folder, case)
    for method, part in TRAINING_PARTS.items():
        parts.watch(model, method, part)
    parts.watch(model.student, 'extract_feat', 'student backbone')
    settings = {key: value for key, value in case['optimizer'].items() if key not in ('type', 'lr')}
    trained = [parameter for parameter in model.student.parameters() if parameter.requires_grad]
    optimizer = getattr(torch.optim, case['optimizer']['type'])(trained, lr=0.0, **settings)
    trainer = PlainOptimizer(optimizer, parts, case['amp'])
    mean_teacher = MeanTeacherHook()
    batch = torch.load(folder / 'batch.pth')
    inputs = {name: view['img'].to(case['device']) for name, view in batch.items()}
    samples = {name: data_samples(view, case['device']) for name, view in batch.items()}
    model.train()

    def run() -> dict:
        own = deepcopy(samples)  # a step writes into them
        with torch.autocast(case['device'], getattr(torch, case['amp'] or 'bfloat16'), enabled=bool(case['amp'])):
            losses = model.loss(inputs, own)
        loss, log_vars = model.parse_losses(losses)
        trainer.update(loss)
        with parts('EMA'):
            mean_teacher.momentum_update(model, 0.001)
        return {name: float(value.detach()) for name, value in log_vars.items()}

    return run


def loader_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Some batches of its data set and collation, always with the case's number of either kind."""
    register_all_modules()
    cfg = Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs' / LOADER_CONFIG)
    sources = cfg.train_dataloader.dataset.datasets
    for source, file in zip(sources, ('labeled.json', 'unlabeled.json'), strict=True):
        source.update(data_root='', ann_file=str(folder / file), data_prefix=dict(img=''))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    lengths = [len(source) for source in dataset.datasets]
    return loading(peer_loader(dataset, lengths, pseudo_collate, case), case)


def ema_run(folder: Path, case: dict, parts: Parts) -> Run:
    """One update of the teacher."""
    model, mean_teacher = build_model(folder, case), MeanTeacherHook()
    return lambda: mean_teacher.momentum_update(model, 0.001)


def inference_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Detections on the case's unlabeled images, one after another."""
    model = build_model(folder, case).eval()
    view = torch.load(folder / 'batch.pth')['unsup_teacher']
    return detecting(
        lambda image, sample: len(model.predict(image, [deepcopy(sample)])[0].pred_instances),
        view['img'].to(case['device']),
        data_samples(view, case['device']),
    )


if __name__ == '__main__':
    serve(dict(step=step_run, count=counting(step_run), loader=loader_run, ema=ema_run, inference=inference_run))
