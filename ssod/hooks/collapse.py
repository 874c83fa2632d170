"""A teacher that teaches less and less, or the same to all: said with figures while the run can still be mended."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook

from ssod.core import Batch, SemiModel
from ssod.core.class_tally import ClassTally
from ssod.core.views import first_image

# Images in an interval on which teacher and student are compared.
LOOKS = 10
# Fewer labels per class say nothing about shares: with ten their distance is off by about 0.1.
LABELS_PER_CLASS = 10
BACK = 'continue from a checkpoint before it began'


@HOOKS.register_module()
class TeacherCollapseHook(Hook):
    """Warns, once for each cause, of a teacher that collapses: with figures, and what to do.

    Every ``interval`` iterations it looks at three figures, and speaks of one that is bad twice in a row:

    - number: there were pseudo labels, and now there are none;
    - classes: the pseudo labels' shares of the classes are far from the labels' (boxes of Soft Teacher and Mean
      Teacher, pixels of FixMatch, UniMatch, Mean Teacher and Cross Pseudo Supervision);
    - scores: on the same weak views the teacher's surest predictions have other scores than the student's (ten images
      an interval, about a thousandth of the time of a run).

    Every training of a :class:`ssod.core.SemiModel` has this hook. It looks at the images of process 0, and says
    nothing of a burn-in. It changes nothing that is trained or drawn.

    Args:
        interval: iterations between two looks; classes wait for ten labels per class.
        max_class_distance: half the sum of the differences of the classes' shares: 0 for equal ones, 1 for labels and
            pseudo labels without a common class.
        max_score_gap: between the mean scores of teacher and student.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> TeacherCollapseHook(max_class_distance=0.7).interval
        1000
    """

    iteration_settings = ('interval',)
    needs_unlabeled = True  # a supervised baseline leaves it out

    def __init__(self, interval: int = 1000, max_class_distance: float = 0.5, max_score_gap: float = 0.3) -> None:
        if interval < 1:
            raise ValueError(f'TeacherCollapseHook: interval is 1 iteration or more, got {interval}')
        for name, value in dict(max_class_distance=max_class_distance, max_score_gap=max_score_gap).items():
            if not 0 <= value <= 1:
                raise ValueError(f'TeacherCollapseHook: {name} is in [0, 1], got {value}')
        self.interval, self.max_class_distance, self.max_score_gap = interval, max_class_distance, max_score_gap
        self.scores: list[tuple[float, float]] = []
        self.taught = self.taught_before = 0
        self.in_a_row: dict[str, int] = {}

    def before_run(self, runner) -> None:
        """Let the model count its classes."""
        model = model_of(runner)
        if runner.rank == 0 and getattr(model, 'CLASSES', None):  # a data set of one's own may have no names
            model.tally = ClassTally(len(model.CLASSES))

    def after_train_iter(self, runner) -> None:
        """Look from time to time."""
        model = model_of(runner)
        if model.tally is None:
            return
        if model.unsup_weight == 0:
            self._forget(model)
            return
        if self.every_n_iters(runner, max(self.interval // LOOKS, 1)) and runner.data_batch.get('unsup_teacher'):
            scores = surest_scores(model, opened_batch(runner)['unsup_teacher'])
            self.scores += [] if scores is None else [scores]
        if self.every_n_iters(runner, self.interval):
            self._judge(runner, model)

    def _forget(self, model: SemiModel) -> None:
        model.tally.clear()
        self.scores, self.taught, self.taught_before, self.in_a_row = [], 0, 0, {}

    def _judge(self, runner, model: SemiModel) -> None:
        labeled, taught = (counts.cpu().numpy() for counts in (model.tally.labeled, model.tally.taught))
        new, self.taught = int(taught.sum()) - self.taught, int(taught.sum())
        self._say(runner, 'labels', self.silence(new))
        self.taught_before = new or self.taught_before
        if min(labeled.sum(), taught.sum()) >= LABELS_PER_CLASS * len(labeled):
            self._say(runner, 'classes', self.other_classes(labeled, taught, model.CLASSES))
            model.tally.clear()
            self.taught = 0
        if self.scores:
            self._say(runner, 'scores', self.apart())
            self.scores = []

    def _say(self, runner, cause: str, sentence: str | None) -> None:
        """Count how often in a row a cause has been found; warn the first time that it is twice."""
        if self.in_a_row.get(cause, 0) < 2:
            self.in_a_row[cause] = self.in_a_row.get(cause, 0) + 1 if sentence else 0
            if sentence and self.in_a_row[cause] == 2:
                runner.logger.warning(f'the teacher may have collapsed: {sentence}')

    def silence(self, taught: int) -> str | None:
        """What to say of pseudo labels that have stopped.

        Args:
            taught: pseudo labels in this interval.
        """
        if taught or not self.taught_before:
            return None
        scores = f'; its surest predictions have a mean score of {self._means()[0]:.2f}' if self.scores else ''
        return (
            f'no pseudo label in the last {2 * self.interval} iterations, {self.taught_before} in the {self.interval} '
            f'before{scores}: {BACK}, with a lower lr or semi_train_cfg.unsup_weight'
        )

    def other_classes(self, labeled: np.ndarray, taught: np.ndarray, names: Sequence[str]) -> str | None:
        """What to say of the classes' shares, (C,) counts of labels and pseudo labels each."""
        of_labels, of_taught = labeled / labeled.sum(), taught / taught.sum()
        distance = np.abs(of_labels - of_taught).sum() / 2
        if distance <= self.max_class_distance:
            return None
        said = [
            f'{names[place]!r} is {100 * of_taught[place]:.0f} % of the pseudo labels and '
            f'{100 * of_labels[place]:.0f} % of the labels'
            for place in ((of_taught - of_labels).argmax(), (of_taught - of_labels).argmin())
        ]
        return (
            f'{", ".join(said)}, the distance of all shares is {distance:.2f} '
            f'(TeacherCollapseHook.max_class_distance={self.max_class_distance:g}): unless the unlabeled images are '
            f'so, raise the threshold of the pseudo labels, lower semi_train_cfg.unsup_weight, or {BACK}'
        )

    def apart(self) -> str | None:
        """What to say of the scores of teacher and student on the same images."""
        teacher, student = self._means()
        if abs(teacher - student) <= self.max_score_gap:
            return None
        if teacher < student:
            what = 'it follows too slowly, lower semi_train_cfg.ema.momentum'
        else:
            what = f'the student forgets, lower the lr or semi_train_cfg.unsup_weight, or {BACK}'
        return (
            f'its surest predictions have a mean score of {teacher:.2f}, those of the student {student:.2f}, on the '
            f'same {len(self.scores)} images (TeacherCollapseHook.max_score_gap={self.max_score_gap:g}): {what}'
        )

    def _means(self) -> tuple[float, float]:
        return fmean(teacher for teacher, _ in self.scores), fmean(student for _, student in self.scores)


def model_of(runner) -> SemiModel:
    """The model that is trained, without its wrapper."""
    return runner.model.module if is_module_wrapper(runner.model) else runner.model


def opened_batch(runner) -> dict[str, Batch]:
    """The batch of the iteration as the model gets it: on its device, without mmcv's containers."""
    device_ids = getattr(runner.model, 'device_ids', None) or [-1]
    return runner.model.scatter((), runner.data_batch, device_ids)[1][0]


@torch.no_grad()
def surest_scores(model: SemiModel, weak: Batch) -> tuple[float, float] | None:
    """The highest scores of teacher and student on a batch's first image; None of a model that does not say them."""
    image, mode = first_image(model.preprocess(weak)), model.training
    device = image['img'].device
    model.student.eval()
    try:
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):  # looking changes nothing that is drawn
            teacher, student = (model.surest_score(network, image) for network in (model.teacher, model.student))
    finally:
        model.train(mode)
    return None if teacher is None else (teacher, student)
