"""COCO's matching of detections and true boxes, as a loop."""

from collections import defaultdict


def iou(box, other, over_own_area=False):
    """Of two boxes in xywh, by hand."""
    sides = [min(box[k] + box[k + 2], other[k] + other[k + 2]) - max(box[k], other[k]) for k in (0, 1)]
    inter = max(sides[0], 0) * max(sides[1], 0)
    own = box[2] * box[3]
    return inter / (own if over_own_area else own + other[2] * other[3] - inter)


def naive(rows, annotations, thr=0.5):
    """(iou, is_tp, is_ignored) of rows of (image, category, xywh, score), by a loop over all pairs."""
    free = defaultdict(list)
    for box in annotations:
        free[box['image_id'], box['category_id']].append(box)
    results = [None] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: -rows[i][-1]):
        image, category, box, _ = rows[i]
        same = [other for other in annotations if (other['image_id'], other['category_id']) == (image, category)]
        nearest = max((iou(box, other['bbox']) for other in same if not other.get('iscrowd')), default=0)
        left = [other for other in free[image, category] if not other.get('iscrowd')]
        best = max(left, key=lambda other: iou(box, other['bbox']), default=None)
        is_tp = best is not None and iou(box, best['bbox']) >= thr
        if is_tp:
            free[image, category].remove(best)
        crowds = [other['bbox'] for other in same if other.get('iscrowd')]
        is_ignored = not is_tp and any(iou(box, crowd, over_own_area=True) >= thr for crowd in crowds)
        results[i] = nearest, is_tp, is_ignored
    return results
