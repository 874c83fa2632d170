"""The sections of a report; what a run does not have is said in a sentence."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ssod.core.examination import Examination

from .charts import Chart, examination_charts, history_charts, metric_charts, training_charts
from .html import card, heat, paragraph, picture, table
from .run import Run

MOST_CLASSES = 30  # of a confusion matrix that can be read
OUTCOMES = dict(helps='helps', hurts='hurts', no_difference='')


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        name: of its anchor.
        title: its heading.
        html: before the charts.
        charts: curves.
        after: HTML after them.
    """

    name: str
    title: str
    html: str = ''
    charts: list[Chart] = []
    after: str = ''


def sections(run: Run) -> list[Section]:
    """All of a page, in order."""
    parts: list[Callable[[Run], Section]] = [
        verdict, metrics, classes, confusion, images, pseudo_labels, training, changes, environment,
    ]  # fmt: skip
    return [part(run) for part in parts]


def verdict(run: Run) -> Section:
    """What came out: the comparison's sentence, the best checkpoint, how far the run is."""
    if run.verdict:
        kind = OUTCOMES.get(run.verdict.get('verdict', ''), '')
        said = paragraph(str(run.verdict.get('sentence', '')), f'verdict {kind}'.strip())
        said += columns(run.verdict)
    else:
        said = paragraph(
            'This run was not compared with its supervised baseline: `ssod compare CONFIG` says whether the unlabeled '
            'images help.',
            'note',
        )
    return Section('verdict', 'Verdict', said + f'<div class="cards">{"".join(cards(run))}</div>' + advice(run))


def columns(found: dict[str, Any]) -> str:
    """The comparison's columns, in points, a row a seed."""
    names = [name for name in ('baseline', 'label_once', 'method') if name in found]
    rows = [[f'seed {seed}', *(found[name].get(seed) for name in names)] for seed in found.get('baseline', {})]
    return table(['', *names], rows) if rows else ''


def cards(run: Run) -> list[str]:
    """The figures that people look for first."""
    found = []
    if run.best:
        value = f'{100 * run.best.value:.1f}'
        found.append(card(value, f'{run.best.metric}, the best: {run.best.model or "the model"}'))
        found.append(card(f'{run.best.iteration:,}', 'iteration of the best checkpoint'))
    last = (run.log['train'] or run.log['val'] or [{}])[-1]
    found.append(card(f'{last.get("iter", 0):,}', 'iterations in the log'))
    seconds = sum_of_times(run)
    if seconds:
        found.append(card(f'{seconds / 3600:.1f} h' if seconds > 5400 else f'{seconds / 60:.0f} min', 'in iterations'))
    return found


def sum_of_times(run: Run) -> float:
    """Seconds of all iterations, evaluations aside; of each line of the log, the mean of those since the last one."""
    before, total = 0, 0.0
    for entry in run.log['train']:
        total += entry.get('time', 0.0) * (entry['iter'] - before)
        before = entry['iter']
    return total


def advice(run: Run) -> str:
    """Which checkpoint to take."""
    if run.best is None:
        return paragraph('The run keeps no best checkpoint (no evaluation, or save_best=None).', 'note')
    which = f', the {run.best.model},' if run.best.model else ''
    return paragraph(f'Take {run.folder / run.best.checkpoint}{which} chosen on the validation images.')


def metrics(run: Run) -> Section:
    """Curves of the evaluations."""
    charts = metric_charts(run.log['val'])
    missing = '' if charts else paragraph('The run was not evaluated, so there is no curve of a metric.')
    return Section('metrics', 'Evaluations', missing, charts)


def no_examination(run: Run) -> str:
    """Why there is nothing to say on classes and images."""
    return paragraph(
        'What the model finds on the validation images was not kept (no evaluation, or evaluation.record=False): '
        f'`ssod report {run.folder}` computes it from the checkpoint.'
    )


def of_which(run: Run, model: dict[str, Any]) -> str:
    """Which model was looked at."""
    name = f'The {model["model"]}' if model['model'] else 'The model'
    text = f'{name} at iteration {model["iteration"]}, on the validation images.'
    if not run.is_examined():
        text += f' The best checkpoint is another: `ssod report {run.folder}` looks at that one.'
    return paragraph(text, 'lead')


def classes(run: Run) -> Section:
    """A sortable table of the classes, and their curves."""
    if run.examination is None:
        return Section('classes', 'Classes', no_examination(run))
    found, model = run.examination
    objects = 'true pixels' if not found.curves else 'true objects'
    head = ['class', objects, found.label]
    rows = [
        [name, count, points(score)]
        for name, count, score in zip(found.classes, found.class_counts, found.class_scores, strict=True)
    ]
    if found.curves:
        head += ['best threshold', 'F1 there', 'precision there', 'recall there']
        rows = [row + list(at_best(curve)) for row, curve in zip(rows, found.curves, strict=True)]
        after = paragraph('Best threshold: the score above which F1 is highest, right being IoU 0.5 or more.', 'note')
    else:
        after = paragraph(
            'A pixel of a label map has a class and no score, so there are no thresholds and no curves over them.'
        )
    html = of_which(run, model) + table(head, rows, True, 'per-class') + after
    return Section('classes', 'Classes', html, examination_charts(found))


def at_best(curve: Any) -> tuple[float | None, ...]:
    """Threshold, F1, precision and recall where F1 is highest."""
    best = curve.best()
    if best is None:
        return None, None, None, None
    place = curve.f1.index(best[1])
    return best[0], best[1], curve.precision[place], curve.recall[place]


def points(share: float | None) -> float | None:
    """0 to 100."""
    return None if share is None else 100 * share


def confusion(run: Run) -> Section:
    """What is taken for what."""
    title = 'What is taken for what'
    if run.examination is None:
        return Section('confusion', title, no_examination(run))
    found = run.examination[0]
    names, rows, counts = found.classes, list(found.classes), found.confusion
    note = 'Pixels; a row is a true class, a column what it was given.'
    if len(counts) > len(names):
        note = (
            f'Objects, detections above score {found.confusion_thr:g}, matched at IoU 0.5 whatever their class; a row '
            'is a true class, a column the class found. The last column was not found, the last row is not there.'
        )
        rows = [*names, '(nothing there)']
    shown = [*names, '(not found)'][: len(counts)]
    if len(names) > MOST_CLASSES:
        return Section('confusion', title, paragraph(note, 'note') + mistakes(found, rows, shown))
    return Section('confusion', title, paragraph(note, 'note') + heat(counts, rows, shown, 'confusion-matrix'))


def mistakes(found: Examination, rows: list[str], columns_: list[str], most: int = 50) -> str:
    """The largest entries beside the diagonal, where a matrix would be too large to read."""
    pairs = [
        (count, rows[i], columns_[j])
        for i, line in enumerate(found.confusion)
        for j, count in enumerate(line)
        if i != j and count
    ]
    largest = sorted(pairs, key=lambda pair: -pair[0])[:most]
    lead = paragraph(
        f'{len(found.classes)} classes are too many for a matrix: the {len(largest)} most common mistakes.'
    )
    return lead + table(['true', 'found', 'number'], [[a, b, n] for n, a, b in largest], True, 'mistakes')


def images(run: Run) -> Section:
    """The worst and the best images."""
    title = 'Worst and best images'
    if run.examination is None:
        return Section('images', title, no_examination(run))
    found, model = run.examination
    shown = [(one, content) for one in model['pictures'] if (content := run.picture(one['file'])) is not None]
    if not shown:
        return Section('images', title, paragraph('No image could be scored or drawn.'))
    panels = 'truth in green at the left, detections in orange at the right' if found.curves else (
        'the image, the true map, the map that was found'
    )  # fmt: skip
    lead = f'By {found.image_score}, the worst first, then the best: {panels}.'
    figures = [picture(content, f'{one["image"]}: {one["score"]:.2f}') for one, content in shown]
    return Section('images', title, paragraph(lead, 'note') + f'<div class="pictures">{"".join(figures)}</div>')


def pseudo_labels(run: Run) -> Section:
    """How good they were, where truth exists."""
    title, charts = 'Pseudo labels beside the truth', history_charts(run.history)
    if charts:
        return Section('pseudo-labels', title, '', charts, paragraph(charts[0].note, 'note'))
    said = (
        'There is no record of pseudo labels beside true ones: the run learns without them, was not evaluated, or '
        'finds label maps, whose evaluation keeps no scores.'
    )
    return Section('pseudo-labels', title, paragraph(said))


def training(run: Run) -> Section:
    """Curves of the training."""
    charts = training_charts(run.log['train'])
    missing = '' if charts else paragraph('The log has no line of a training iteration.')
    return Section('training', 'Training', missing, charts)


def changes(run: Run) -> Section:
    """Where the config differs from its base."""
    title = 'Config beside its base'
    base = run.start.get('base')
    if base is None:
        return Section('config', title, paragraph('The run has not noted what its config inherits from (run.json).'))
    rows = [[name, before, now] for name, before, now in run.start['changes']]
    if not rows:
        return Section('config', title, paragraph(f'Nothing differs from {base}.'))
    lead = paragraph(f'Base: {base}. An empty cell: the setting is not there.', 'note')
    return Section('config', title, lead + table(['setting', 'base', 'this run'], rows, True, 'config-difference'))


def environment(run: Run) -> Section:
    """Where it ran."""
    if not run.start:
        return Section('environment', 'Environment', paragraph('The run has not noted its machine (run.json).'))
    known = {'command': 'command', 'config': 'config', 'started': 'started', 'seed': 'seed', 'processes': 'processes'}
    rows = [[name, str(run.start.get(key))] for key, name in known.items()]
    rows += [[name, str(value)] for name, value in run.start.get('environment', {}).items()]
    return Section('environment', 'Environment', table(['what', 'value'], rows))
