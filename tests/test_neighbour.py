"""MMDetection and MMSegmentation beside this package: ``import ssod`` adds names and mends crashes, no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ENV

PROBE = Path(__file__).parent / 'neighbour_probe.py'

# Every name that the import registers. MMDetection's registries of models are one, in which mmcv's and ours are, too.
REGISTERED = {
    'mmcv.hook': {
        'AmpOptimizerHook', 'MeanTeacherHook', 'PseudoBoxImageHook', 'PseudoBoxWarningHook', 'ReleasingOptimizerHook',
        'SeedHook', 'SemiEvalHook', 'StepSharesHook', 'StopSignalHook', 'SyncBuffersEachIterHook',
        'TeacherCollapseHook', 'UnsupWeightHook',
    },
    'mmdet.models': {
        'DenseTeacher', 'JitterVarianceFilter', 'MeanTeacher', 'MixtureThresholdFilter', 'MultilevelRoIExtractor',
        'PredictionDifference', 'PredictionSpreadFilter', 'PseudoBoxIoU', 'RankThresholdFilter', 'SampledRPNHead',
        'ScoreFilter', 'SelfTraining', 'SoftTeacher', 'StudentBackgroundScore', 'Supervised',
        'SwinBackbone', 'TeacherBackgroundScore', 'TimmBackbone',
    },
    'mmcv.initializer': {'PretrainedBackbone'},
    'mmseg.models': {
        'CrossConsistency', 'CrossPseudoSupervision', 'FixMatch', 'MeanTeacherSegmentor', 'OHEMCrossEntropy',
        'SelfTrainingSegmentor', 'SimpleBaseline', 'SupervisedSegmentor', 'TimmBackbone', 'UniMatch',
    },
    'mmseg.dataset': {'LabelMapDataset', 'PseudoMapDataset', 'SemiDataset', 'UnionDataset', 'UnlabeledDataset'},
    'mmseg.pipeline': {'JitterGrayBlur', 'MultiBranch', 'NormalizeOnDevice', 'StrongColors'},
    'mmdet.dataset': {'PseudoLabelDataset', 'SemiDataset'},
    'mmdet.pipeline': {
        'AutoContrast', 'BlurImage', 'Brightness', 'Color', 'Contrast', 'Equalize', 'EraseWithNoise', 'FlipWithMatrix',
        'GrayColor', 'Identity', 'JitterColor', 'LoadInstances', 'MultiBranch', 'NormalizeOnDevice', 'Posterize',
        'RandomErasing', 'RandomOrder', 'RandomRotate', 'RandomShear', 'RandomTranslate', 'ResizeWithMatrix',
        'Sharpness', 'Solarize',
    },
}  # fmt: skip

# What `ssod.compat` mends: streams of a CUDA device, numpy scalars in checkpoints (torch makes its set anew), `np.int`.
MENDED = ['mmcv.parallel._functions:_get_stream', 'torch._weights_only_unpickler:_marked_safe_globals_set']
NEW = ['numpy:int']

# Warning filters, levels of loggers and handlers of signals after some imports.
STATE = """
import json, logging, signal, warnings
loggers = logging.root.manager.loggerDict.items()
print(json.dumps({
    'filters': sorted(map(str, warnings.filters)),
    'levels': {name: log.level for name, log in loggers if isinstance(log, logging.Logger) and log.level},
    'signals': [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
}))
"""
LIBRARIES = (
    'import torchvision, mmcv.ops, mmcv.runner, mmdet.apis, mmdet.core, mmdet.datasets, mmdet.models, mmdet.utils, '
    'mmseg.datasets, mmseg.models'
)


def run(*argv: object) -> dict:
    process = subprocess.run([sys.executable, *argv], env=ENV, text=True, capture_output=True, timeout=300)
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def changes():
    """What ``neighbour_probe.py`` finds different after the import, where all of MMDetection is imported."""
    return run(PROBE)


def test_no_attribute_of_a_module_or_class_is_replaced(changes):
    """Classes and their methods, functions, mmcv's operators and those of its extension; of torch and numpy, too."""
    assert changes['counts']['attributes'] > 50_000
    assert changes['changed'] == MENDED
    assert changes['added'] == NEW


def test_registered_names_stay_what_they_were_and_ours_are_added(changes):
    assert changes['counts']['registries'] > 20 and changes['counts']['classes'] > 400
    assert changes['replaced'] == []
    assert {name: set(classes) for name, classes in changes['registered'].items()} == REGISTERED
    assert {module.split('.')[0] for module in changes['modules'].values()} == {'ssod'}


def test_no_setting_of_the_process_changes(changes):
    """Warning filters, signal handlers, loggers, torch's defaults, its generator, numpy's print options."""
    assert changes['settings'] == []


def test_a_detector_in_float16_detects_the_same(changes):
    before, after = changes['half']
    assert before[:2] == ['SingleRoIExtractor', 'torch.float32']  # what RoIAlign is given
    assert sum(map(len, before[2:])) > 50 and after == before


def test_a_process_that_imports_ours_first_is_like_one_that_never_does():
    assert run('-c', f'import ssod; {LIBRARIES}{STATE}') == run('-c', LIBRARIES + STATE)
