#!/usr/bin/env python3
"""The training block of bench_dit in PyTorch, for comparison: the same shapes in bf16, scaled_dot_product_attention, as
it is and by torch.compile, whose first call compiles for many seconds. Prints the median of forward, and of forward and
backward, in ms, each as soon as it is there. Needs a GPU. Run: python3 bench_torch.py"""
import statistics
import time

import torch
import torch.nn.functional as F

DIM, FFN, HEADS, TEXT, AUDIO, AUDIO_TOKENS = 3072, 14336, 24, 512, 768, 16
FRAMES = 21


class Attention(torch.nn.Module):
    def __init__(self, source=None):
        super().__init__()
        source = source or DIM
        self.q, self.o = torch.nn.Linear(DIM, DIM), torch.nn.Linear(DIM, DIM)
        self.k, self.v = torch.nn.Linear(source, DIM), torch.nn.Linear(source, DIM)
        self.norm_q, self.norm_k = torch.nn.RMSNorm(DIM, 1e-6), torch.nn.RMSNorm(DIM, 1e-6)

    def forward(self, x, source, rope=None):
        def heads(t):
            return t.view(t.shape[0], t.shape[1], HEADS, -1).transpose(1, 2)

        q, k, v = heads(self.norm_q(self.q(x))), heads(self.norm_k(self.k(source))), heads(self.v(source))
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def rotate(x, cos, sin):
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.modulation = torch.nn.Parameter(torch.randn(1, 1, 6, DIM) * 0.02)
        self.attention, self.text = Attention(), Attention()
        self.audio = torch.nn.ModuleList([Attention(AUDIO), Attention(AUDIO)])
        self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(DIM, 1e-6) for _ in range(3)])
        self.up, self.down = torch.nn.Linear(DIM, FFN), torch.nn.Linear(FFN, DIM)

    def forward(self, x, time, text, audio, rope):  # x [1, F P, DIM] float; time [1, F, 6, DIM]
        frames = time.shape[1]

        def modulated(t, shift, scale):
            n = F.layer_norm(t, (DIM,), eps=1e-6).unflatten(1, (frames, -1))
            return (n * (1 + scale.unsqueeze(2)) + shift.unsqueeze(2)).flatten(1, 2).bfloat16()

        def gated(t, y, gate):
            return t + (y.float().unflatten(1, (frames, -1)) * gate.unsqueeze(2)).flatten(1, 2)

        m = (self.modulation.float() + time).unbind(2)
        y = modulated(x, m[0], m[1])
        x = gated(x, self.attention(y, y, rope), m[2])
        x = x + self.text(self.norms[0](x.bfloat16()), text).float()
        for attention, norm, tokens in zip(self.audio, self.norms[1:], audio):  # each frame its own tokens
            y = norm(x.bfloat16()).unflatten(1, (frames, -1)).flatten(0, 1)
            x = x + attention(y, tokens).float().reshape(x.shape)
        y = modulated(x, m[3], m[4])
        return gated(x, self.down(F.gelu(self.up(y), approximate="tanh")), m[5])


BOX_SECONDS = 1.0  # time spent on one figure without its first call, as in bench_dit


def timed(call):
    torch.cuda.synchronize()
    begun = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def median(call):
    timed(call)
    begun, times = time.perf_counter(), []
    while not times or (len(times) < 12 and time.perf_counter() - begun < BOX_SECONDS):
        times.append(timed(call))
    return 1e3 * statistics.median(times)


def prepare(name, rows, columns):
    """The block and a function that measures it."""
    tokens = rows // 2 * (columns // 2) * FRAMES
    device = {"device": "cuda"}
    block = Block().to("cuda", torch.bfloat16)
    x = torch.randn(1, tokens, DIM, **device, requires_grad=True)
    level = torch.randn(1, FRAMES, 6, DIM, **device)
    text = torch.randn(1, TEXT, DIM, **device, dtype=torch.bfloat16)
    audio = [torch.randn(FRAMES, AUDIO_TOKENS, AUDIO, **device, dtype=torch.bfloat16) for _ in range(2)]
    angle = torch.randn(tokens, DIM // HEADS // 2, **device)
    rope = (angle.cos(), angle.sin())

    def measure(how, model):
        def forward():
            with torch.no_grad():
                model(x, level, text, audio, rope)

        def both():
            model(x, level, text, audio, rope).sum().backward()

        for what, call in (("forward", forward), ("forward and backward", both)):
            print(f"torch {torch.__version__}, {how}, block {name}, {tokens} tokens: "
                  f"{what} {median(call):.3f} ms", flush=True)

    return measure, block


if __name__ == "__main__":
    torch.manual_seed(1)
    cases = [prepare("928 x 704", 44, 58), prepare("480 x 832", 52, 30)]
    for measure, block in cases:
        measure("as it is", block)
    for measure, block in cases:
        measure("compiled", torch.compile(block))
