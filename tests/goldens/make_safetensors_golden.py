"""Writes safetensors_reference.bin with the reference library. Needs torch and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(1)
save_file(
    {
        "b.weight": torch.randn(3, 5),
        "a.weight": torch.randn(2),
        "half": torch.randn(7).to(torch.float16),
        "brain": torch.randn(4, 1).to(torch.bfloat16),
        "double": torch.randn(2, dtype=torch.float64),
        "long": torch.arange(3),
        "int": torch.arange(3, dtype=torch.int32),
        "byte": torch.arange(5, dtype=torch.uint8),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(2.5),
        "quoted \"name\" \\": torch.zeros(1),
    },
    Path(__file__).parent / "safetensors_reference.bin",
    metadata={"format": "pt"},
)
