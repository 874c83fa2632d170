"""The supervised baseline of a detector, with its moving average."""

from mmdet.models import DETECTORS

from ssod.core.supervised import SupervisedModel

from .base import TeacherStudentDetector


@DETECTORS.register_module()
class Supervised(SupervisedModel, TeacherStudentDetector):
    """:class:`ssod.core.supervised.SupervisedModel` over any detector of MMDetection.

    Examples:
        >>> from mmcv import Config
        >>> import ssod
        >>> detector = Config.fromfile('configs/_base_/models/faster_rcnn_r18_narrow_scratch.py').model
        >>> model = dict(type='Supervised', detector=detector, semi_train_cfg=dict(ema=dict(momentum=0.998)))
    """
