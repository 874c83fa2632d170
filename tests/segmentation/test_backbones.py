"""ImageNet weights of torchvision's MobileNetV2 in MMSegmentation's, plain and with DSBN."""

import torch
from mmcv import ConfigDict
from mmseg.models import build_backbone
from torchvision.models import mobilenet_v2

from ssod.segmentation.dsbn import DSBN
from ssod.segmentation.simple_baseline import SimpleBaseline
from ssod.segmentation.trial import tiny_segmentor


def saved(tmp_path):
    torch.manual_seed(0)
    model = mobilenet_v2(weights=None).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    return model, dict(type='PretrainedBackbone', checkpoint=str(tmp_path / 'weights.pth'))


def test_features_are_torchvisions(tmp_path):
    model, init_cfg = saved(tmp_path)
    backbone = build_backbone(ConfigDict(type='MobileNetV2', out_indices=(1, 6), init_cfg=init_cfg))
    backbone.init_weights()
    backbone.eval()  # which gives nothing back
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        low, high = backbone(image)
        torch.testing.assert_close(low, model.features[:4](image), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(high, model.features[:18](image), rtol=1e-4, atol=1e-4)


def test_both_halves_of_dsbn_start_from_them(tmp_path):
    model, init_cfg = saved(tmp_path)
    cfg = tiny_segmentor()
    cfg.backbone = ConfigDict(type='MobileNetV2', out_indices=(1, 2, 4, 6), init_cfg=init_cfg)
    cfg.decode_head.update(in_channels=320, c1_in_channels=24)
    baseline = SimpleBaseline(cfg)
    baseline.student._dump_init_info = lambda logger_name: None
    baseline.init_weights()
    for half in (baseline.student, baseline.teacher):
        first = half.backbone.conv1.bn
        assert isinstance(first, DSBN)
        for norm in (first.main_bn, first.aux_bn):
            assert torch.equal(norm.running_var, model.features[0][1].running_var)
