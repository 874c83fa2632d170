"""Runs mmcv's NMS and RoIAlign on the CPU, and on the GPU if torch sees one; exits with 0 if the results are right.

python tools/prove_mmcv.py              whatever computes them
python tools/prove_mmcv.py --compiled   only mmcv's own compiled operators count
python tools/prove_mmcv.py --cpu        ask no GPU, even where there is one
"""

import argparse
from pathlib import Path

import mmcv
import torch
from mmcv import _ext
from mmcv.ops import nms, roi_align


def prove(device: str) -> None:
    """Raise AssertionError if NMS or RoIAlign give something else than the known result on ``device``."""
    boxes = torch.tensor([[0, 0, 10, 10.0], [0, 0, 9, 9], [20, 20, 30, 30]], device=device)
    _, keep = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    assert keep.tolist() == [0, 2], f'NMS on {device} keeps {keep.tolist()} and not [0, 2]'
    rois = torch.tensor([[0, 0, 0, 4, 4.0]], device=device)
    pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), rois, (2, 2))
    assert torch.allclose(pooled, torch.ones_like(pooled)), f'RoIAlign on {device} gives {pooled.tolist()} for ones'


def main() -> None:
    """Prove the operators on every device asked for; say which module they come from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--compiled', action='store_true', help="only mmcv's own compiled operators count")
    parser.add_argument('--cpu', action='store_true', help='ask no GPU')
    args = parser.parse_args()

    compiled = Path(_ext.__file__).suffix != '.py'
    assert compiled or not args.compiled, f'the operators are not compiled: {_ext.__file__}'
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() and not args.cpu else ['cpu']
    for device in devices:
        prove(device)
    print(f'mmcv {mmcv.__version__}: operators of {_ext.__file__} work on {" and ".join(devices)}')


if __name__ == '__main__':
    main()
