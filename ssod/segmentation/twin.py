"""Two networks of one architecture as one segmentor."""

from typing import Any

from mmseg.models import BaseSegmentor, EncoderDecoder
from torch import Tensor, nn

NETWORKS = ('first', 'second', 'mean')


class TwinSegmentor(EncoderDecoder):
    """Holds two ``EncoderDecoder``s; inference is that of one of them, or of the mean of their probabilities.

    Args:
        first, second: the networks.
        network: 'first', 'second' or 'mean': which predicts.
    """

    def __init__(self, first: EncoderDecoder, second: EncoderDecoder, network: str = 'first') -> None:
        BaseSegmentor.__init__(self)  # EncoderDecoder's own would build a network
        self.first, self.second, self.network = first, second, network
        self.train_cfg, self.test_cfg = first.train_cfg, first.test_cfg
        self.align_corners, self.num_classes = first.align_corners, first.num_classes
        self.out_channels = first.out_channels

    @property
    def networks(self) -> dict[str, EncoderDecoder]:
        """Both, by name."""
        return dict(first=self.first, second=self.second)

    @property
    def decode_head(self) -> nn.Module:
        """That of the first network."""
        return self.first.decode_head

    def extract_feat(self, img: Tensor) -> Any:
        """Feature maps of the network that predicts, of the first for the mean."""
        return (self.second if self.network == 'second' else self.first).extract_feat(img)

    def encode_decode(self, img: Tensor, img_metas: list[dict]) -> Tensor:
        """(N, C, H, W) logits; for the mean the logarithm of the mean probability, whose softmax that is."""
        if self.network != 'mean':
            return self.networks[self.network].encode_decode(img, img_metas)
        logits = [network.encode_decode(img, img_metas) for network in self.networks.values()]
        return (sum(one.softmax(dim=1) for one in logits) / 2).clamp(min=1e-30).log()
