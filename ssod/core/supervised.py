"""Supervised training with a moving average: the baseline that a semi-supervised method has to beat."""

from typing import Any

from torch import Tensor

from .teacher_student import TeacherStudent, reduced


class SupervisedModel(TeacherStudent):
    """A student that learns from labeled images alone, in ordinary batches of its own kind; the teacher averages it.

    The teacher teaches nothing. What it is better than the student is what averaging brings without an unlabeled
    image: a method's gain is measured against the better of the two.
    """

    def forward(self, img: Any = None, img_metas: Any = None, return_loss: bool = True, **kwargs: Any) -> Any:
        """Losses of a batch (``return_loss``), or the predictions for ``img``."""
        if return_loss:
            return self.forward_train(img=img, img_metas=img_metas, **kwargs)
        return self.forward_test(img, img_metas, **kwargs)

    def forward_train(self, **batch: Any) -> dict[str, Tensor]:
        """The student's own losses and measures; each is a scalar."""
        return reduced(self.student.forward_train(**self.preprocess(batch)))

    def count_images(self, data: dict[str, Any]) -> int:
        """Images of the batch."""
        return len(data['img_metas'])
