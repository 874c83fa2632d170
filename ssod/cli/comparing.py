"""`ssod compare`."""

from pathlib import Path

from ssod.apis.comparison import compare as compare_runs
from ssod.apis.config import Options
from ssod.apis.ranges_check import SEED

from .options import Arguments, make_parser


def compare(argv: Arguments = None, prog: str | None = None) -> None:
    """Do the unlabeled images help? Train a config's method beside its baseline and label-once, and say so.

    The baseline is the same detector with the same average, views, schedule and labeled images per step, without
    unlabeled images. Label-once is a new student that learns from what the baseline finds on the unlabeled images.
    Both are derived from CONFIG. Run again, it continues; runs that are finished are not trained again. The folder gets
    verdict.json, verdict.md and verdict.png: three columns per seed, the difference with its 95 % interval, also per
    class, what to take, and why.

      ssod compare data/cells/soft_teacher.py --seeds 0 1 2
    """
    parser = make_parser(compare.__doc__, prog, 'config')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='a run of each kind for each seed (0)')
    parser.add_argument(
        '--jobs', type=int, metavar='N', help='runs at a time (default: one a GPU, or for four cores, two at least)'
    )
    parser.add_argument('--work-dir', type=Path, help="where everything goes (default: compare/ in the config's)")
    parser.add_argument('--skip', nargs='+', default=[], choices=['label_once'], help='what to leave out')
    parser.add_argument('--report', action='store_true', help='train nothing, judge what is finished')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.report and (args.cfg_options or args.jobs):
        parser.error('--report judges the runs as they were trained: --cfg-options and --jobs would do nothing')
    if args.jobs is not None and args.jobs < 1:
        parser.error(f'--jobs is a number of runs, got {args.jobs}')
    if not all(map(SEED.holds, args.seeds)):
        parser.error(f'--seeds are whole numbers from 0 to 4294967295, got {args.seeds}')
    if len(set(args.seeds)) < len(args.seeds):
        parser.error(f'--seeds holds a seed twice: {args.seeds}')
    plan, verdict = compare_runs(
        args.config, args.cfg_options, args.work_dir, args.seeds, args.jobs, args.skip, args.report
    )
    print(f'\n{(plan.folder / "verdict.md").read_text(encoding="utf-8")}')
    print(f'{verdict["sentence"]}\n{plan.folder}/verdict.json, verdict.md, verdict.png')
