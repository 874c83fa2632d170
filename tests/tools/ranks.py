"""Run by torchrun (see test_dist.py): train a config, then compare the ranks' students and teachers bit by bit."""

import sys

import torch
import torch.distributed as dist

from ssod.apis import load_config, train_detector
from ssod.apis.config import Options
from ssod.compat import init_distributed


def main(config: str, work_dir: str, options: list[str]) -> None:
    parsed = {}
    for option in options:
        key, value = option.split('=', maxsplit=1)
        parsed[key] = Options._parse_iterable(value)
    cfg = load_config(config, parsed, work_dir)
    init_distributed()
    torch.manual_seed(dist.get_rank())  # ranks need not begin alike
    model = train_detector(cfg, seed=0, distributed=True).model.module
    for name in ('student', 'teacher'):
        for key, value in getattr(model, name).state_dict().items():
            everyone = [torch.empty_like(value) for _ in range(dist.get_world_size())]
            dist.all_gather(everyone, value)
            assert all(torch.equal(value, other) for other in everyone), f'{name}.{key} differs'
    moved = [(s - t).abs().max() for s, t in zip(model.student.parameters(), model.teacher.parameters(), strict=True)]
    assert max(moved) > 0
    if dist.get_rank() == 0:
        print('identical on', dist.get_world_size(), 'ranks')


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
