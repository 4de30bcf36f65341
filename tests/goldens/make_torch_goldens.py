"""Makes tests/goldens/torch_weights.bin: tensors of every kind as torch.save writes them. Needs
torch. The values are 0, 1, 2, ... so that the test needs no second file."""

from collections import OrderedDict
from pathlib import Path

import torch

OUT = Path(__file__).parent / "torch_weights.bin"


def main():
    count = lambda n, dtype=torch.float32: torch.arange(n).to(dtype)
    matrix = count(6).reshape(2, 3)
    cube = count(24).reshape(2, 3, 4)
    state = OrderedDict({
        "matrix": matrix,
        "transposed": matrix.t(),          # shares the storage of "matrix"
        "row": matrix[1],                  # shares it too, with an offset
        "middle": cube[:, 1:, ::2],        # strided, with its own storage
        "half": count(5, torch.float16),
        "brain": count(5, torch.bfloat16),
        "double": count(3, torch.float64),
        "long": count(3, torch.int64),
        "int": count(3, torch.int32),
        "byte": count(3, torch.uint8),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(7.0),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(count(4)),
    })
    state._metadata = OrderedDict({"": {"version": 1}})
    torch.save(state, OUT)


if __name__ == "__main__":
    main()
