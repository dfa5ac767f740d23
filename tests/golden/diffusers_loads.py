#!/usr/bin/env python3
"""Loads an exported trunk with Diffusers' public class and holds one forward of it against bin/forward.

Needs torch, diffusers, safetensors (CPU): of 2024 or of today (make parity).
    diffusers_loads.py FOLDER FORWARD [--record FILE.json]
FOLDER: what bin/export wrote in Diffusers names. Both sides run the trunk alone, bidirectional, frame 0 at t = 0.
Diffusers makes the angles of the timestep in float, where t near 1000 costs digits: the error is given once with the
class as it is and once with those angles in double, as the original Wan has them. Diffusers 0.35 makes its table of
rotations for frames, rows and columns 2 (d // 6) wide, but cuts it at d // 3: the same at the published heads of 128,
not at this test's of 16. Where the class does that it is given the cut of the original and of later versions; what it
gives by its own cut is printed beside it. tests/golden/diffusers_loads.json is the record of a run in float.
"""
import json
import os
import subprocess
import sys
import tempfile

import diffusers
import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import save_file

torch.manual_seed(7)
folder, forward = sys.argv[1:3]
record = sys.argv[4] if len(sys.argv) > 4 and sys.argv[3] == "--record" else None

model, info = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=torch.float32,
                                                    output_loading_info=True)
assert not any(info.values()), info  # nothing missing, surplus or mis-shaped
c = model.config
B, F, H, W, TEXT = 2, 3, 4, 6, 5
latents = torch.randn(B, c.in_channels, F, H, W)
text = torch.randn(B, TEXT, c.text_dim)
t = torch.tensor([[0.0, 437.5, 437.5], [0.0, 961.25, 961.25]])
per_token = t.repeat_interleave(H // 2 * W // 2, dim=1)


class Sinusoid(torch.nn.Module):
    """The angles in double."""

    def forward(self, t):
        half = c.freq_dim // 2
        angle = t.double()[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def rotations(rope):
    """Its forward, with the table cut where its parts meet."""
    part = 2 * (rope.attention_head_dim // 6)

    def forward(x):
        places = torch.cartesian_prod(*(torch.arange(n // p) for n, p in zip(x.shape[2:], rope.patch_size)))
        parts = lambda table: table.split([rope.attention_head_dim - 2 * part, part, part], dim=1)
        take = lambda table: torch.cat([p[at] for p, at in zip(parts(table), places.T)], dim=1)[None, :, None]
        return take(rope.freqs_cos), take(rope.freqs_sin)

    return forward


with tempfile.TemporaryDirectory() as place, torch.no_grad():
    given, made = os.path.join(place, "in.safetensors"), os.path.join(place, "out.safetensors")
    save_file({"latents": latents, "timestep": per_token, "text": text}, given)
    subprocess.run([forward, os.path.join(folder, "transformer"), given, made], check=True, stderr=subprocess.DEVNULL)
    with safe_open(made, "pt") as file:
        kind, ours = file.metadata()["type"], file.get_tensor("velocity").double()
    own_cut = model(latents, per_token, text, return_dict=False)[0].double()
    if not hasattr(model.rope, "t_dim"):  # 0.35
        model.rope.forward = rotations(model.rope)
    theirs = model(latents, per_token, text, return_dict=False)[0].double()
    model.condition_embedder.timesteps_proj = Sinusoid()
    theirs_exact = model(latents, per_token, text, return_dict=False)[0].double()
    error = lambda x: ((ours - x).norm() / x.norm()).item()
    result = {"diffusers": diffusers.__version__, "torch": torch.__version__, "type": kind,
              "parameters": sum(p.numel() for p in model.parameters()),
              "velocity_deviation": theirs.std().item(),
              "relative_error": error(theirs), "relative_error_double_angles": error(theirs_exact),
              "relative_error_own_cut": error(own_cut)}
print(json.dumps(result, indent=1))
assert theirs.std() > 1e-3, "the network gives nothing to compare"
# float: sums of some thousand terms in another order; bf16: some 20 stores a block, each off by 2^-8
bound = {"float": 1e-5, "double": 1e-5, "bf16": (20 * c.num_layers) ** 0.5 / 256}[kind]
assert result["relative_error_double_angles"] < bound, bound
assert result["relative_error"] < bound + 1e-3, bound
if record:
    with open(record, "w") as file:
        file.write(json.dumps(result, indent=1) + "\n")
