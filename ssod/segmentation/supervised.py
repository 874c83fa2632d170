"""The supervised baseline of a segmentor, with its moving average."""

from mmseg.models import SEGMENTORS

from ssod.core.supervised import SupervisedModel

from .base import TeacherStudentSegmentor


@SEGMENTORS.register_module()
class SupervisedSegmentor(SupervisedModel, TeacherStudentSegmentor):
    """:class:`ssod.core.supervised.SupervisedModel` over an ``EncoderDecoder`` of MMSegmentation."""
