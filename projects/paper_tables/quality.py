"""How far score and regression variance tell the IoU of a pseudo box (the paper's Figure 3)."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from ssod.detection.quality import Candidates, Matches


def binned_ious(values: np.ndarray, ious: np.ndarray, edges: Sequence[float]) -> list[dict[str, float]]:
    """IoU in bins of a value (Figures 3b and 3c).

    Args:
        values: (n,) score or variance.
        ious: (n,).
        edges: m + 1 ascending edges; a bin holds its low edge, the first and the last what lies outside too.

    Returns:
        m rows: ``low``, ``high``, ``number``, and of the bin's IoUs ``mean``, ``q25``, ``median``, ``q75`` (nan for
        an empty bin).
    """
    bins = np.digitize(values, edges[1:-1])
    rows = []
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = ious[bins == i]
        measures = np.full(4, np.nan)
        if len(inside):
            measures = [inside.mean(), *np.quantile(inside, [0.25, 0.5, 0.75])]
        measures = dict(zip(('mean', 'q25', 'median', 'q75'), map(float, measures), strict=True))
        rows.append(dict(low=low, high=high, number=len(inside), **measures))
    return rows


def correlations(candidates: Candidates, matches: Matches, score_thrs: Sequence[float]) -> list[dict]:
    """How far score and regression variance tell the IoU of the candidates above each score; crowds aside.

    Returns:
        A row a threshold: ``score_thr``, ``number`` of candidates, and for ``score`` and ``variance`` a dictionary of
        their ``pearson`` and ``spearman`` correlation with the IoU.
    """
    rows = []
    for score_thr in score_thrs:
        chosen = (candidates.scores > score_thr) & ~matches.is_ignored
        ious = matches.ious[chosen]
        values = dict(score=candidates.scores, variance=candidates.reg_variance)
        measures = {name: correlation(value[chosen], ious) for name, value in values.items()}
        rows.append(dict(score_thr=score_thr, number=len(ious), **measures))
    return rows


def correlation(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Pearson's and Spearman's correlation of two (n,) arrays; nan where one of them does not vary."""
    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return dict(pearson=np.nan, spearman=np.nan)
    measures = dict(pearson=stats.pearsonr(first, second), spearman=stats.spearmanr(first, second))
    return {name: float(result.statistic) for name, result in measures.items()}
