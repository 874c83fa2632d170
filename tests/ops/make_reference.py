"""Write what the compiled mmcv-full 1.7.2 gives for the cases of ``operator_cases.py`` to tests/data/ops/compiled.json.

Run it in an environment whose mmcv-full is compiled (``SSOD_OPS=compiled make install``):

    python tests/ops/make_reference.py

The file holds each tensor's shape and its values, or, of a tensor above 200 values, 100 of them that ``pick`` chooses
and the mean of all.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / 'data' / 'ops' / 'compiled.json'
MOST = 200


def pick(tensor: Tensor) -> Tensor:
    """All values of a small tensor in one row; of a large one, 100 over its whole length, and the mean of all."""
    values = tensor.detach().double().flatten()
    if len(values) <= MOST:
        return values
    places = torch.linspace(0, len(values) - 1, 100).long()
    return torch.cat([values[places], values.mean()[None]])


def main() -> None:
    """Run the cases and write the file."""
    from mmcv.ops import get_compiler_version
    from operator_cases import COMPILED

    if get_compiler_version().startswith('none'):
        raise SystemExit(
            'make_reference.py: this mmcv-full is not compiled: `SSOD_OPS=compiled make install` builds it.'
        )
    cases = {
        name: {
            key: dict(shape=list(value.shape), values=[float(f'{x:.9g}') for x in pick(value).tolist()])
            for key, value in run().items()
        }
        for name, run in COMPILED.items()
    }
    record = dict(compiler=get_compiler_version(), torch=torch.__version__, cases=cases)
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(json.dumps(record, separators=(',', ':')).replace('},"', '},\n"') + '\n')
    print(f'{len(cases)} cases in {REFERENCE}')


if __name__ == '__main__':
    main()
