"""`ssod label`, `ssod import`, `ssod self-train`: labels go out, come back, and begin a run."""

from pathlib import Path

import torch
from mmdet.utils import setup_multi_processes

from ssod.apis import load_config
from ssod.apis.config import Options
from ssod.apis.labels import import_labels, label_folder, prepare_self_training
from ssod.data.labels import FORMATS

from .options import Arguments, make_parser


def label(argv: Arguments = None, prog: str | None = None) -> None:
    """Let a model label images for people to correct, and say which of them to label next.

    DIR gets the labels in the format, images/ (links), and label_next.csv and .json: the images in the order in which
    they are worth a look, with the reasons: student and teacher disagree, boxes move under jitter, a class is rare.

      coco         labels.json, with scores; masks as run lengths
      yolo         labels/*.txt and data.yaml; masks as polygons; also what a YOLO is trained on
      labelstudio  tasks.json, predictions with scores; interface.xml
      cvat         annotations.xml, "CVAT for images 1.1", scores as an attribute
      png          maps/*.png: label maps, or maps of the objects of a detector with masks

    Corrected files come back with `ssod import`. See docs/labels.md.
    """
    parser = make_parser(label.__doc__, prog, 'config', 'checkpoint')
    parser.add_argument('--images', nargs='+', required=True, metavar='IMAGES', help='images, folders, or globs')
    parser.add_argument('--format', choices=sorted(FORMATS), required=True, help='of the labels')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='a new or empty folder')
    parser.add_argument('--score-thr', type=float, help='lowest score written, of every class')
    said = 'JSON with a threshold for each class (default: thresholds.json beside the checkpoint, else 0.5)'
    parser.add_argument('--thresholds', type=Path, metavar='FILE', help=said)
    better = "who labels (default: what best.json or the training's log says was better, else the config's)"
    parser.add_argument('--model', choices=['student', 'teacher'], help=better)
    parser.add_argument('--top', type=int, metavar='N', help='write the N images that are worth most alone')
    parser.add_argument('--device', help='cpu, cuda:0 ... (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.score_thr is not None and not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr is a score in [0, 1], got {args.score_thr}')
    if args.score_thr is not None and args.thresholds:
        parser.error('--score-thr and --thresholds say the same thing: give one of them')
    if args.top is not None and args.top < 1:
        parser.error(f'--top is 1 or more, got {args.top}')
    if (args.device or '').startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'no GPU for --device {args.device}: use --device cpu')
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    limits = (args.score_thr, args.thresholds, args.model, args.top, args.device)
    print(label_folder(cfg, args.checkpoint, args.images, args.format, args.out, *limits))


def import_(argv: Arguments = None, prog: str | None = None) -> None:
    """Take corrected labels into the labeled part of a data set of `ssod new`, and out of the unlabeled one.

    FILES are COCO .json, a Label Studio export (.json), CVAT .xml, YOLO folders (with data.yaml) or folders of PNG
    maps. Every image in them counts as corrected; --only names those that are. Classes and images have to be those of
    the set. What is replaced is kept in data/NAME/backups. Training goes on as a new run: the command is printed.

      ssod import cells corrected.xml
    """
    parser = make_parser(import_.__doc__, prog)
    parser.add_argument('set', metavar='NAME_OR_CONFIG', help='name or folder of the set, or a config of it')
    parser.add_argument('files', nargs='+', type=Path, metavar='FILES', help='files or folders of labels')
    parser.add_argument('--format', choices=sorted(FORMATS), help='of the files (default: what they look like)')
    only = 'names or globs of the images to take (default: all of the files)'
    parser.add_argument('--only', nargs='+', default=[], metavar='IMAGE', help=only)
    parser.add_argument('--dry-run', action='store_true', help='say what would change, and change nothing')
    args = parser.parse_args(argv)
    print(import_labels(args.set, args.files, args.format, args.only, args.dry_run))


def self_train(argv: Arguments = None, prog: str | None = None) -> None:
    """Start a run from the labels of any model: train CONFIG's detector on its labeled images and on LABELS.

    LABELS is COCO JSON with a score for each annotation, or a list of results, of Grounding DINO, a YOLO, or
    `ssod pseudo-label`; its images and classes are found by name among the unlabeled images of CONFIG. DIR gets
    self_training.py, a config, and pseudo_labels.json; then the training starts.

      ssod self-train data/cells/soft_teacher.py found.json --work-dir work_dirs/cells/self_training
    """
    from .training import train

    parser = make_parser(self_train.__doc__, prog, 'config')
    parser.add_argument('labels', type=Path, metavar='LABELS', help='COCO JSON with scores')
    parser.add_argument('--score-thr', type=float, help="learn from labels above it (the config's pseudo_score_thr)")
    where = "where config, labels and checkpoints go (default: the config's work dir and _self_training)"
    parser.add_argument('--work-dir', type=Path, metavar='DIR', help=where)
    parser.add_argument('--prepare', action='store_true', help='write config and labels, and do not train')
    parser.add_argument('--seed', type=int, help='of the training')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.score_thr is not None and not 0 <= args.score_thr < 1:
        parser.error(f'--score-thr is a score in [0, 1), got {args.score_thr}')
    if args.prepare and args.seed is not None:
        parser.error('--prepare does not train: --seed would do nothing')
    cfg = load_config(args.config, args.cfg_options)
    work_dir = args.work_dir or Path(f'{cfg.work_dir.rstrip("/")}_self_training')
    score_thr = cfg.get('pseudo_score_thr', 0.9) if args.score_thr is None else args.score_thr
    config, said = prepare_self_training(cfg, args.labels, score_thr, work_dir)
    print(f'{config}: {said}', flush=True)
    if args.prepare:
        print(f'ssod train {config} --work-dir {work_dir}')
        return
    seed = [] if args.seed is None else ['--seed', str(args.seed)]
    train([str(config), '--work-dir', str(work_dir), *seed], 'ssod train')
