"""The command `ssod`, and what tools/train.py, test.py, pseudo_label.py and publish_model.py call.

    ssod new NAME --labeled PATH --unlabeled PATH        a data set of raw folders, and a config for it
    ssod browse CONFIG [--checkpoint C]                  what training sees: views, labels, what the teacher finds
    ssod train CONFIG                                    train a detector, semi-supervised or not
    ssod test CONFIG CHECKPOINT --eval bbox              evaluate a checkpoint
    ssod predict CONFIG CHECKPOINT IMAGES --out DIR      detect on images, videos: pictures, one JSON file
    ssod pseudo-label CONFIG CHECKPOINT --out FILE.json  let a model label a config's unlabeled images
    ssod label CONFIG CHECKPOINT --images DIR ...        labels for people to correct, and which to label next
    ssod import NAME FILES                               corrected labels back into a data set of `ssod new`
    ssod self-train CONFIG LABELS.json                   train on the labels of any model, chosen by score
    ssod compare CONFIG                                  do the unlabeled images help? beside baseline, label-once
    ssod report WORK_DIR                                 one HTML file on a training
    ssod publish CHECKPOINT --out NAME.pth               a plain MMDetection model of student or teacher
    ssod export CONFIG CHECKPOINT --format onnx          a file that runs without MMDetection, compared with PyTorch
    ssod doctor [CONFIG]                                 what is installed here, and whether it trains

`ssod COMMAND --help` says more, `ssod --version` which version this is. On several GPUs: tools/dist_train.sh,
tools/dist_test.sh, or torchrun.
"""

import sys
from collections.abc import Callable

import ssod
from ssod.apis.checks import run_command

from .comparing import compare
from .exporting import export
from .labels import import_, label, self_train
from .models import predict, pseudo_label, publish
from .preparing import browse, doctor, new
from .reporting import report
from .training import replay, test, train

__all__ = [
    'COMMANDS',
    'browse',
    'compare',
    'doctor',
    'export',
    'import_',
    'label',
    'main',
    'new',
    'predict',
    'pseudo_label',
    'publish',
    'replay',
    'report',
    'run_command',
    'self_train',
    'test',
    'train',
]

COMMANDS: dict[str, Callable[..., None]] = {
    'new': new,
    'browse': browse,
    'train': train,
    'test': test,
    'predict': predict,
    'pseudo-label': pseudo_label,
    'label': label,
    'import': import_,
    'self-train': self_train,
    'compare': compare,
    'report': report,
    'publish': publish,
    'export': export,
    'doctor': doctor,
}


def main() -> None:
    """`ssod COMMAND ...`; bad input ends in one sentence."""
    name, *rest = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(__doc__)
    elif name == '--version':
        print(f'ssod {ssod.__version__}')
    elif name not in COMMANDS:
        sys.exit(f'error: no command {name!r}: ssod has {", ".join(COMMANDS)}')
    else:
        run_command(lambda: COMMANDS[name](rest, f'ssod {name}'))
