"""Let a detector label a config's unlabeled images: `python tools/pseudo_label.py CONFIG CHECKPOINT --out FILE.json`.

On several GPUs, or CPU processes:

    torchrun --nproc_per_node=8 tools/pseudo_label.py CONFIG CHECKPOINT --out FILE.json --launcher pytorch
"""

from ssod.cli import pseudo_label as main
from ssod.cli import run_command

if __name__ == '__main__':
    run_command(main)
