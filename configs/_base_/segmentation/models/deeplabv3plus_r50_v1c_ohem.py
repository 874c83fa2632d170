# With OHEM: the mean over the hard pixels, as Cross Pseudo Supervision and UniMatch have it on Cityscapes.
_base_ = './deeplabv3plus_r50_v1c.py'
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type='OHEMCrossEntropy', thresh=0.7, min_kept=50000)),
)
