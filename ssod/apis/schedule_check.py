"""Parts of a schedule that would come after the end of the run, or in the middle of a step: refused in one sentence."""

from mmcv import Config

from ssod.core.errors import InputError


def cumulative_iters(cfg: Config) -> int:
    """Iterations per step of the optimizer. What is not a number is refused where the hook is built."""
    value = (cfg.get('optimizer_config') or {}).get('cumulative_iters', 1)
    return value if isinstance(value, int) and value > 0 else 1


def check_schedule(cfg: Config) -> None:
    """Refuse a burn-in, a ramp or a patience that does not fit the run, and checkpoints within a step.

    Raises:
        InputError: there is one; the message says what to set.
    """
    check_whole_steps(cfg)
    burn_in = 0
    for place, hook in enumerate(cfg.get('custom_hooks') or []):
        if hook.get('type') == 'UnsupWeightHook':
            check_burn_in(cfg, place)
            burn_in = hook.get('burn_in', 0)
    if 'evaluation' in cfg and cfg.evaluation.get('patience') is not None:
        check_patience(cfg.evaluation, cfg.runner.max_iters, burn_in)


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


def check_burn_in(cfg: Config, place: int) -> None:
    """Refuse a burn-in after which nothing of the run is left, or whose ramp does not reach the full weight.

    Args:
        cfg: the config.
        place: of the ``UnsupWeightHook`` in ``custom_hooks``.
    """
    hook, max_iters = cfg.custom_hooks[place], cfg.runner.max_iters
    own = dict(burn_in=hook.get('burn_in', 0), ramp=hook.get('ramp', 0))
    if own['burn_in'] < max_iters and sum(own.values()) <= max_iters:
        return
    if own['burn_in'] >= max_iters:
        what = f'the burn-in of {own["burn_in"]} iterations leaves nothing of the run'
        loss = 'no unlabeled image would be used'
    else:
        what = f'the burn-in of {own["burn_in"]} iterations and the ramp of {own["ramp"]} end after the run'
        loss = 'the unsupervised loss would never have its full weight'
    # What the configs of ours call `burn_in` at the top is one setting for the hook and for those who read the file.
    names = {key: f'custom_hooks.{place}.{key}' for key in own}
    if cfg.get('burn_in') == own['burn_in']:
        names['burn_in'] = 'burn_in'
    third = max_iters // 3
    wanted = ' '.join(f'{names[key]}={third}' for key, value in own.items() if value > third)
    raise InputError(
        f'{what} (runner.max_iters={max_iters}), {loss}: set a third of the run or less, --cfg-options {wanted}'
    )


def check_patience(evaluation: dict, max_iters: int, burn_in: int) -> None:
    """Refuse an early stop that could never happen, or that could before an unlabeled image was used."""
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
    if patience * interval < burn_in:
        raise InputError(
            f'evaluation.patience={patience} x evaluation.interval={interval} iterations may end the run within its '
            f'burn-in of {burn_in}, before an unlabeled image is used: '
            f'set evaluation.patience={-(-burn_in // interval)}'
        )
