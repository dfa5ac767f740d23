#!/usr/bin/env python3
"""The teacher's training step of `bench step=` in PyTorch, eager, on the CPU, for comparison: the same shapes, flow
matching, gradient clipping, AdamW and an average of the weights. Prints the least and the median time of a step.
    python3 bench_torch_step.py demo|large float|bf16 [SECONDS [THREADS]]
bf16 is autocast over float weights, as ours are kept; AdamW is the faster of its forms that the installed PyTorch has
for the CPU (fused, else over lists). Needs PyTorch alone; scripts/bench_step.sh runs it in turn with `bench`."""
import contextlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F

SIZES = {"demo": (192, 768, 6, 4, 16), "large": (768, 3072, 12, 12, 4)}  # dim, ffn, heads, layers, batch
FRAMES, CHANNELS, SIDE, PATCH = 13, 48, 8, 2
TOKENS = (SIDE // PATCH) ** 2  # tokens of a frame
TEXT, TEXT_DIM, FREQ, WINDOW, AUDIO_DIM, AUDIO_HIDDEN, AUDIO_TOKENS, AUDIO_WIDTH = 8, 32, 256, 8, 32, 192, 4, 96


def rotate(x, cos, sin):
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class Attention(torch.nn.Module):
    def __init__(self, dim, heads, source):
        super().__init__()
        self.heads = heads
        self.q, self.o = torch.nn.Linear(dim, dim), torch.nn.Linear(dim, dim)
        self.k, self.v = torch.nn.Linear(source, dim), torch.nn.Linear(source, dim)
        self.norm_q, self.norm_k = torch.nn.RMSNorm(dim, 1e-6), torch.nn.RMSNorm(dim, 1e-6)

    def forward(self, x, source, rope=None):
        def split(t):
            return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.norm_q(self.q(x))), split(self.norm_k(self.k(source))), split(self.v(source))
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(torch.nn.Module):
    def __init__(self, dim, ffn, heads):
        super().__init__()
        self.modulation = torch.nn.Parameter(torch.randn(1, 1, 6, dim) * 0.02)
        self.own, self.text = Attention(dim, heads, dim), Attention(dim, heads, dim)
        self.audio = torch.nn.ModuleList([Attention(dim, heads, AUDIO_WIDTH) for _ in range(2)])
        self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(dim, 1e-6) for _ in range(3)])
        self.up, self.down = torch.nn.Linear(dim, ffn), torch.nn.Linear(ffn, dim)

    def forward(self, x, level, text, audio, rope):  # x [B, F P, dim], level [B, F, 6, dim]
        def modulated(shift, scale):
            n = F.layer_norm(x, x.shape[-1:], eps=1e-6).unflatten(1, (FRAMES, -1))
            return (n * (1 + scale.unsqueeze(2)) + shift.unsqueeze(2)).flatten(1, 2)

        def gated(y, gate):
            return x + (y.unflatten(1, (FRAMES, -1)) * gate.unsqueeze(2)).flatten(1, 2)

        m = (self.modulation + level).unbind(2)
        y = modulated(m[0], m[1])
        x = gated(self.own(y, y, rope), m[2])
        x = x + self.text(self.norms[0](x), text)
        for attention, norm, tokens in zip(self.audio, self.norms[1:], audio):  # each frame its own tokens
            y = norm(x).unflatten(1, (FRAMES, -1)).flatten(0, 1)
            x = x + attention(y, tokens).reshape(x.shape)
        return gated(self.down(F.gelu(self.up(modulated(m[3], m[4])), approximate="tanh")), m[5])


def two(a, b, c, act):
    return torch.nn.Sequential(torch.nn.Linear(a, b), act, torch.nn.Linear(b, c))


class Teacher(torch.nn.Module):
    def __init__(self, dim, ffn, heads, layers):
        super().__init__()
        patch = CHANNELS * PATCH * PATCH
        self.dim = dim
        self.embed, self.head = torch.nn.Linear(patch, dim), torch.nn.Linear(dim, patch)
        self.time, self.level = two(FREQ, dim, dim, torch.nn.SiLU()), torch.nn.Linear(dim, 6 * dim)
        self.text = two(TEXT_DIM, dim, dim, torch.nn.GELU(approximate="tanh"))
        tokens = AUDIO_TOKENS * AUDIO_WIDTH
        self.audio = torch.nn.ModuleList(
            [two(WINDOW * AUDIO_DIM, AUDIO_HIDDEN, tokens, torch.nn.GELU(approximate="tanh")) for _ in range(2)])
        self.norm = torch.nn.LayerNorm(AUDIO_WIDTH, 1e-6)
        self.blocks = torch.nn.ModuleList([Block(dim, ffn, heads) for _ in range(layers)])
        self.out = torch.nn.Parameter(torch.randn(1, 1, 2, dim) * 0.02)

    def forward(self, x, t, text, audio, rope):
        half = FREQ // 2
        angle = t.unsqueeze(-1) * torch.exp(-torch.arange(half) * (9.21 / half))
        e = self.time(torch.cat([angle.cos(), angle.sin()], -1))
        level = self.level(F.silu(e)).unflatten(-1, (6, self.dim))
        words = self.text(text)
        heard = [self.norm(net(a).view(-1, AUDIO_TOKENS, AUDIO_WIDTH)) for net, a in zip(self.audio, audio)]
        h = self.embed(x)
        for block in self.blocks:
            h = block(h, level, words, heard, rope)
        shift, scale = (self.out + e.unsqueeze(2)).unbind(2)
        n = F.layer_norm(h, (self.dim,), eps=1e-6).unflatten(1, (FRAMES, -1))
        return self.head((n * (1 + scale.unsqueeze(2)) + shift.unsqueeze(2)).flatten(1, 2))


def optimiser(parameters):
    keys = {"lr": 1e-3, "betas": (0.9, 0.99), "weight_decay": 0.01}
    try:
        return torch.optim.AdamW(parameters, fused=True, **keys)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(parameters, foreach=True, **keys)


def main(size, kind, seconds, threads):
    dim, ffn, heads, layers, batch = SIZES[size]
    torch.manual_seed(1)
    if threads:
        torch.set_num_threads(threads)
    net = Teacher(dim, ffn, heads, layers)
    parameters = list(net.parameters())
    average = [p.detach().clone() for p in parameters]
    adam = optimiser(parameters)
    clips = torch.randn(batch, FRAMES * TOKENS, CHANNELS * PATCH * PATCH)
    text = torch.randn(batch, TEXT, TEXT_DIM)
    audio = [torch.randn(batch * FRAMES, WINDOW * AUDIO_DIM) for _ in range(2)]
    angle = torch.randn(FRAMES * TOKENS, dim // heads // 2)
    rope = (angle.cos(), angle.sin())
    cast = torch.autocast("cpu", torch.bfloat16) if kind == "bf16" else contextlib.nullcontext()

    def step():
        noise, level = torch.randn_like(clips), torch.rand(batch, FRAMES)
        sigma = level.repeat_interleave(TOKENS, 1).unsqueeze(-1)
        adam.zero_grad(set_to_none=True)
        with cast:
            velocity = net((1 - sigma) * clips + sigma * noise, 1000 * level, text, audio, rope)
        F.mse_loss(velocity.float(), noise - clips).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 0.005)

    times, begun = [], 0.0
    for i in range(402):
        start = time.perf_counter()
        step()
        if i == 1:
            begun = time.perf_counter()
        if i < 2:
            continue
        times.append(time.perf_counter() - start)
        if time.perf_counter() - begun > seconds:
            break
    print(f"torch {torch.__version__}, {kind}, {torch.get_num_threads()} threads, "
          f"{sum(p.numel() for p in parameters)} parameters, {batch * FRAMES * TOKENS} rows: training step "
          f"least {1e3 * min(times):.1f} ms, median {1e3 * statistics.median(times):.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in SIZES or sys.argv[2] not in ("float", "bf16"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 10,
         int(sys.argv[4]) if len(sys.argv) > 4 else 0)
