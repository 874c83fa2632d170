# Soft Teacher for a detector trained from scratch, as the demo and the BCCD example are. Without pretrained weights the
# first pseudo boxes would mislead: for `burn_in` iterations the student learns from the labeled images alone.
burn_in = 400
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in='${burn_in}', ramp=100),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=200),
]
