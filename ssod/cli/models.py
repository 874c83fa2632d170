"""`ssod predict`, `ssod pseudo-label` and `ssod publish`: what a trained detector is good for."""

import os.path as osp
from pathlib import Path

import mmdet
import torch
from mmdet.utils import setup_multi_processes

from ssod.apis import load_config, predict_images
from ssod.apis.config import Options
from ssod.apis.labeling import label_images
from ssod.apis.predictor import recommended
from ssod.apis.publishing import publish as publish_model
from ssod.core.tiles import OVERLAP

from .options import Arguments, add_positional, add_run_options, join_processes, make_parser


def predict(argv: Arguments = None, prog: str | None = None, images_first: bool = False) -> None:
    """Predict on images and videos: pictures with boxes, names and scores, or in the colors of classes; one JSON file.

    DIR gets a picture for each image, under its name, an MP4 for each video, and predictions.json: a list in COCO's
    result format, which says file, frame and class by name as well. Of label maps it has the share of each class, and
    beside each picture are NAME_labels.png and NAME_colors.png. Images are files, folders (with those below) or globs,
    of any size: --tile looks at large ones piece by piece.
    """
    parser = make_parser(predict.__doc__, prog, *([] if images_first else ['config', 'checkpoint']))
    parser.add_argument('images', nargs='+', metavar='IMAGES', help='images, videos, folders, or globs')
    if images_first:
        add_positional(parser, 'config', 'checkpoint')
    where = 'where pictures and predictions.json go'
    parser.add_argument('--out', '--output', type=Path, required=True, metavar='DIR', help=where)
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score shown and written (0.3)')
    better = "default: what best.json or the training's log beside the checkpoint says was better, else the config's"
    parser.add_argument('--model', '--eval-on', choices=['student', 'teacher'], help=better)
    parser.add_argument(
        '--batch-size', type=int, metavar='N', help="images at a time (default: as in the config's test)"
    )
    parser.add_argument('--tile', type=int, metavar='SIZE', help='look at tiles of SIZE pixels, for large images')
    share = f'least share of its side that a tile has in common with the next, as large as the objects ({OVERLAP})'
    parser.add_argument('--overlap', type=float, metavar='SHARE', help=share)
    parser.add_argument('--every', type=int, default=1, metavar='N', help='look at every Nth frame of videos (1)')
    parser.add_argument('--device', help='cpu, cuda:0 ... (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr is a score in [0, 1], got {args.score_thr}')
    if args.overlap is not None and args.tile is None:
        parser.error('--overlap is of tiles: give --tile SIZE too')
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f'--batch-size is 1 or more, got {args.batch_size}')
    if (args.device or '').startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'no GPU for --device {args.device}: use --device cpu')
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    options = dict(score_thr=args.score_thr, predict_on=args.model, batch_size=args.batch_size, device=args.device)
    tiles = dict(tile=args.tile, overlap=OVERLAP if args.overlap is None else args.overlap)
    print(predict_images(cfg, args.checkpoint, args.images, args.out, **options, **tiles, every=args.every))


def pseudo_label(argv: Arguments = None, prog: str | None = None) -> None:
    """Let a detector or segmentor label a config's unlabeled images.

    It is a supervised baseline, or the student or teacher of a semi-supervised one. It predicts as in a test
    (data.test.pipeline). A detector's OUT is a COCO file: the images and categories of the unlabeled annotation file,
    and as annotations the detections above --score-thr, each with its score; PseudoLabelDataset reads it. A segmentor's
    OUT is a folder of label maps, a PNG for each image; PseudoMapDataset reads it.
    """
    parser = make_parser(pseudo_label.__doc__, prog, 'config', 'checkpoint')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='OUT', help='where the pseudo labels go: FILE.json, or a folder'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        help='write boxes with a score above it (0.5, or pseudo_score_thr if that is lower); ignore pixels below',
    )
    parser.add_argument('--eval-on', choices=['student', 'teacher'], help="default: the config's predict_on")
    maps = parser.add_argument_group('label maps')
    maps.add_argument('--scales', nargs='+', type=float, metavar='S', help='of the image (0.5 0.75 1 1.25 1.5 1.75)')
    maps.add_argument('--no-flip', action='store_true', help='no mirrored images')
    maps.add_argument('--sum', choices=['logits', 'softmax'], help='what is summed over them (logits)')
    add_run_options(parser)
    args = parser.parse_args(argv)
    if args.scales is not None and min(args.scales) <= 0:
        parser.error(f'--scales are above 0, got {min(args.scales)}')
    if args.score_thr is not None and not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr is a score in [0, 1], got {args.score_thr}')
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    distributed = join_processes(args)
    given = dict(scales=args.scales and tuple(args.scales), flip=False if args.no_flip else None, sum=args.sum)
    options = {key: value for key, value in given.items() if value is not None}
    written = label_images(cfg, args.checkpoint, args.out, args.score_thr, args.eval_on, distributed, **options)
    if written:
        print(written)


def publish(argv: Arguments = None, prog: str | None = None) -> None:
    """Make a plain MMDetection model of student or teacher.

    Writes NAME-HASH.pth, HASH being the first 8 digits of the file's sha256: the weights of one of the two under the
    plain detector's names, without optimizer. Beside it NAME-HASH.py, the plain detector's config with the data it was
    evaluated on. Neither needs this repository:

        python .../mmdet/.mim/tools/test.py NAME-HASH.py NAME-HASH.pth --eval bbox

    Takes checkpoints of ours and of the authors' repository. The weights can start a new run (load_from).
    """
    parser = make_parser(publish.__doc__, prog, 'checkpoint')
    better = "default: what best.json or the training's log beside the checkpoint says was better, else the student"
    parser.add_argument('--model', choices=['student', 'teacher'], help=better)
    parser.add_argument('--out', required=True, metavar='NAME.pth', help='the file; its hash is added to the name')
    args = parser.parse_args(argv)
    model, why = (args.model, 'as asked') if args.model else recommended(args.checkpoint, 'student')
    weights, config = publish_model(args.checkpoint, args.out, model)
    print(f'{weights}: the {model} ({why}), {weights.stat().st_size / 2**20:.1f} MiB')
    if config is None:
        print('The checkpoint holds no config: use the one of the plain detector that it was trained with.')
        return
    package, metric = ('mmseg', 'mIoU') if 'decode_head' in config.read_text() else ('mmdet', 'bbox')
    tool = osp.join(osp.dirname(osp.dirname(mmdet.__file__)), package, '.mim/tools/test.py')
    print(f'python {tool} {config} {weights} --eval {metric}')
