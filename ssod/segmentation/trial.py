"""A Simple Baseline that trains in a moment, on made data: whether an installation can."""

import numpy as np
import torch
from mmcv import ConfigDict

from .simple_baseline import SimpleBaseline

NUM_CLASSES = 3


def trial() -> tuple[SimpleBaseline, dict[str, dict]]:
    """A tiny model, on the CPU, and a batch for it: two labeled images and two with pseudo labels."""
    model = SimpleBaseline(tiny_segmentor())
    return model.train(), dict(sup=view('labeled', False), unsup_student=view('unlabeled', True))


def view(name: str, pseudo: bool) -> dict:
    """One branch of a batch: two images of 48 x 64 pixels with label maps, drawn by its name."""
    shape = (48, 64, 3)
    metas = [
        dict(
            filename=f'{name}{i}', ori_filename=f'{name}{i}', ori_shape=shape, img_shape=shape, pad_shape=shape,
            scale_factor=np.ones(4, np.float32), flip=False, flip_direction=None, pseudo=pseudo,
            img_norm_cfg=dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False),
        )
        for i in range(2)
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    images = torch.randn(2, 3, *shape[:2], generator=generator)
    labels = torch.randint(0, NUM_CLASSES, (2, 1, *shape[:2]), generator=generator)
    return dict(img=images, img_metas=metas, gt_semantic_seg=labels)


def tiny_segmentor() -> ConfigDict:
    """DeepLabV3+ of stride 16 on a ResNet-18 that is 8 to 64 channels wide."""
    norm_cfg = dict(type='BN', requires_grad=True)
    return ConfigDict(
        type='EncoderDecoder',
        backbone=dict(
            type='ResNetV1c', depth=18, stem_channels=8, base_channels=8, norm_cfg=norm_cfg, style='pytorch',
            dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1), contract_dilation=True,
        ),
        decode_head=dict(
            type='DepthwiseSeparableASPPHead', in_channels=64, in_index=3, channels=16, dilations=(1, 6),
            c1_in_channels=8, c1_channels=4, dropout_ratio=0.1, num_classes=NUM_CLASSES, norm_cfg=norm_cfg,
            align_corners=True, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        auxiliary_head=None,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )  # fmt: skip
