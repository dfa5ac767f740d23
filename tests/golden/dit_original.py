#!/usr/bin/env python3
"""Makes dit_original.safetensors: velocity and gradients of a small transformer run by the original Wan's own code.

Pinned: torch 2.5.1, diffusers 0.35.1, safetensors 0.8.0 (CPU), and the code of
    https://github.com/Wan-Video/Wan2.2 at 42bf4cfaa384bc21833865abc2f9e6c0e67233dc
which is not part of this project: check it out somewhere and name it.
Run: WAN22=FOLDER python3 tests/golden/dit_original.py
Nothing of it is changed but its attention call, which needs a GPU library: PyTorch's own attention stands in. Weights
and inputs are made by both sides (weights.py), so the file holds results only. Three heads of 128, four latent frames
of 6 x 8, two samples with text of their own length (padded to 7 rows by the model), per-token t with frame 0 at t = 0.
The file has the root sum of squares of every parameter's gradient and its product with a probe, and small gradients
whole.
"""
import importlib.util
import os
import sys
import types

import diffusers
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
from weights import fill, values

FOUND = oracle.made_with(torch="2.5.1", diffusers="0.35.1")
torch.set_num_threads(1)


def attention(q, k, v, k_lens=None, window_size=(-1, -1), **_):
    """q, k, v [B, L, heads, D], nothing padded."""
    assert k_lens is None or (k_lens == k.size(1)).all()
    out = torch.nn.functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2).contiguous()


def load_model(root):
    """wan/modules/model.py without the package around it, which imports much more."""
    package = types.ModuleType("wan_modules")
    package.__path__ = []
    stand_in = types.ModuleType("wan_modules.attention")
    stand_in.flash_attention = attention
    sys.modules.update({"wan_modules": package, "wan_modules.attention": stand_in})
    spec = importlib.util.spec_from_file_location("wan_modules.model", os.path.join(root, "wan", "modules", "model.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["wan_modules.model"] = module
    spec.loader.exec_module(module)
    return module.WanModel


B, C, F, H, W, TEXT, TEXT_DIM = 2, 6, 4, 6, 8, 7, 20
REAL_ROWS = (4, 7)
model = load_model(os.environ["WAN22"])(
    model_type="ti2v", patch_size=(1, 2, 2), text_len=TEXT, in_dim=C, dim=384, ffn_dim=160, freq_dim=256,
    text_dim=TEXT_DIM, out_dim=C, num_heads=3, num_layers=2, cross_attn_norm=True, eps=1e-6)
fill(model, mean=lambda name: 1.0 if "norm" in name and name.endswith("weight") else 0.0)

latents = torch.from_numpy(values("latents", (B, F, C, H, W), 1.0)).requires_grad_()
text = torch.from_numpy(values("text", (B, TEXT, TEXT_DIM), 1.0))
projection = torch.from_numpy(values("projection", (B, F, C, H, W), 1.0))
t = torch.tensor([[0.0, 611.5, 611.5, 611.5], [0.0, 37.0, 37.0, 950.25]])
tokens = H // 2 * (W // 2)
velocity = torch.stack(model(
    [x.permute(1, 0, 2, 3) for x in latents], t=t.repeat_interleave(tokens, dim=1),
    context=[text[b, :REAL_ROWS[b]] for b in range(B)], seq_len=F * tokens)).permute(0, 2, 1, 3, 4)
(velocity * projection).sum().backward()

out = {"t": t, "velocity": velocity.detach(), "grad.latents": latents.grad}
for name, p in model.named_parameters():
    probe = torch.from_numpy(values("probe " + name, tuple(p.shape), 1.0)).double()
    out["norm." + name] = p.grad.double().norm().reshape(1)
    out["probe." + name] = (p.grad.double() * probe).sum().reshape(1)
    if p.numel() <= 1024:
        out["grad." + name] = p.grad
print("velocity deviation", velocity.std().item())
oracle.keep("dit_original.safetensors", out, made_by="dit_original.py",
            wan="42bf4cfaa384bc21833865abc2f9e6c0e67233dc", **FOUND)
