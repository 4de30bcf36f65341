"""Measures PyTorch on this GPU: one line each for a copy, bf16 products and attention."""

import torch
import torch.nn.functional as F


def seconds(body, repetitions=10):
    """Median time of `repetitions` calls, after one untimed call."""
    body()
    times = []
    for _ in range(repetitions):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        body()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return sorted(times)[len(times) // 2]


def main():
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}")
    x = torch.randn(1 << 28, device="cuda")
    y = torch.empty_like(x)
    print(f"copy 2 x 1 GiB: {2 * x.nbytes / seconds(lambda: y.copy_(x)) / 1e9:.0f} GB/s")
    del x, y
    for m, n, k in [(8192, 8192, 8192), (4096, 4096, 4096), (4096, 11008, 4096), (4096, 4096, 11008)]:
        a = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
        b = torch.randn(n, k, device="cuda", dtype=torch.bfloat16)
        print(f"bf16 {m} x {n} x {k}: {2 * m * n * k / seconds(lambda: F.linear(a, b)) / 1e12:.0f} TFLOP/s")
    for name, batch, heads, length, dim, causal in [
        ("causal, 4 x 4096", 4, 16, 4096, 128, True),
        ("full, 32 x 577", 32, 16, 577, 64, False),
    ]:
        q, k, v = (
            torch.randn(batch, heads, length, dim, device="cuda", dtype=torch.bfloat16, requires_grad=True)
            for _ in range(3)
        )
        flop = 4 * batch * heads * length * length * dim * (0.5 if causal else 1.0)
        forward = seconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        dout = torch.randn_like(out)
        backward = seconds(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
        print(
            f"attention {name}, head dim {dim}: forward {flop / forward / 1e12:.0f}, "
            f"backward {2.5 * flop / backward / 1e12:.0f} TFLOP/s"
        )


if __name__ == "__main__":
    main()
