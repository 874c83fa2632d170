# The same for YOLOX with mmdet's COCO weights, which take pixels as they are.
_base_ = './small_data_semi.py'
pixel_mean = [0.0, 0.0, 0.0]
pixel_std = [1.0, 1.0, 1.0]
to_rgb = False
test_scale = (512, 384)
# No ${} here: MMDetection's init_detector, which fills in none, reads this pipeline.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=test_scale,
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', mean=pixel_mean, std=pixel_std, to_rgb=to_rgb),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
data = dict(val=dict(pipeline=test_pipeline), test=dict(pipeline=test_pipeline))
