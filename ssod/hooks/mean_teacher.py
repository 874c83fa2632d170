"""When the teacher follows the student: once a step of the optimizer."""

from dataclasses import replace
from typing import Any

from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook

from .optimizer import iters_per_step


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Lets the model update its teacher before each step's first iteration, and logs the momentum as ``ema_momentum``.

    A step has ``optimizer_config.cumulative_iters`` iterations; ``semi_train_cfg.ema`` counts steps.

    Every training of a :class:`ssod.core.TeacherStudent` has this hook, whatever its ``custom_hooks`` are. How the
    teacher follows is the model's matter: ``semi_train_cfg.ema``.

    Args:
        settings: of :class:`ssod.core.EMA`, instead of those of the model (as configs used to say it).
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def before_run(self, runner) -> None:
        """Hand the settings, if there are any, to the model.

        Raises:
            TypeError, ValueError: a setting that :class:`ssod.core.EMA` does not know, or a value outside its range.
        """
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        model.ema = replace(model.ema, **self.settings)

    def before_train_iter(self, runner) -> None:
        """Update the teacher."""
        step, inside = divmod(runner.iter, iters_per_step(runner))
        if inside:
            return
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        momentum = model.update_teacher(step)
        if momentum is not None:
            runner.log_buffer.update(dict(ema_momentum=momentum))
