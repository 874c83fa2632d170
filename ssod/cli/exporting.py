"""`ssod export`: a trained model for those who have no MMDetection, and no PyTorch."""

from pathlib import Path

from mmdet.utils import setup_multi_processes

from ssod.apis import load_config
from ssod.apis.config import Options
from ssod.apis.export import FORMATS, Form, export_model
from ssod.apis.overrides import merge_options
from ssod.apis.publishing import config_in

from .options import Arguments, add_positional, make_parser


def export(argv: Arguments = None, prog: str | None = None) -> None:
    """Export the student or the teacher, alone: as ONNX, as TorchScript, or its weights as safetensors.

    The file is run on some images, and the difference from PyTorch is printed; if it is too large no file is left.
    Without CONFIG the config in the checkpoint is taken; its text is read and not run. Weights in safetensors are a
    CHECKPOINT for the other commands. What goes in and out, and ten lines that run the file: docs/export.md.

      ssod export data/cells/soft_teacher.py work_dirs/cells/soft_teacher/best.pth --format onnx
    """
    parser = make_parser(export.__doc__, prog)
    parser.add_argument('config', nargs='?', help='config file (default: the config in the checkpoint)')
    add_positional(parser, 'checkpoint')
    parser.add_argument('--format', choices=list(FORMATS), required=True, help='of the file')
    parser.add_argument('--out', type=Path, metavar='FILE', help="default: beside the checkpoint, the format's ending")
    better = "default: what best.json or the training's log beside the checkpoint says was better, else the config's"
    parser.add_argument('--model', '--predict-on', choices=['student', 'teacher'], help=better)
    compared = 'images, folders or globs to compare on (default: validation images)'
    parser.add_argument('--images', nargs='+', default=[], metavar='IMAGES', help=compared)
    size = "width and height of the input (default: the test pipeline's scale)"
    parser.add_argument('--size', nargs=2, type=int, metavar=('W', 'H'), help=size)
    parser.add_argument('--dynamic', action='store_true', help='the input may have other sizes too (ONNX)')
    far = "pixels that a box's side may move (0.1), or share of pixels that may have another class (0.001)"
    parser.add_argument('--tolerance', type=float, metavar='X', help=far)
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.size and min(args.size) < 32:
        parser.error(f'--size is 32 or more, got {min(args.size)}')
    if args.tolerance is not None and not args.tolerance >= 0:
        parser.error(f'--tolerance is 0 or more, got {args.tolerance}')
    form = Form(args.format, args.size and tuple(args.size), args.dynamic, args.tolerance)
    if args.config:
        cfg = load_config(args.config, args.cfg_options)
    else:
        cfg = config_in(args.checkpoint)
        merge_options(cfg, args.cfg_options)
    setup_multi_processes(cfg)
    print(export_model(cfg, args.checkpoint, form, args.out, args.images, args.model))
