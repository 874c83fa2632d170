"""One decoded image, several named views."""

from typing import Any

from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import Compose

from . import transform_matrix


@PIPELINES.register_module()
class MultiBranch:
    """Send one sample through several pipelines, each for itself: ``MultiBranch(unsup_teacher=[...], ...)``.

    Every pipeline starts from the same arrays with its own ``results``, in which ``branch`` is its name and
    ``transform_matrix`` the identity, or what ops before the fork have recorded: original decoded image -> its view.
    This is the only place that writes the branch name. Source: Soft Teacher, Xu et al. ICCV 2021, sec. 3 (weak and
    strong view of one image).

    Args:
        pipelines: a list of op configs under each branch's name. Branches run, and draw, in the order given.

    Raises:
        ValueError: without any pipeline.
    """

    compose = Compose  # the task's: a subclass in another registry has its own

    def __init__(self, **pipelines: list[Any]) -> None:
        if not pipelines:
            raise ValueError('MultiBranch wants at least one pipeline, as in MultiBranch(sup=[...])')
        self.pipelines = {name: self.compose(ops) for name, ops in pipelines.items()}

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Branch name -> that pipeline's output; None (skip the sample) if a pipeline gives None."""
        views = {}
        for name, pipeline in self.pipelines.items():
            view = pipeline(_own_copy(results, name))
            if view is None:
                return None
            views[name] = view
        return views

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.pipelines})'


def _own_copy(results: dict[str, Any], name: str) -> dict[str, Any]:
    # Lists such as bbox_fields are appended to by loading ops, hence copied; arrays are shared, no op writes into one.
    own = {key: value.copy() if isinstance(value, list) else value for key, value in results.items()}
    own['branch'] = name
    own.setdefault('transform_matrix', transform_matrix.identity())
    return own
