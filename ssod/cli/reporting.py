"""`ssod report`."""

from pathlib import Path

from ssod.apis.report import write_report

from .options import Arguments, make_parser


def report(argv: Arguments = None, prog: str | None = None) -> None:
    """Write one HTML file on a training, which needs no network: WORK_DIR/report.html.

    Verdict, curves, classes with the best threshold of each, what is taken for what, the worst and best images, pseudo
    labels beside the truth, the config beside its base, the environment. A training writes it at its end, too. Where
    the run has not kept what its best checkpoint finds on the validation images, that is computed.

      ssod report work_dirs/cells/soft_teacher
    """
    parser = make_parser(report.__doc__, prog)
    parser.add_argument('work_dir', type=Path, metavar='WORK_DIR', help='of a training')
    parser.add_argument('--no-predictions', action='store_true', help='compute nothing: report what the run has kept')
    parser.add_argument('--svg', action='store_true', help='charts as SVG, not by plotly, whose script is 5 MB')
    parser.add_argument('--out', type=Path, metavar='FILE.html', help='where to write (default: WORK_DIR/report.html)')
    args = parser.parse_args(argv)
    path = write_report(args.work_dir, not args.no_predictions, False if args.svg else None, args.out)
    print(f'{path}: open it in a browser')
