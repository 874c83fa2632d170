"""How a classification model's tensors are named, and what MMDetection and MMSegmentation call them in theirs."""

from collections.abc import Iterator

from torch import Tensor, nn

# Inverted residual blocks in each of the seven layers of a MobileNetV2.
BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def backbone_weights(module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names that ``module`` has for them.

    Args:
        module: a backbone of MMDetection or MMSegmentation. A ResNet has torchvision's names; those of a MobileNetV2
            are translated.
        weights: a classification model's, a backbone's, or a detector's, whose backbone's are taken.
    """
    prefix = 'backbone.'
    if any(name.startswith(prefix) for name in weights):
        weights = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if 'features.0.0.weight' in weights and hasattr(getattr(module, 'conv1', None), 'conv'):
        nested, numbered = 'features.1.conv.0.0.weight' in weights, hasattr(module.layer1[0], 'conv')
        translated = dict(mobilenet_v2_names(nested, numbered))
        weights = {rename(name, translated): value for name, value in weights.items()}
    return weights


def rename(name: str, translated: dict[str, str]) -> str:
    """A tensor's name with that of its layer translated; as it is if the layer has no other name."""
    layer, _, kind = name.rpartition('.')
    return f'{translated.get(layer, layer)}.{kind}'


def mobilenet_v2_names(nested: bool, numbered: bool = False) -> Iterator[tuple[str, str]]:
    """Pairs of names of each layer of a MobileNetV2: torchvision's, and MMDetection's or MMSegmentation's.

    Args:
        nested: torchvision's names of today, where a convolution and its BatchNorm are a module of their own
            (``conv.0.0``, ``conv.0.1``); False: its older ones, where they follow each other (``conv.0``, ``conv.1``).
        numbered: MMSegmentation's names, which count the parts of a block (``conv.0``); else MMDetection's.
    """
    blocks = [f'layer{layer}.{i}' for layer, count in enumerate(BLOCKS, 1) for i in range(count)]
    for feature, ours in ((0, 'conv1'), (len(blocks) + 1, 'conv2')):
        yield f'features.{feature}.0', f'{ours}.conv'
        yield f'features.{feature}.1', f'{ours}.bn'
    for feature, block in enumerate(blocks, 1):
        parts = ['expand_conv', 'depthwise_conv', 'linear_conv'][feature == 1 :]  # the first block does not expand
        for i, part in enumerate(parts):
            conv, norm = (3 * i, 3 * i + 1)  # an activation is the third
            if nested:
                conv, norm = (i, i + 1) if part == 'linear_conv' else (f'{i}.0', f'{i}.1')
            part = f'conv.{i}' if numbered else part
            yield f'features.{feature}.conv.{conv}', f'{block}.{part}.conv'
            yield f'features.{feature}.conv.{norm}', f'{block}.{part}.bn'
