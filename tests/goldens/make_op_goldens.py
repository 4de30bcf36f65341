"""Writes ops.safetensors: inputs, outputs and gradients of every operator, made by PyTorch in f64.

Tensors are named CASE/OPERAND; CASE/y is the result, CASE/dy its given gradient, CASE/d.X the
gradient of operand X. tests/autograd/op_goldens.cpp replays each case. Needs torch and safetensors.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
tensors = {}


def case(name, function, inputs, **constants):
    """Runs function(**inputs, **constants) and stores everything; inputs get gradients."""
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    y = function(**leaves, **constants)
    dy = torch.randn_like(y)
    y.backward(dy)
    for key, value in constants.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{name}/{key}"] = value
    for key, leaf in leaves.items():
        tensors[f"{name}/{key}"] = leaf.detach()
        tensors[f"{name}/d.{key}"] = leaf.grad
    tensors[f"{name}/y"] = y.detach()
    tensors[f"{name}/dy"] = dy


def index(values):
    return torch.tensor(values, dtype=torch.int32)


def normal(*shape):
    return torch.randn(*shape)


case("add", lambda a, b: a + b, {"a": normal(3, 4, 5), "b": normal(4, 1)})
case("mul", lambda a, b: a * b, {"a": normal(3, 1, 5), "b": normal(4, 5)})
case("scale", lambda x: -0.75 * x, {"x": normal(7)})
case("exp", torch.exp, {"input": normal(7)})
case("sum", lambda x: x.sum().reshape(1), {"x": normal(5, 7)})
case("reshape", lambda x: x.reshape(4, 3), {"x": normal(2, 6)})
case("concat_rows", lambda above, below: torch.cat([above, below]),
     {"above": normal(2, 3), "below": normal(4, 3)})
case("slice_columns", lambda x: x[:, 2:5], {"x": normal(3, 7)})
case("matmul", torch.matmul, {"input": normal(2, 3, 4), "other": normal(2, 4, 5)})
case("matmul_transposed", lambda a, b: a.mT @ b.mT, {"a": normal(4, 3), "b": normal(5, 4)})
case("linear", F.linear, {"input": normal(5, 7), "weight": normal(3, 7), "bias": normal(3)})
case("embedding", lambda table, ids: F.embedding(ids.long(), table), {"table": normal(5, 3)},
     ids=index([4, 0, 4, 2, 4, 1]))
case("gather_rows", lambda x, index: x[index.long()], {"x": normal(5, 3)}, index=index([3, 3, 0, 4]))


def splice(text, rows, index):
    y = text.clone()
    y[index.long()] = rows
    return y


case("splice_rows", splice, {"text": normal(6, 3), "rows": normal(2, 3)}, index=index([4, 1]))


def sequences(starts):
    return list(zip(starts[:-1].tolist(), starts[1:].tolist()))


case("mean_rows",
     lambda x, starts: torch.stack([x[begin:end].mean(0) for begin, end in sequences(starts)]),
     {"x": normal(9, 4)}, starts=index([0, 1, 5, 9]))
case("rms_norm", lambda x, weight: F.rms_norm(x, (x.shape[1],), weight, 1e-5),
     {"x": normal(4, 9), "weight": normal(9)})
case("layer_norm", lambda x, weight, bias: F.layer_norm(x, (x.shape[1],), weight, bias, 1e-5),
     {"x": normal(4, 9), "weight": normal(9), "bias": normal(9)})
case("gelu_erf", F.gelu, {"input": 3 * normal(33)})
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), {"x": 3 * normal(33)})
case("gelu_quick", lambda x: x * torch.sigmoid(1.702 * x), {"x": 3 * normal(33)})
case("swiglu", lambda gate, up: F.silu(gate) * up, {"gate": 2 * normal(3, 7), "up": normal(3, 7)})
case("softmax", lambda x: F.softmax(x, -1), {"x": 3 * normal(4, 9)})
case("l2_normalize", lambda x: F.normalize(x, dim=-1), {"x": normal(4, 9)})


def rope(x, positions, cos, sin):
    """Rotates pairs of the two halves, like rotate_half of transformers."""
    rows = positions.long()
    angle_cos = torch.cat([cos[rows], cos[rows]], -1)[:, None]
    angle_sin = torch.cat([sin[rows], sin[rows]], -1)[:, None]
    half = x.shape[-1] // 2
    rotated = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * angle_cos + rotated * angle_sin


angles = torch.outer(torch.arange(11.0), 10000.0 ** (-torch.arange(0, 8, 2) / 8))
case("rope", rope, {"x": normal(5, 3, 8)}, positions=index([0, 1, 10, 4, 4]), cos=angles.cos(),
     sin=angles.sin())


def attention(q, k, v, query_starts, key_starts, causal):
    """Computes attention for each sequence alone; causal masks are aligned to the last key."""
    outputs = []
    for (q0, q1), (k0, k1) in zip(sequences(query_starts), sequences(key_starts)):
        mask = None
        if causal:
            mask = torch.ones(q1 - q0, k1 - k0, dtype=torch.bool).tril(k1 - k0 - (q1 - q0))
        out = F.scaled_dot_product_attention(
            q[q0:q1].transpose(0, 1), k[k0:k1].transpose(0, 1), v[k0:k1].transpose(0, 1),
            attn_mask=mask, scale=0.3, enable_gqa=True)
        outputs.append(out.transpose(0, 1))
    return torch.cat(outputs)


def attention_case(name, heads, key_heads, query_starts, key_starts, causal):
    rows, keys = query_starts[-1], key_starts[-1]
    case(name, lambda **operands: attention(causal=causal, **operands),
         {"q": normal(rows, heads, 8), "k": normal(keys, key_heads, 8),
          "v": normal(keys, key_heads, 8)},
         query_starts=index(query_starts), key_starts=index(key_starts))


attention_case("attention", 2, 2, [0, 5, 6], [0, 5, 6], False)
attention_case("attention_causal", 2, 2, [0, 5, 9], [0, 5, 9], True)
attention_case("attention_grouped", 4, 2, [0, 7], [0, 7], True)
attention_case("attention_cached", 4, 1, [0, 2, 3], [0, 6, 10], True)

case("linear_cross_entropy",
     lambda hidden, weight, targets: 0.125 * F.cross_entropy(
         hidden @ weight.T, targets.long(), reduction="sum").reshape(1),
     {"hidden": normal(6, 5), "weight": normal(11, 5)}, targets=index([0, 10, 3, 3, 7, 1]))


def merge_tokens(x, column_major):
    """Space to depth, 2 x 2, zero-padded to an even side."""
    batch, tokens, width = x.shape
    side = round(tokens**0.5)
    grid = F.pad(x.reshape(batch, side, side, width), (0, 0, 0, side % 2, 0, side % 2))
    merged = torch.cat([grid[:, 0::2, 0::2], grid[:, 0::2, 1::2], grid[:, 1::2, 0::2],
                        grid[:, 1::2, 1::2]], -1)
    if column_major:
        merged = merged.transpose(1, 2)
    return merged.reshape(batch, -1, 4 * width)


case("merge_tokens_rows", lambda x: merge_tokens(x, False), {"x": normal(2, 16, 3)})
case("merge_tokens_columns", lambda x: merge_tokens(x, True), {"x": normal(2, 9, 3)})

# Patches times a flattened kernel equal a convolution whose stride is the kernel's size.
pixels, kernel = normal(2, 3, 5, 7), normal(4, 3, 2, 2)
tensors["patchify/pixels"] = pixels
tensors["patchify/kernel"] = kernel.reshape(4, 12)
tensors["patchify/y"] = F.conv2d(pixels, kernel, stride=2).flatten(2).mT.reshape(-1, 4)

save_file({name: tensor.clone(memory_format=torch.contiguous_format)
           for name, tensor in tensors.items()}, Path(__file__).parent / "ops.safetensors")
