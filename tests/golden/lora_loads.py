#!/usr/bin/env python3
"""Holds exported adapters against the merged export, and loads them with Diffusers' public class.

Needs torch, diffusers, safetensors, peft (CPU): of 2024 or of today (make parity).
    lora_loads.py FOLDER
FOLDER: base/ and diffusers/ (exports, Diffusers' names), diffusers.lora, original.lora (rank 4, alpha 8). By both files
the merged weights are base + alpha / rank B A within float rounding. With adapters (and what was trained whole) on the
base, Diffusers gives the velocity of its model of the merged weights. Without peft that part is left out, with a line.
"""
import os
import sys

import torch
from safetensors.torch import load_file

folder = sys.argv[1]
trunk = lambda name: load_file(os.path.join(folder, name, "transformer", "diffusion_pytorch_model.safetensors"))
base, merged = trunk("base"), trunk("diffusers")
ours = load_file(os.path.join(folder, "diffusers.lora"))
theirs = load_file(os.path.join(folder, "original.lora"))
pairs = [k[len("transformer."):-len(".lora_A.weight")] for k in ours if k.endswith(".lora_A.weight")]
whole = {k[len("transformer."):]: v for k, v in ours.items() if ".lora_" not in k}
assert len(pairs) == 3 * 10 and whole and len(theirs) == 3 * len(pairs) + len(whole)
EPS = 2.0 ** -24
adapted = {p + ".weight" for p in pairs}
for name, value in merged.items():
    if name in adapted:
        p = "transformer." + name[:-len(".weight")]
        A, B = ours[p + ".lora_A.weight"].double(), ours[p + ".lora_B.weight"].double()
        want = base[name].double() + B @ A
        bound = (A.shape[0] + 3) * EPS * (base[name].double().abs() + B.abs() @ A.abs())
        assert ((value.double() - want).abs() <= bound).all(), name
        assert not torch.equal(value, base[name]), name
    else:
        assert torch.equal(value, whole.get(name, base[name])), name
q = "diffusion_model.blocks.1.self_attn.q"
assert theirs[q + ".alpha"].item() == 8 and theirs[q + ".alpha"].shape == ()
r = "transformer.blocks.1.attn1.to_q"
assert torch.equal(theirs[q + ".lora_A.weight"], ours[r + ".lora_A.weight"])
assert torch.equal(theirs[q + ".lora_B.weight"] * 2, ours[r + ".lora_B.weight"])
print("merged weights: same")

import diffusers
from diffusers import WanTransformer3DModel

try:
    import peft
except ImportError:
    print("no peft: Diffusers' loader was left out")
    sys.exit(0)
print(f"with torch {torch.__version__}, diffusers {diffusers.__version__}, peft {peft.__version__}")
torch.manual_seed(7)
load = lambda name: WanTransformer3DModel.from_pretrained(os.path.join(folder, name), subfolder="transformer",
                                                          torch_dtype=torch.float32)
model, want = load("base"), load("diffusers")
c = model.config
latents, text = torch.randn(2, c.in_channels, 3, 4, 6), torch.randn(2, 5, c.text_dim)
t = torch.tensor([437.5, 961.25])
with torch.no_grad():
    plain = model(latents, t, text, return_dict=False)[0]
    model.load_lora_adapter(dict(ours), prefix="transformer")
    state = model.state_dict()
    for name, value in whole.items(): # Diffusers' loader takes the pairs alone
        if name in state:
            state[name].copy_(value)
    got, merged_velocity = model(latents, t, text, return_dict=False)[0], want(latents, t, text, return_dict=False)[0]
    error = ((got - merged_velocity).norm() / merged_velocity.norm()).item()
    moved = ((plain - merged_velocity).norm() / merged_velocity.norm()).item()
print(f"velocity: {error:.2e} from the merged model's, which is {moved:.2e} from the base's")
assert error < 1e-5 and moved > 10 * error
