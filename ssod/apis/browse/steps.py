"""The ops of a built pipeline, each with a record of what it leaves."""

from collections.abc import Callable
from typing import Any

import numpy as np

Step = tuple[str, dict[str, Any]]
KEYS = ('img', 'gt_bboxes', 'gt_labels', 'gt_masks', 'gt_semantic_seg', 'branch')


class Recorded:
    """Around an op: afterwards a snapshot of image and labels is noted, as long as they are arrays.

    Args:
        op: of a pipeline.
        steps: to which name and snapshot are added.
    """

    def __init__(self, op: Callable[[dict], Any], steps: list[Step]) -> None:
        self.op, self.steps = op, steps

    def __call__(self, results: dict) -> Any:
        """What the op gives."""
        results = self.op(results)
        image = results.get('img') if isinstance(results, dict) else None
        if isinstance(image, np.ndarray) and image.dtype == np.uint8:
            # Ops replace entries and write into none, so no array has to be copied.
            self.steps.append((name_of(self.op), {key: results[key] for key in KEYS if key in results}))
        return results

    def __repr__(self) -> str:
        return repr(self.op)


def name_of(op: Any) -> str:
    """The class of an op; of one that reads images that of the op inside."""
    return type(getattr(op, 'load', op)).__name__


def record_ops(pipeline: Any, steps: list[Step]) -> None:
    """Put a :class:`Recorded` around each op of a pipeline, and around those inside branches and random choices."""
    ops = getattr(pipeline, 'transforms', None)
    if isinstance(ops, list):
        for place, op in enumerate(ops):
            record_ops(op, steps)
            if not holds_ops(op):
                ops[place] = Recorded(op, steps)
    for inner in getattr(pipeline, 'pipelines', {}).values():
        record_ops(inner, steps)


def holds_ops(op: Any) -> bool:
    """Whether an op is made of others, which are recorded in its place."""
    return isinstance(getattr(op, 'transforms', None), list) or hasattr(op, 'pipelines')
