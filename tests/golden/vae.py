#!/usr/bin/env python3
"""Makes vae.safetensors: what small Wan VAEs of Diffusers (2.1 and 2.2) encode and decode; and vae_names.txt: the names
and shapes of the full-size ones.

Made with torch 2.5.1, diffusers 0.35.1, safetensors 0.8.0 (CPU). Run: python3 tests/golden/vae.py (--check: oracle.py)
All is in float64, rounded to float32 at the end. No two sizes are equal: H != W, channels change between stages, two
latent frames follow the first one. Weights and inputs are made by weights.py from the original Wan names ("wan21." or
"wan22." in front). The encoder's deviations are not used: the mean is the latent.
"""
import io
import os
import re
import sys

import diffusers
import torch
from diffusers import AutoencoderKLWan

import oracle
import weights

FOUND = oracle.made_with(torch="2.5.1", diffusers="0.35.1")
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
FRAMES = 9
COMMON = dict(dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True])
RESIDUAL = dict(is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16)
SMALL = {  # name: config, pixels
    "wan21": (dict(base_dim=8, z_dim=4, **COMMON), (16, 24)),
    "wan22": (dict(base_dim=8, decoder_base_dim=16, z_dim=4, **COMMON, **RESIDUAL), (32, 48)),
    # other multiples, stages, blocks and steps in time than any published model
    "odd": (dict(base_dim=6, decoder_base_dim=10, z_dim=4, dim_mult=[1, 2, 1], num_res_blocks=1,
                 temperal_downsample=[True, True], **RESIDUAL), (16, 24)),
}
FULL = {
    "wan21": dict(base_dim=96, z_dim=16, **COMMON),
    "wan22": dict(base_dim=160, decoder_base_dim=256, z_dim=48, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
                  **COMMON, **RESIDUAL),
}


def original(name, residual, blocks=2):
    """Diffusers' parameter name as the original Wan's, with that many residual blocks in an encoder stage."""
    def flat(match, per_stage):  # 2.1 numbers the decoder's layers through
        return str(int(match.group(1)) * per_stage + int(match.group(2)))

    if residual:
        name = re.sub(r"^encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.downsamples.\1.downsamples.", name)
        name = re.sub(r"^encoder\.down_blocks\.(\d+)\.downsampler\.",
                      rf"encoder.downsamples.\1.downsamples.{blocks}.", name)
        name = re.sub(r"^decoder\.up_blocks\.(\d+)\.resnets\.", r"decoder.upsamples.\1.upsamples.", name)
        name = re.sub(r"^decoder\.up_blocks\.(\d+)\.upsampler\.",
                      rf"decoder.upsamples.\1.upsamples.{blocks + 1}.", name)
    else:
        name = re.sub(r"^encoder\.down_blocks\.", "encoder.downsamples.", name)
        name = re.sub(r"^decoder\.up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: "decoder.upsamples." + flat(m, 4), name)
        name = re.sub(r"^decoder\.up_blocks\.(\d+)\.upsamplers\.0",
                      lambda m: "decoder.upsamples.%d" % (4 * int(m.group(1)) + 3), name)
    for pattern, to in [
        (r"\.mid_block\.resnets\.0\.", ".middle.0."), (r"\.mid_block\.attentions\.0\.", ".middle.1."),
        (r"\.mid_block\.resnets\.1\.", ".middle.2."), (r"\.norm1\.", ".residual.0."),
        (r"(?<=\d)\.conv1\.", ".residual.2."), (r"\.norm2\.", ".residual.3."),
        (r"(?<=\d)\.conv2\.", ".residual.6."), (r"\.conv_shortcut\.", ".shortcut."),
        (r"\.conv_in\.", ".conv1."), (r"\.norm_out\.", ".head.0."), (r"\.conv_out\.", ".head.2."),
        (r"^quant_conv\.", "conv1."), (r"^post_quant_conv\.", "conv2."),
    ]:
        name = re.sub(pattern, to, name)
    return name


def fill(model):
    """Gammas about 1; the decoder's last layer small, so that few pixels leave [-1, 1]."""
    residual, blocks = model.config.is_residual, model.config.num_res_blocks
    kind = "wan22." if residual else "wan21."
    weights.fill(model, rename=lambda n: kind + original(n, residual, blocks),
                 mean=lambda n: 1.0 if n.endswith("gamma") else 0.0,
                 deviation=lambda n: 0.03 if n.startswith("decoder.conv_out") else 0.1)


out = {}
for kind, (config, (height, width)) in SMALL.items():
    model = AutoencoderKLWan(**config)
    fill(model)
    model = model.double().eval()
    scale = (config.get("patch_size") or 1) * 2 ** (len(config["dim_mult"]) - 1)
    pixels = weights.values(kind + ".pixels", (1, 3, FRAMES, height, width), 0.5)
    latents = weights.values(kind + ".latents", (1, 4, 1 + FRAMES // 4, height // scale, width // scale), 1.0)
    with torch.no_grad():
        encoded = model.encode(torch.from_numpy(pixels).double()).latent_dist.mode()
        decoded = model.decode(torch.from_numpy(latents).double()).sample
    print(kind, "latents", encoded.std().item(), "pixels", decoded.std().item(),
          "clamped", (decoded.abs() == 1).double().mean().item())
    frames_first = lambda x: x[0].permute(1, 0, 2, 3).float().contiguous()  # [T, C, H, W]
    out[kind + ".encoded"] = frames_first(encoded)
    out[kind + ".decoded"] = frames_first(decoded)

oracle.keep("vae.safetensors", out, made_by="vae.py", **FOUND)

names = io.StringIO()
for kind, config in FULL.items():
    with torch.device("meta"):
        model = AutoencoderKLWan(**config)
    rows = [(n, original(n, kind == "wan22"), tuple(p.shape)) for n, p in model.named_parameters()]
    print(kind, len(rows), "tensors", sum(p.numel() for p in model.parameters()), "parameters")
    for name, first, shape in rows:
        print(kind, name, first, *shape, file=names)
if oracle.CHECK:
    with open(os.path.join(HERE, "vae_names.txt")) as file:
        assert sorted(file.read().split("\n")) == sorted(names.getvalue().split("\n")), "other names or shapes"
else:
    with open(os.path.join(HERE, "vae_names.txt"), "w") as file:
        file.write(names.getvalue())
