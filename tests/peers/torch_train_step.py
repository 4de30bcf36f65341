"""The training step of `vila bench train-step` in PyTorch: the same shapes, data and optimizer.

    python3 torch_train_step.py THREADS f32|bf16 [STEPS]

bf16 is autocast over float32 weights, as is usual in PyTorch. Subnormal numbers are flushed to zero,
because they would slow PyTorch down. Prints the median step and the peak memory.
"""
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

IMAGE_TOKENS, TEXT_TOKENS, BATCH, VOCABULARY = 256, 128, 4, 32000


def heads(x, count):
    return x.view(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def attention(q, k, v, causal):
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


class VisionBlock(nn.Module):
    def __init__(self, width, head_count):
        super().__init__()
        self.head_count = head_count
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        q, k, v = (heads(part, self.head_count) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(attention(q, k, v, causal=False))
        y = self.up(self.norm2(x))
        return x + self.down(y * torch.sigmoid(1.702 * y))


class LlamaBlock(nn.Module):
    def __init__(self, width, head_count, inner):
        super().__init__()
        self.head_count = head_count
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x, cosines, sines):
        def rotate(t):
            half = t.shape[-1] // 2
            turned = torch.cat((-t[..., half:], t[..., :half]), -1)
            return (t * cosines + turned * sines).to(t.dtype)

        y = self.norm1(x)
        q, k, v = (heads(layer(y), self.head_count) for layer in (self.q, self.k, self.v))
        x = x + self.out(attention(rotate(q), rotate(k), v, causal=True))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 384, 14, 14)
        self.positions = nn.Parameter(torch.randn(IMAGE_TOKENS, 384) * 0.02)
        self.vision = nn.ModuleList(VisionBlock(384, 6) for _ in range(12))
        self.projector = nn.Sequential(nn.Linear(384, 512), nn.GELU(), nn.Linear(512, 512))
        self.embedding = nn.Embedding(VOCABULARY, 512)
        self.blocks = nn.ModuleList(LlamaBlock(512, 8, 1408) for _ in range(8))
        self.norm = nn.RMSNorm(512, eps=1e-6)
        self.head = nn.Linear(512, VOCABULARY, bias=False)
        frequencies = 10000 ** (-torch.arange(0, 64, 2) / 64.0)
        angles = torch.outer(torch.arange(float(IMAGE_TOKENS + TEXT_TOKENS)), frequencies)
        angles = torch.cat((angles, angles), -1)
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())

    def forward(self, pixels, ids):
        x = self.patches(pixels).flatten(2).transpose(1, 2) + self.positions
        for block in self.vision:
            x = block(x)
        x = torch.cat((self.projector(x), self.embedding(ids)), 1)
        for block in self.blocks:
            x = block(x, self.cosines, self.sines)
        logits = self.head(self.norm(x)[:, IMAGE_TOKENS - 1 : -1])
        return F.cross_entropy(logits.float().flatten(0, 1), ids.flatten())


def main(threads, dtype, steps):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=True)
    pixels = torch.rand(BATCH, 3, 224, 224) * 2 - 1
    ids = torch.randint(0, VOCABULARY, (BATCH, TEXT_TOKENS))
    seconds = []
    for _ in range(steps + 2):
        start = time.time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            loss = model(pixels, ids)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss = loss.item()
        seconds.append(time.time() - start)
    median = sorted(seconds[2:])[steps // 2]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"PyTorch {torch.__version__}, {threads} threads, {parameters:.1f} M parameters, {dtype}: "
          f"{median:.3f} s a step, process {megabytes:.0f} MB, loss {loss:.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 6)
