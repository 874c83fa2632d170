"""Run by torchrun (see test_dist.py): train configs one after another in the same processes."""

import math
import sys
import time
from unittest import mock

import torch
import torch.distributed as dist
from mmcv import Config

from ssod.apis import load_config, train_detector
from ssod.compat import init_distributed


def small(path: str, root: str, pseudo_ann: str) -> Config:
    """The config with two iterations on tiny images; an ablation with a ResNet-18 in place of its ResNet-50."""
    wrapped = 'detector.' if 'detector' in Config.fromfile(path).model else ''
    options = {
        'data_root': root,
        'train_scale': [(64, 48), (64, 64)],
        'data.samples_per_gpu': 2 + ('/dense_teacher/' in path),  # whose ratio is 2 : 1
        'data.workers_per_gpu': 0,
        'runner.max_iters': 2,
        'checkpoint_config.save_last': False,
        'log_config': dict(interval=1, hooks=[]),
        f'model.{wrapped}backbone.init_cfg': None,
    }
    detector = Config.fromfile(path).model
    detector = detector.get('detector', detector)
    if 'roi_head' in detector:
        options[f'model.{wrapped}train_cfg.rpn_proposal.max_per_img'] = 50
        for place in places(detector.train_cfg.rcnn, 'train_cfg.rcnn'):
            options[f'model.{wrapped}{place}.sampler.num'] = 32
        for place in places(detector.roi_head.bbox_head, 'roi_head.bbox_head'):
            options[f'model.{wrapped}{place}.fc_out_channels'] = 64
    if '_swin_' in path:  # as wide as a ResNet-18, with a block or two a stage
        sizes = dict(embed_dims=24, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), window_size=7)
        options |= {f'model.{wrapped}backbone.{name}': value for name, value in sizes.items()}
        options[f'model.{wrapped}neck.in_channels'] = [24, 48, 96, 192]
    if '/ablations/' in path:
        options |= {
            f'model.{wrapped}backbone.depth': 18,
            f'model.{wrapped}backbone.style': 'pytorch',
            f'model.{wrapped}neck.in_channels': [64, 128, 256, 512],
        }
    cfg = load_config(path, options)
    if cfg.data.get('sampler', {}).get('decay'):
        cfg.data.sampler.decay.update(iters=1, max_iters=2)
    unlabeled = cfg.data.train.get('unlabeled', {})
    if unlabeled.get('type') == 'PseudoLabelDataset':
        unlabeled.ann_file = pseudo_ann
    cfg.pop('evaluation')
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.type != 'UnsupWeightHook']
    return cfg


def places(section, place: str) -> list[str]:
    """Where the settings of each stage are: of a cascade in a list."""
    return [f'{place}.{i}' for i in range(len(section))] if isinstance(section, list) else [place]


def main(work_dir: str, root: str, pseudo_ann: str, paths: list[str]) -> None:
    init_distributed()
    for path in paths:
        start = time.time()
        cfg = small(path, root, pseudo_ann)
        cfg.work_dir = work_dir
        torch.manual_seed(0)
        # The first formats the config's text, the second lets mmcv's runner wait for its loggers: seconds a config.
        with (
            mock.patch('mmcv.utils.config.FormatCode', lambda text, **_: (text, True)),
            mock.patch('mmcv.runner.iter_based_runner.time.sleep'),
        ):
            runner = train_detector(cfg, seed=0, distributed=True)
        loss = runner.outputs['log_vars']['loss']
        assert runner.iter == 2 and math.isfinite(loss) and loss > 0, path
        if dist.get_rank() == 0:
            print(f'trained {path} ({time.time() - start:.1f} s)', flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:4], sys.argv[4:])
