"""Images that could not be read during a training: counted, named once, and not too many."""

from mmcv.runner import Hook

from ssod.core.errors import InputError
from ssod.data import SeededDataset
from ssod.data.reading import BrokenImage

MAX_SHARE = 0.05


class BrokenImagesHook(Hook):
    """Names each broken image in the log, once, and ends the run when they are too many.

    :class:`ssod.data.SeededDataset` takes the next image of the source in place of one.

    Args:
        dataset: that the run's loader reads.
        max_share: largest share of a source's images that may be broken, in [0, 1]; one image always may.
    """

    def __init__(self, dataset: SeededDataset, max_share: float | None = None) -> None:
        self.dataset = dataset
        self.max_share = MAX_SHARE if max_share is None else max_share
        self.named: set[int] = set()

    def after_train_iter(self, runner) -> None:
        """Look what the workers have met; they are some batches ahead.

        Raises:
            InputError: more than ``max_share`` of a source.
        """
        broken = self.dataset.broken.nonzero().flatten().tolist()
        if len(broken) == len(self.named):
            return
        for index in broken:
            if index not in self.named:
                self.named.add(index)
                # An error, so that it is seen of every rank.
                runner.logger.error(
                    f'broken image {len(self.named)}: {self.dataset.name_of(index)} '
                    f'{BrokenImage.REASONS[self.dataset.broken[index]]}; another one takes its place'
                )
        self._check_share(runner)

    def _check_share(self, runner) -> None:
        counts = [0] * len(self.dataset.ends)
        for index in self.named:
            counts[self.dataset.source_of(index)] += 1
        for count, end, first in zip(counts, self.dataset.ends, [0, *self.dataset.ends], strict=False):
            if count > max(1, self.max_share * (end - first)):
                sentence = (
                    f'{count} of {end - first} images of a source are broken, more than data.max_broken_share='
                    f'{self.max_share}: mend them (the log names each), or raise that share'
                )
                if runner.rank != 0:
                    runner.logger.error(sentence)
                raise InputError(sentence)
