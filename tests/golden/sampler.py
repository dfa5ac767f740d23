#!/usr/bin/env python3
"""Makes sampler.safetensors: 50-step trajectories of a small transformer by the public solvers.

Pinned: torch 2.5.1, safetensors 0.8.0 (CPU); the transformer and the newer solver from diffusers 0.37.1, the original's
from https://github.com/Wan-Video/Wan2.2 at 42bf4cfaa384bc21833865abc2f9e6c0e67233dc, which is not part of this project:
    PYTHONPATH=FOLDER_OF_DIFFUSERS_0_37_1 WAN22=FOLDER python3 tests/golden/sampler.py
UniPC of order 2, shift 5, frame 0 clean and at t = 0 as the image-to-video pipelines keep it:
    diffusers  UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    wan        FlowUniPCMultistepScheduler, as wan/textimage2video.py calls it
    guided     the same with text guidance 4 against empty text, 20 steps
    euler      FlowMatchEulerDiscreteScheduler on the levels that test_sampler.c gives it
Stored are the levels and timesteps and, of every trajectory, the states after some of the steps. Weights and inputs are
made by both sides (weights.py).
"""
import importlib.util
import os
import sys

import diffusers
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanTransformer3DModel

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
from weights import fill, values

FOUND = oracle.made_with(torch="2.5.1", diffusers="0.37.1")
torch.set_num_threads(1)
torch.set_grad_enabled(False)

B, C, F, H, W, TEXT, TEXT_DIM, FREQ = 2, 8, 3, 4, 6, 8, 32, 256
model = WanTransformer3DModel(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=32, in_channels=C, out_channels=C,
    text_dim=TEXT_DIM, freq_dim=FREQ, ffn_dim=96, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
    eps=1e-6, rope_max_seq_len=32)
is_norm = lambda name: name.endswith(("norm_q.weight", "norm_k.weight", "norm2.weight"))
fill(model, mean=lambda name: 1.0 if is_norm(name) else 0.0)


class Sinusoid(torch.nn.Module):
    """Diffusers makes these angles in float, where t near 1000 costs five digits; the original Wan in double."""

    def forward(self, t):
        half = FREQ // 2
        angle = t.double()[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()


model.condition_embedder.timesteps_proj = Sinusoid()


def load_original():
    path = os.path.join(os.environ["WAN22"], "wan", "utils", "fm_solvers_unipc.py")
    spec = importlib.util.spec_from_file_location("fm_solvers_unipc", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fm_solvers_unipc"] = module
    spec.loader.exec_module(module)
    return module.FlowUniPCMultistepScheduler(num_train_timesteps=1000, shift=1, use_dynamic_shifting=False)


noise = torch.from_numpy(values("noise", (B, F, C, H, W), 1.0)).permute(0, 2, 1, 3, 4)
reference = torch.from_numpy(values("reference", (B, 1, C, H, W), 1.0)).permute(0, 2, 1, 3, 4)
text = torch.from_numpy(values("text", (B, TEXT, TEXT_DIM), 1.0))
clean = torch.zeros(1, 1, F, 1, 1)
clean[:, :, 0] = 1
out = {}


def velocity(x, t, prompt):
    per_token = t * torch.ones(B, F)
    per_token[:, 0] = 0
    return model(x, per_token.repeat_interleave(H // 2 * W // 2, dim=1), prompt, return_dict=False)[0]


def trajectory(name, scheduler, guidance, keep):
    x = clean * reference + (1 - clean) * noise
    out[name + ".sigma"] = scheduler.sigmas.double()
    out[name + ".timestep"] = scheduler.timesteps.double()
    for i, t in enumerate(scheduler.timesteps):
        v = velocity(x, t.double(), text)
        if guidance != 1:
            without = velocity(x, t.double(), torch.zeros_like(text))
            v = without + guidance * (v - without)
        x = scheduler.step(v, t, x, return_dict=False)[0]
        x = clean * reference + (1 - clean) * x
        if i + 1 in keep:
            out[f"{name}.{i + 1}"] = x.permute(0, 2, 1, 3, 4)
    print(name, "deviation", x[:, :, 1:].std().item(), "of v", v.std().item())


scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0,
                                    num_train_timesteps=1000)
scheduler.set_timesteps(50)
trajectory("diffusers", scheduler, 1, {1, 2, 3, 25, 50})
if "WAN22" in os.environ or not oracle.CHECK:
    scheduler = load_original()
    scheduler.set_timesteps(50, shift=5.0)
    trajectory("wan", scheduler, 1, {1, 2, 3, 25, 50})
    scheduler = load_original()
    scheduler.set_timesteps(20, shift=5.0)
    trajectory("guided", scheduler, 4, {1, 20})
else:
    print("WAN22 names no folder: without the original's solver")
u = np.linspace(1, 0, 13)[:-1]
scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
scheduler.set_timesteps(sigmas=5 * u / (1 + 4 * u))
trajectory("euler", scheduler, 1, {1, 12})

oracle.keep("sampler.safetensors", out, made_by="sampler.py", wan="42bf4cfaa384bc21833865abc2f9e6c0e67233dc", **FOUND)
