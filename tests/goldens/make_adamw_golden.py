"""Writes adamw.safetensors: ten steps of torch.optim.AdamW in f32. Needs torch and safetensors.

The hyperparameters are repeated in tests/autograd/op_adamw.cpp. Step k's gradient is row k of "gradients".
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

COUNT, STEPS = 37, 10

torch.manual_seed(1)
weight = torch.nn.Parameter(torch.randn(COUNT))
tensors = {"initial": weight.detach().clone()}
gradients = torch.randn(STEPS, COUNT) * torch.logspace(-4, 2, COUNT)
gradients[:, 0] = 0.0
optimizer = torch.optim.AdamW([weight], lr=0.02, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)
history = []
for step in range(STEPS):
    weight.grad = gradients[step].clone()
    optimizer.step()
    history.append(weight.detach().clone())
state = optimizer.state[weight]
tensors |= {
    "gradients": gradients,
    "weights": torch.stack(history),
    "first_moment": state["exp_avg"].clone(),
    "second_moment": state["exp_avg_sq"].clone(),
}
save_file(tensors, Path(__file__).parent / "adamw.safetensors")
