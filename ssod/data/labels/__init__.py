"""Labels as files of other programs: COCO JSON, YOLO folders, Label Studio, CVAT, PNG maps; written and read back."""

from .formats import FORMATS, read_labels, write_labels
from .structure import LabeledImage, LabelObject

__all__ = ['FORMATS', 'LabelObject', 'LabeledImage', 'read_labels', 'write_labels']
