"""Evaluation of student and teacher during training."""

import inspect
import os.path as osp
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, LoggerHook, get_dist_info
from mmdet.core import EvalHook, encode_mask_results
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ssod.core import TeacherStudent
from ssod.core.screen import working

from .best import Best, same_metric, split_key
from .process_group import gather_in_order, max_over_ranks
from .ranks import note, noting

# What `evaluation` may say to the hook; MMDetection's names for how results are gathered need nothing here.
HOOK_SETTINGS = {'start', 'interval', 'save_best', 'rule', 'greater_keys', 'less_keys', 'out_dir', 'file_client_args'}
HOOK_SETTINGS |= {'dynamic_intervals', 'eval_on', 'patience', 'record'}
GATHERING = {'gpu_collect', 'tmpdir'}


@contextmanager
def predicting_on(model: nn.Module, name: str | None) -> Iterator[None]:
    """Let ``model`` (bare or wrapped) predict on 'student' or 'teacher' for a while; None leaves it as it is."""
    module = model.module if is_module_wrapper(model) else model
    if name is None:
        yield
        return
    before, module.predict_on = module.predict_on, name
    try:
        yield
    finally:
        module.predict_on = before


def models_to_test(model: nn.Module, eval_on: str | Sequence[str]) -> tuple[str | None, ...]:
    """Names to evaluate: of a semi-supervised detector those that ``eval_on`` says, of any other (None,).

    Args:
        eval_on: 'student', 'teacher', 'both', or a sequence of the first two.
    """
    module = model.module if is_module_wrapper(model) else model
    if not isinstance(module, TeacherStudent):
        return (None,)
    if isinstance(eval_on, str):
        eval_on = ('student', 'teacher') if eval_on == 'both' else (eval_on,)
    return tuple(eval_on)


def dataset_options(evaluation: dict) -> dict[str, Any]:
    """The settings of ``evaluation`` that are for the data set's ``evaluate``."""
    return {key: value for key, value in evaluation.items() if key not in HOOK_SETTINGS | GATHERING | {'by_epoch'}}


def check_dataset_options(dataset: Dataset, options: dict, evaluate: Callable[..., Any]) -> None:
    """Refuse settings of ``evaluation`` that neither the hook nor the data set takes, nor ``evaluate`` in front of it.

    Raises:
        ValueError: there is one.
    """
    parameters = inspect.signature(dataset.evaluate).parameters
    before = inspect.signature(evaluate).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = {*parameters, *before} - {'dataset', 'results', 'logger', 'options'}
    for key in options:
        if key not in known:
            raise ValueError(
                f'evaluation has no setting {key!r}: the hook takes {", ".join(sorted(HOOK_SETTINGS))}, '
                f'{type(dataset).__name__} {", ".join(sorted(known))}'
            )


@HOOKS.register_module()
class SemiEvalHook(EvalHook):
    """mmdet's evaluation, once for each model, on one process or many.

    Metrics are logged as ``student_bbox_mAP``, ``teacher_bbox_mAP`` ...; those of a plain detector under their own
    names. What inference uses (``predict_on``) is as before afterwards.

    The best checkpoint is kept, ``best_teacher_bbox_mAP_iter_N.pth`` say, and :class:`ssod.hooks.best.Best` beside it.

    Args:
        dataloader: of the validation set; each rank has its part.
        eval_on: 'student', 'teacher', 'both', or a sequence of the first two.
        save_best: 'auto', the better of the models by the first metric; 'student_bbox_mAP', say, that one's metric;
            None keeps none.
        patience: stop the run after so many evaluations without a new best, as if it had reached its end; None: never.
        evaluate: called with the data set, the results and the data set's arguments; by default it is the data set's
            own ``evaluate``.
        keep: what it needs of an image's result; see :func:`run_test`.
        record: called on rank 0 with the runner, the data set, the results of each model, and whether one of them is
            the new best, or none is ever kept. In a config ``record=False`` keeps nothing for the report.
        kwargs: MMDetection's ``EvalHook`` arguments (``interval``, ``rule``) and the data set's (``metric``).

    Raises:
        ValueError: ``eval_on`` names another model, there is an argument that neither this hook nor the data set takes,
            or (before the run) ``save_best`` names a metric of none of the models.
    """

    def __init__(
        self,
        dataloader: DataLoader,
        eval_on: str | Sequence[str] = 'both',
        evaluate: Callable[..., dict[str, Any]] | None = None,
        keep: Callable[[Dataset, int, Any], Any] | None = None,
        save_best: str | None = 'auto',
        patience: int | None = None,
        record: Callable[..., None] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = {key: value for key, value in kwargs.items() if key not in GATHERING}
        evaluate = evaluate or (lambda dataset, results, **options: dataset.evaluate(results, **options))
        check_dataset_options(dataloader.dataset, dataset_options(kwargs), evaluate)
        super().__init__(dataloader, **{**kwargs, 'by_epoch': False, 'save_best': save_best})
        names = (eval_on,) if isinstance(eval_on, str) else eval_on
        if not names or (eval_on != 'both' and set(names) - {'student', 'teacher'}):
            raise ValueError(f"evaluation.eval_on must be 'student', 'teacher' or 'both', got {eval_on!r}")
        self.eval_on = eval_on
        self.patience = patience
        self.without_best = 0
        self.record = record
        self.keeping = {} if keep is None else dict(keep=keep)
        self.evaluate_results = evaluate

    def before_run(self, runner) -> None:
        """As mmcv's; a ``save_best`` that no evaluation could find is refused now, not at the first evaluation."""
        super().before_run(runner)
        names = models_to_test(runner.model, self.eval_on)
        if runner.rank == 0:
            self._look_back(runner)
        self._stop_if_done(runner, runner.iter)
        if self.save_best in (None, 'auto') or names == (None,) or self.save_best.startswith(names):
            return
        known = ' or '.join(f'{name}_{self.save_best}' for name in names)
        raise ValueError(f'evaluation.save_best must name the model too: {known}, got {self.save_best!r}')

    def after_train_iter(self, runner) -> None:
        """Evaluate when it is time, and let the loggers write the metrics, wherever their place among the hooks is."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        if not loggers or runner.hooks.index(loggers[-1]) > runner.hooks.index(self):
            super().after_train_iter(runner)  # their turn comes
        elif self._should_evaluate(runner):
            runner.log_buffer.clear()
            self._do_evaluate(runner)
            for hook in loggers:
                hook.after_train_iter(runner)

    def _should_evaluate(self, runner) -> bool:
        return super()._should_evaluate(runner) or self.is_last_iter(runner)

    def _do_evaluate(self, runner) -> None:
        rank, _ = get_dist_info()
        metrics: dict[str, Any] = {}
        found: dict[str | None, list] = {}
        for name in models_to_test(runner.model, self.eval_on):
            # Images of a test come in any size: what is compiled for training's stays out of it.
            with predicting_on(runner.model, name), torch.compiler.set_stance('force_eager'):
                results = run_test(runner.model, self.dataloader, **self.keeping)
            if rank == 0:
                prefix = '' if name is None else f'{name}_'
                options = dict(self.eval_kwargs, logger=runner.logger)
                with noting(f'the metrics after iteration {runner.iter + 1}'):
                    values = self.evaluate_results(self.dataloader.dataset, results, **options)
                metrics.update({prefix + key: value for key, value in values.items()})
                found[name] = results
        if rank == 0:
            runner.log_buffer.output.update(metrics)
            runner.log_buffer.ready = True
            self._save_best(runner, metrics)
            if self.record is not None:
                is_best = self.save_best is None or self.without_best == 0
                with noting(f'the record of the evaluation after iteration {runner.iter + 1}'):
                    self.record(runner, self.dataloader.dataset, found, is_best)
        self._stop_if_done(runner, runner.iter + 1)

    def _look_back(self, runner) -> None:
        """Take up the best checkpoint of the run that is resumed; that of another run is not this one's.

        mmcv's own record is that of the checkpoint, which was saved before the evaluation of its iteration.
        """
        if self.best_of_others():
            self.best_ckpt_path = None  # mmcv would remove it for a better one
        best = Best.read(self.out_dir)
        if best is None or self.save_best is None:
            return
        if runner.iter == 0:
            Path(self.out_dir, 'best.json').unlink()
        elif best.iteration <= runner.iter and self.save_best in ('auto', best.key):
            self.best_ckpt_path = osp.join(self.out_dir, best.checkpoint)
            runner.meta['hook_msgs'].update(best_score=best.value, best_ckpt=self.best_ckpt_path)
            self.without_best = (runner.iter - best.iteration) // self.interval

    def best_of_others(self) -> bool:
        """Whether the best checkpoint that is remembered is in another folder."""
        path = getattr(self, 'best_ckpt_path', None)
        return path is not None and osp.realpath(osp.dirname(path)) != osp.realpath(self.out_dir)

    def _save_best(self, runner, metrics: dict[str, Any]) -> None:
        """Keep the checkpoint if it is the best so far, and say in ``best.json`` which of its models that is."""
        if self.save_best is None or not metrics:
            return
        names = models_to_test(runner.model, self.eval_on)
        keys = same_metric(metrics, names) if self.save_best == 'auto' else [self.save_best]
        try:
            self._init_rule(self.rule, keys[0] if keys else self.key_indicator)
        except ValueError:
            runner.logger.warning(f'no best checkpoint is kept: set evaluation.rule, is more or less {keys[0]} better?')
            self.save_best = None
            return
        if not keys:
            return
        key = keys[-1] if self.compare_func(metrics[keys[-1]], metrics[keys[0]]) else keys[0]
        before, self.key_indicator = self.best_ckpt_path, key
        self.best_ckpt_path = None  # mmcv would remove it before the new one is there
        self._save_ckpt(runner, metrics[key])
        self.without_best += 1
        if self.best_ckpt_path is None:
            self.best_ckpt_path = before
            return
        self.without_best = 0
        name, metric = split_key(key, names)
        checkpoint = osp.basename(self.best_ckpt_path)
        Best(metric, float(metrics[key]), runner.iter + 1, name, checkpoint).write(self.out_dir)
        if before and osp.realpath(before) != osp.realpath(self.best_ckpt_path):
            Path(before).unlink(missing_ok=True)

    def _stop_if_done(self, runner, iteration: int) -> None:
        """End the run, on all ranks, after ``patience`` evaluations without a new best."""
        if self.patience is None:
            return
        done = int(self.without_best >= self.patience)
        if get_dist_info()[1] > 1:
            done = max_over_ranks(done)
        if not done:
            return
        if runner.rank == 0:
            runner.logger.info(f'no new best in {self.patience} evaluations (evaluation.patience): the run ends here')
            if iteration > runner.iter and not osp.exists(osp.join(runner.work_dir, f'iter_{iteration}.pth')):
                runner.save_checkpoint(runner.work_dir, filename_tmpl='iter_{}.pth')
        runner._max_iters = iteration


@torch.no_grad()
def run_test(
    model: nn.Module, dataloader: DataLoader, keep: Callable[[Dataset, int, Any], Any] | None = None
) -> list | None:
    """The model's results on all images, in order; of several processes on rank 0, and None on the others.

    Masks are run lengths, as MMDetection's own test gives them.

    Args:
        keep: of the data set, an image's place in it and its result: what is returned for it. None: the result.
    """
    model.eval()
    _, world_size = get_dist_info()
    total = len(dataloader.dataset)
    name = getattr(model.module if is_module_wrapper(model) else model, 'predict_on', None)
    results: list = []
    with working(f'evaluating the {name or "model"}', total) as work:
        for places, batch in zip(dataloader.batch_sampler, dataloader, strict=True):
            note(f'the test of {len(results)} images')
            found = model(return_loss=False, rescale=True, **batch)
            found = [(one[0], encode_mask_results(one[1])) if isinstance(one, tuple) else one for one in found]
            results += map(keep, [dataloader.dataset] * len(found), places, found) if keep else found
            work.advance(len(found) * world_size)
    return results if world_size == 1 else gather_in_order(results, total)
