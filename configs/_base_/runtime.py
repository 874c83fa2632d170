custom_imports = dict(imports=['ssod'], allow_failed_imports=False)  # so that MMDetection's own tools know our parts
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
log_level = 'INFO'
# Used by `--wandb` and `--mlflow` alone.
wandb = dict(project='ssod')
mlflow = dict(exp_name='ssod')
load_from = None
resume_from = None
# Images are prepared by worker processes, each with one thread.
opencv_num_threads = 0
mp_start_method = 'fork'
# Memory format of the convolutions: worth a try on a GPU with fp16 (docs/performance.md).
channels_last = False
# What MMDetection's own tools/train.py asks for besides; ours needs neither.
workflow = [('train', 1)]
dist_params = dict(backend='nccl')
