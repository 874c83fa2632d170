"""``init_cfg=dict(type='PretrainedBackbone', ...)``: a backbone that starts from a classification model's weights."""

from mmcv.cnn import INITIALIZERS
from mmdet.utils import get_root_logger
from torch import Tensor, nn

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError

from .files import find_weights
from .layouts import backbone_weights


@INITIALIZERS.register_module()
class PretrainedBackbone:
    """Fills a backbone with the weights of a file, all of it or an error.

    mmcv's ``Pretrained`` loads what fits and leaves the rest random, and knows MMDetection's names alone. This one
    takes torchvision's ResNet and MobileNetV2 files as they are, and a user's own: with ``state_dict`` or ``model``
    around the weights or not, of a backbone or of a whole detector. A backbone that reads files of its own kind has a
    method ``read_weights(path)``, which gives its tensors by name.

    Args:
        checkpoint: what :func:`ssod.pretrained.find_weights` takes.

    Examples:
        >>> torch.save(torchvision.models.resnet18().state_dict(), 'mine.pth')
        >>> init_cfg = dict(type='PretrainedBackbone', checkpoint='mine.pth')
        >>> backbone = build_backbone(dict(type='ResNet', depth=18, init_cfg=init_cfg))
        >>> backbone.init_weights()
        >>> torch.equal(backbone.conv1.weight, torch.load('mine.pth')['conv1.weight'])
        True
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Fill ``module``.

        Raises:
            InputError: the file is not found, cannot be read, or does not fit.
        """
        settings = getattr(module, 'init_cfg', None)
        if isinstance(settings, list):
            raise InputError('PretrainedBackbone fills the whole backbone: write it alone, without the list around it')
        if self.checkpoint.startswith('torchvision://') and getattr(module, 'style', None) == 'caffe':
            raise InputError(f"{self.checkpoint} has its strides in the 3x3 convolutions: set style='pytorch'")
        path = find_weights(self.checkpoint)
        if hasattr(module, 'read_weights'):
            weights = module.read_weights(path)
        else:
            weights = backbone_weights(module, read_file(path))
        fill(module, weights, path)
        get_root_logger().info(f'{type(module).__name__}: all weights from {path}')
        if settings:
            # mmcv initializes the children next, a ConvModule at random, unless it reads this.
            module.init_cfg = {**settings, 'type': 'Pretrained'}
            module._is_init = True


def read_file(path: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name.

    Raises:
        InputError: the file is no checkpoint, or holds something else than tensors.
    """
    loaded = load_file(path)
    weights = loaded.get('state_dict', loaded.get('model', loaded))
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f'{path} holds no weights: it wants a state_dict')
    return weights


def fill(module: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Copy weights into ``module``: every tensor of it, and all that the file has for its parts.

    What the file has beyond, as a classifier, is left. A deeper network of the same kind is not: its weights would fit.

    Raises:
        InputError: weights that the file lacks, has in other shapes, or has beyond the module's; the first is named.
    """
    own = module.state_dict()
    parts = {name.split('.')[0] for name in own}
    wanted = [name for name in own if not name.endswith('num_batches_tracked')]
    lacks = [name for name in wanted if name not in weights]
    reshaped = [name for name in wanted if name in weights and weights[name].shape != own[name].shape]
    beyond = [name for name in weights if name not in own and name.split('.')[0] in parts]
    for names, what in (
        (lacks, 'it lacks {} weights'),
        (reshaped, '{} weights have another shape'),
        (beyond, 'it has {} weights more'),
    ):
        if names:
            raise InputError(
                f'{path} does not fit the {type(module).__name__} of the config: '
                f'{what.format(len(names))}, the first {names[0]}'
            )
    module.load_state_dict({name: value for name, value in weights.items() if name in own}, strict=False)
