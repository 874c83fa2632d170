"""Why the unlabeled images help or not: one sentence from the figures of the runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ssod.core.measures import Measures

Share = dict[str, float | None]  # 'precision', 'recall', perhaps 'per_image'


@dataclass(frozen=True)
class Reasons:
    """Figures of a seed's runs, or their means over seeds; metrics in points (0 to 100), None where unknown.

    Attributes:
        labeled_images, validation_images: how many.
        labels_per_image: of the labeled images; of label maps, here and below, the share of the pixels.
        threshold: score above which the method takes pseudo labels.
        unlabeled_share: share of the iterations in which unlabeled images counted.
        pseudo_per_image, pseudo_per_image_at_start: logged pseudo labels per image, at the end of the training and in
            the first iterations that used unlabeled images.
        precision, recall: of the teacher's pseudo labels above the threshold, measured on the validation labels.
        precision_before, recall_before: the same for the oldest checkpoint that is kept.
        by_threshold: for other thresholds ``precision``, ``recall``, ``per_image``.
        by_class: at the threshold, for each class ``precision`` and ``recall``.
        student, teacher: the method's two models on the validation images.
        train, validation: the method's chosen model on the labeled images and on the validation images.
        baseline_train, baseline_validation: the same of the baseline.
    """

    labeled_images: float
    validation_images: float
    labels_per_image: float
    threshold: float
    unlabeled_share: float
    pseudo_per_image: float | None = None
    pseudo_per_image_at_start: float | None = None
    precision: float | None = None
    recall: float | None = None
    precision_before: float | None = None
    recall_before: float | None = None
    by_threshold: dict[str, Share] = field(default_factory=dict)
    by_class: dict[str, Share] = field(default_factory=dict)
    student: float | None = None
    teacher: float | None = None
    train: float | None = None
    validation: float | None = None
    baseline_train: float | None = None
    baseline_validation: float | None = None


def mean_reasons(seeds: Sequence[Reasons]) -> Reasons:
    """Figure by figure the mean over seeds, of those that are known."""
    return Reasons(**{own.name: mean([getattr(one, own.name) for one in seeds]) for own in fields(Reasons)})


def mean(values: Sequence[Any]) -> Any:
    """Mean of numbers, None left out, or of dictionaries of numbers, key by key."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], dict):
        return {key: mean([value.get(key) for value in known]) for key in known[0]}
    return sum(known) / len(known)


# One rule a cause: a clause with its advice, None if it is not so.


def untrained(r: Reasons, measures: Measures) -> str | None:
    """The baseline is under 10 points on the labeled images, from which it learns."""
    if r.baseline_train is None or r.baseline_train >= 10:
        return None
    return f'the baseline is at {points(r.baseline_train)} even on the labeled images; train both longer'


def unused(r: Reasons, measures: Measures) -> str | None:
    """The unlabeled images counted in a fifth of the iterations at most."""
    if r.unlabeled_share > 0.2:
        return None
    late = f'used in the last {100 * r.unlabeled_share:.0f} % of the iterations alone'
    return (
        f'the unlabeled images were {late if r.unlabeled_share else "never used"}; train longer, or shorten the burn-in'
    )


def wrong_labels(r: Reasons, measures: Measures) -> str | None:
    """Less than 60 % of the pseudo labels are right."""
    if r.precision is None or r.precision >= 0.6:
        return None
    advice = f'label {more(r)} more images'
    higher = [thr for thr, _ in better(r, at_least=0.8) if thr > r.threshold]
    if higher:
        advice = f'raise the threshold to {min(higher):g} or {advice}'
    return f'precision of pseudo {measures.unit} {r.precision:.2f} at {r.threshold:g}; {advice}'


def few_labels(r: Reasons, measures: Measures) -> str | None:
    """The pseudo labels per image are less than half of the labels per image."""
    if r.pseudo_per_image is None or r.pseudo_per_image >= 0.5 * r.labels_per_image:
        return None
    advice = f'label {more(r)} more images'
    now = r.by_threshold.get(f'{r.threshold:g}', {}).get('per_image') or 0
    lower = [thr for thr, own in better(r, at_least=0.7) if thr < r.threshold and own > max(1.5 * now, 0.1)]
    if lower:
        advice = f'lower the threshold to {max(lower):g} or {advice}'
    found, true = measures.amount(r.pseudo_per_image), measures.amount(r.labels_per_image)
    return f'the teacher finds {found}, and labels have {true}; {advice}'


def missing_class(r: Reasons, measures: Measures) -> str | None:
    """A class of which less than a quarter is found, and less than half as much as of all."""
    known = {name: recall for name, own in r.by_class.items() if (recall := own.get('recall')) is not None}
    if not known or r.recall is None:
        return None
    name = min(known, key=known.__getitem__)
    if known[name] >= min(0.25, 0.5 * r.recall):
        return None
    return f'the teacher finds {100 * known[name]:.0f} % of {name}, {100 * r.recall:.0f} % of all; label more of {name}'


def unsettled(r: Reasons, measures: Measures) -> str | None:
    """The student is two points or more behind its own average."""
    if r.student is None or r.teacher is None or r.teacher - r.student < 2:
        return None
    behind = f'the student is {r.teacher - r.student:.1f} points behind its own average'
    return f'{behind}; train longer, or lower the learning rate earlier'


def nothing_left(r: Reasons, measures: Measures) -> str | None:
    """The teacher finds what there is: precision and recall are 0.8 or more, and the mean recall of the classes too."""
    if r.precision is None or r.recall is None or min(r.precision, r.recall) < 0.8:
        return None
    of_classes = mean([own.get('recall') for own in r.by_class.values()])
    if of_classes is not None and of_classes < 0.8:
        return None
    found = f'the teacher finds {100 * r.recall:.0f} % of the {measures.unit} at precision {r.precision:.2f}'
    return f'{found}: the labels teach nearly all there is; label the images on which it fails'


def learned_by_heart(r: Reasons, measures: Measures) -> str | None:
    """The method is 25 points or more better on the labeled images than on the validation images."""
    if r.train is None or r.validation is None or r.train - r.validation < 25:
        return None
    gap = f'{r.train:.0f} on the labeled images, {r.validation:.0f} on the validation images'
    return f'the model knows the labeled images by heart ({gap}); label {more(r)} more images or train shorter'


RULES: tuple[Callable[[Reasons, Measures], str | None], ...] = (
    untrained,
    unused,
    wrong_labels,
    few_labels,
    missing_class,
    unsettled,
    nothing_left,
    learned_by_heart,
)


def causes(reasons: Reasons, measures: Measures) -> list[str]:
    """What explains a training that did not gain, the most telling first."""
    return [clause for rule in RULES if (clause := rule(reasons, measures))]


def better(r: Reasons, at_least: float) -> list[tuple[float, float]]:
    """The other thresholds whose pseudo labels have a precision, and at least 0.1 per image, with how many they are."""
    rows = [(float(thr), own['precision'] or 0, own['per_image'] or 0) for thr, own in r.by_threshold.items()]
    return [(thr, per_image) for thr, precision, per_image in rows if precision >= at_least and per_image >= 0.1]


def more(r: Reasons) -> int:
    """How many images to label next: as many as there are, in tens."""
    return max(10, round(r.labeled_images / 10) * 10)


def points(value: float, sign: str = '') -> str:
    """A value with one digit, never -0.0; ``sign='+'`` writes the plus."""
    return format(round(value, 1) + 0.0, f'{sign}.1f')


def sentence(
    verdict: str,
    value: float,
    bounds: tuple[float, float],
    reasons: Reasons,
    measures: Measures,
    seeds: int,
    label_once: float | None = None,
) -> str:
    """What came out, and for a training that did not gain why and what to do.

    Args:
        verdict: 'helps', 'no_difference' or 'hurts'.
        value, bounds: the difference to the baseline and its interval, in points.
        measures: of the task, for its words.
        seeds: how many.
        label_once: label-once's difference to the baseline, None if it was not trained.
    """
    low, high = map(points, bounds)
    if verdict == 'helps':
        text = f'{points(value, "+")} {measures.label} ({low} to {high}): the unlabeled images help'
        if label_once is None:
            return text
        enough = ', as much as going on doing it' if label_once >= value else ''
        return f'{text}; labeling them once gives {points(label_once, "+")}{enough}'
    found = causes(reasons, measures)
    if verdict == 'hurts':
        unexplained = 'these figures show no cause; look at the pictures in pseudo_boxes/ of the run'
        return f'worse by {points(-value)} {measures.label} ({low} to {high}): {found[0] if found else unexplained}'
    add = 'validation images' if seeds > 2 else 'seeds or validation images'
    unsure = (
        f'{reasons.validation_images:.0f} validation images and {seeds} seed{"s" * (seeds > 1)} tell no less; add {add}'
    )
    return f'no difference yet ({low} to {high}): {found[0] if found else unsure}'
