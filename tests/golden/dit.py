#!/usr/bin/env python3
"""Makes dit.safetensors: a small Wan transformer of Diffusers, its inputs, velocity and gradients.

Made with torch 2.5.1, diffusers 0.35.1, safetensors 0.8.0 (CPU). Run: python3 tests/golden/dit.py (--check: oracle.py)
No two sizes are equal, so that none can stand for another: a head of 32 splits 12/10/10 over t, h, w; H != W; two
samples; frame 0 is clean (t = 0). All weights are random (Wan's own initialisation has a zero head). Names are the
original Wan names; test_dit.c reads the file.
"""
import os
import re
import sys

import diffusers
import torch
from diffusers import WanTransformer3DModel

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle

FOUND = oracle.made_with(torch="2.5.1", diffusers="0.35.1")
torch.manual_seed(20)
torch.set_num_threads(1)

B, C, T, H, W, TEXT, TEXT_DIM, FREQ = 2, 8, 3, 4, 6, 8, 32, 256
model = WanTransformer3DModel(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=32, in_channels=C, out_channels=C,
    text_dim=TEXT_DIM, freq_dim=FREQ, ffn_dim=96, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
    eps=1e-6, rope_max_seq_len=32)
norms = re.compile(r"norm_[qk]\.weight$|norm2\.weight$")
with torch.no_grad():
    for name, p in model.named_parameters():
        p.copy_(0.1 * torch.randn_like(p) + (1 if norms.search(name) else 0))


class Sinusoid(torch.nn.Module):
    """Diffusers makes these angles in float, where t near 1000 costs five digits; the original Wan in double."""

    def forward(self, t):
        half = FREQ // 2
        angle = t.double()[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def original(name):
    """Diffusers' parameter name as the original Wan's."""
    for pattern, to in [
        (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
        (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
        (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
        (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
        (r"^condition_embedder\.time_proj", "time_projection.1"),
        (r"^scale_shift_table", "head.modulation"), (r"^proj_out", "head.head"),
        (r"scale_shift_table$", "modulation"), (r"\.attn1\.", ".self_attn."), (r"\.attn2\.", ".cross_attn."),
        (r"\.to_([qkv])\.", r".\1."), (r"\.to_out\.0\.", ".o."), (r"\.norm2\.", ".norm3."),
        (r"\.ffn\.net\.0\.proj", ".ffn.0"), (r"\.ffn\.net\.2", ".ffn.2"),
    ]:
        name = re.sub(pattern, to, name)
    return name


latents = torch.randn(B, C, T, H, W, requires_grad=True)
text = torch.randn(B, TEXT, TEXT_DIM)
text[:, 5:] = 0  # padding takes part
t = torch.tensor([[0.0, 437.5, 437.5], [0.0, 961.25, 120.0]])
per_token = t.repeat_interleave(H // 2 * W // 2, dim=1)
theirs = model.condition_embedder.timesteps_proj(per_token.flatten())
assert (theirs - Sinusoid()(per_token.flatten())).abs().max() < 2e-4
model.condition_embedder.timesteps_proj = Sinusoid()

velocity = model(latents, per_token, text, return_dict=False)[0]
projection = torch.randn_like(velocity)
(velocity * projection).sum().backward()

GRADS = re.compile(
    r"patch_embedding|embedding\.0\.weight|embedding\.2\.bias|time_projection.1.bias|modulation|norm|\.bias$|"
    r"blocks\.0\.self_attn\.[qv]\.weight|blocks\.1\.self_attn\.k\.weight|blocks\.0\.cross_attn\.k\.weight|"
    r"blocks\.1\.cross_attn\.[qo]\.weight|blocks\.0\.ffn\.0\.weight|blocks\.1\.ffn\.2\.weight|head")
frames_first = lambda x: x.permute(0, 2, 1, 3, 4).contiguous()  # [B, F, C, H, W]
out = {"input.latents": frames_first(latents.detach()), "input.text": text, "input.t": t,
       "input.projection": frames_first(projection), "velocity": frames_first(velocity.detach()),
       "grad.latents": frames_first(latents.grad)}
for name, p in model.named_parameters():
    name = original(name)
    out["weight." + name] = p.detach()
    if GRADS.search(name):
        out["grad." + name] = p.grad
print("velocity deviation", velocity.std().item())
oracle.keep("dit.safetensors", out, made_by="dit.py", **FOUND)
