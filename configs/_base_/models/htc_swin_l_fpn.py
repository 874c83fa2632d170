# HTC++ of the Swin paper (Liu et al., ICCV 2021) on Swin-L with ImageNet-22K weights of 384 pixels, windows of 12.
# Soft-NMS is for testing. Without InstaBoost, and without the paper's one more global attention layer.
_base_ = './htc_r50_caffe_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinBackbone',
        pretrain_img_size=384,
        embed_dims=192,
        depths=(2, 2, 18, 2),
        num_heads=(6, 12, 24, 48),
        window_size=12,
        drop_path_rate=0.2,
        with_cp=False,  # True: less memory, more time
        init_cfg=dict(
            type='PretrainedBackbone',
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
            'swin_large_patch4_window12_384_22k.pth',
        ),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536]),
    test_cfg=dict(rcnn=dict(nms=dict(type='soft_nms', iou_threshold=0.5))),
)
