"""Parts of a schedule that would come after the end of the run, or in the middle of a step: refused in one sentence."""

from mmcv import Config

from ssod.core.errors import InputError


def cumulative_iters(cfg: Config) -> int:
    """Iterations a step of the optimizer, as a config says; what is no number is refused where the hook is built."""
    value = (cfg.get('optimizer_config') or {}).get('cumulative_iters', 1)
    return value if isinstance(value, int) and value > 0 else 1


def check_schedule(cfg: Config) -> None:
    """Refuse a burn-in, a ramp or a patience that outlasts the run, and checkpoints within a step.

    Raises:
        InputError: there is one; the message says what to set.
    """
    check_whole_steps(cfg)
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'UnsupWeightHook':
            check_burn_in(hook.get('burn_in', 0), hook.get('ramp', 0), cfg.runner.max_iters)
    if 'evaluation' in cfg and cfg.evaluation.get('patience') is not None:
        check_patience(cfg.evaluation, cfg.runner.max_iters)


def check_whole_steps(cfg: Config) -> None:
    """Refuse checkpoints and evaluations between two iterations of a step: a checkpoint holds no gradients."""
    step = cumulative_iters(cfg)
    for section in ('checkpoint_config', 'evaluation'):
        interval = (cfg.get(section) or {}).get('interval', step)
        if interval > 0 and interval % step:
            raise InputError(
                f'{section}.interval={interval} falls into a step of {step} iterations '
                f'(optimizer_config.cumulative_iters): set {-(-interval // step) * step}'
            )


def check_burn_in(burn_in: int, ramp: int, max_iters: int) -> None:
    """Refuse a burn-in after which nothing of the run is left, or whose ramp does not reach the full weight."""
    if burn_in >= max_iters:
        raise InputError(
            f'the burn-in of {burn_in} iterations is longer than the run (runner.max_iters={max_iters}), no unlabeled '
            f'image would be used: set UnsupWeightHook.burn_in in custom_hooks, often `burn_in` at the top of the '
            f'config, to {max_iters // 3} or so'
        )
    if burn_in + ramp > max_iters:
        raise InputError(
            f'the burn-in of {burn_in} iterations and the ramp of {ramp} end after the run (runner.max_iters='
            f'{max_iters}), the unsupervised loss would never have its full weight: set UnsupWeightHook.ramp in '
            f'custom_hooks to {max_iters - burn_in} or less'
        )


def check_patience(evaluation: dict, max_iters: int) -> None:
    """Refuse an early stop that could never happen."""
    patience, interval = evaluation['patience'], evaluation.get('interval', 1)
    if not isinstance(patience, int) or patience < 1:
        raise InputError(f'evaluation.patience counts evaluations, 1 or more, got {patience!r}')
    if evaluation.get('save_best', 'auto') is None:
        raise InputError('evaluation.patience waits for a new best: it needs evaluation.save_best, which is None')
    if (patience + 1) * interval >= max_iters:
        raise InputError(
            f'evaluation.patience={patience} x evaluation.interval={interval} iterations outlasts the run '
            f'(runner.max_iters={max_iters}): it would stop nothing'
        )
