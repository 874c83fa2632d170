work_dir = 'work_dirs/${cfg_name}/${percent}/${fold}'
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')])
log_level = 'INFO'
# Used by `--wandb` alone.
wandb = dict(project='ssod', name='${cfg_name}')
load_from = None
resume_from = None
# Images are prepared by worker processes, each with one thread.
opencv_num_threads = 0
mp_start_method = 'fork'
# Memory format of the convolutions: worth a try on a GPU with fp16 (docs/performance.md).
channels_last = False
