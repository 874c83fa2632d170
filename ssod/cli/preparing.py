"""`ssod new` and `ssod doctor`: before training."""

import sys
from pathlib import Path

from ssod.apis import load_config, new_dataset
from ssod.apis.browse import browse as browse_data
from ssod.apis.config import Options
from ssod.apis.doctor import examine
from ssod.apis.ranges_check import SEED
from ssod.core.task import TASKS

from .options import Arguments, Checkpoint, make_parser


def new(argv: Arguments = None, prog: str | None = None) -> None:
    """Make a data set of raw folders of images and labels, and report what is in them.

    Writes data/NAME/annotations/{labeled,unlabeled,val[,test]}.json, links data/NAME/images/{labeled,...} to the
    images, none of which is copied, and writes data/NAME/soft_teacher.py, a config for this machine (mean_teacher.py
    for a detector of one stage).

      ssod new cells --labeled cells/voc --unlabeled cells/more
      ssod new cracks --task segmentation --labeled cracks/train --unlabeled cracks/more

    Label maps: PATH has the folders images and labels (or masks), PNGs of the same names with a class number in each
    pixel and 255 where it is to be ignored; the configs are data/NAME/{supervised,simple_baseline,fixmatch}/NAME.py.

      ssod new cells --labeled cells/train.json --unlabeled cells/images --val cells/val.json --classes RBC WBC
      ssod new cells --labeled cells/voc --unlabeled cells/more --detector fcos
    """
    parser = make_parser(new.__doc__, prog)
    parser.add_argument('name', metavar='NAME', help='name of the set')
    parser.add_argument('--task', choices=sorted(TASKS), default='detection', help='boxes or label maps (detection)')
    labels = 'COCO JSON, Pascal VOC or YOLO text: a folder, or the .json or data.yaml'
    parser.add_argument('--labeled', type=Path, required=True, metavar='PATH', help=labels)
    aside = 'folder of images (default: part of the labeled ones is used without labels, to try)'
    parser.add_argument('--unlabeled', type=Path, metavar='PATH', help=aside)
    own = "validation images with labels (default: the labeled set's own, else a part split off)"
    parser.add_argument('--val', type=Path, metavar='PATH', help=own)
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes to use, in this order (default: all)')
    kept = 'without --unlabeled: share of the images that keep their labels, at least 20 or half of them (default: 10)'
    parser.add_argument('--labeled-percent', type=float, default=10, metavar='P', help=kept)
    parser.add_argument('--masks', action='store_true', help='train masks, too: each labeled box needs one (COCO JSON)')
    kinds = 'faster_rcnn (default, with Soft Teacher), retinanet, fcos, atss or yolox (with a mean teacher)'
    parser.add_argument('--detector', default='faster_rcnn', metavar='KIND', help=kinds)
    parser.add_argument('--seed', type=int, default=0, help='of the parts that are drawn (default: 0)')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='where to write (default: data/NAME)')
    parser.add_argument('--force', action='store_true', help='write over a set that is there')
    args = parser.parse_args(argv)
    if not SEED.holds(args.seed):
        parser.error(f'--seed is {SEED.words}, got {args.seed}')
    options = dict(masks=args.masks, detector=args.detector)
    if args.task != 'detection':
        for name in [name for name, value in options.items() if value != parser.get_default(name)]:
            parser.error(f'--{name} is for detection')
        options = {}
    report = new_dataset(
        args.name,
        args.labeled,
        args.unlabeled,
        args.val,
        args.classes,
        args.seed,
        args.out,
        args.force,
        args.labeled_percent,
        task=args.task,
        **options,
    )
    print(report)


def doctor(argv: Arguments = None, prog: str | None = None) -> None:
    """Say what is installed here, whether it trains, and what to do if not.

    Prints versions, devices and shared memory, and trains a tiny Soft Teacher for one step on the CPU and on each GPU.
    With CONFIG also: its settings, its data, and one step of its training. The exit status is 1 if something is wrong.
    Nothing is downloaded: weights are as they are drawn.
    """
    parser = make_parser(doctor.__doc__, prog)
    parser.add_argument('config', nargs='?', metavar='CONFIG', help='config file')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    wrong = 0
    for finding in examine(args.config, args.cfg_options):
        print(finding, flush=True)
        wrong += finding.wrong
    if wrong:
        sys.exit(1)


def browse(argv: Arguments = None, prog: str | None = None) -> None:
    """Show what training really sees: its views of each image, with boxes, masks or label maps on their objects.

    Images and random draws are those of a run with this seed, from its first iteration on. With a checkpoint, the
    teacher's candidates on the weak view, by score and by variance, and in the strong view what each filter keeps
    (green) and rejects (red). DIR gets index.html, which needs no network, and sheet.png.

      ssod browse data/cells/soft_teacher.py --checkpoint work_dirs/cells/soft_teacher/latest.pth
    """
    parser = make_parser(browse.__doc__, prog, 'config')
    about = 'whose teacher looks at the unlabeled images; a file, or the work dir of a training'
    parser.add_argument('--checkpoint', action=Checkpoint, help=about)
    parser.add_argument('--number', type=int, default=8, metavar='N', help='images, half of them unlabeled (8)')
    parser.add_argument('--seed', type=int, default=0, help='of the run that is looked at (0)')
    parser.add_argument('--steps', action='store_true', help='show what each op of the pipeline leaves')
    parser.add_argument('--classes', nargs='+', default=[], metavar='CLASS', help='labeled images with one of these')
    parser.add_argument('--files', nargs='+', default=[], metavar='IMAGE', help='names or globs of images')
    where = "where the page goes (default: browse/ in the config's work dir)"
    parser.add_argument('--out', type=Path, metavar='DIR', help=where)
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.number < 1:
        parser.error(f'--number is 1 or more, got {args.number}')
    if not SEED.holds(args.seed):
        parser.error(f'--seed is {SEED.words}, got {args.seed}')
    cfg = load_config(args.config, args.cfg_options)
    out = args.out or Path(cfg.work_dir) / 'browse'
    options = (args.number, args.seed, args.steps, args.classes, args.files)
    print(browse_data(cfg, out, args.checkpoint, *options))
