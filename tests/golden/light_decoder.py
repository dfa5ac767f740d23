#!/usr/bin/env python3
"""Makes light_decoder.safetensors: inputs and outputs of two small light decoders, one of each kind that Wan uses.

Made with torch 2.5.1, safetensors 0.8.0 (CPU).
Run: python3 tests/golden/light_decoder.py [--public taehv.py] (--check: oracle.py)
The decoder below is written from the public description of the tiny autoencoders for video (TAEHV), in float64. With
--public the script also holds it against that code, at its own widths, whole and as a stream: recorded with taehv.py of
github.com/madebyollin/taehv at 1f14a568f24bf8811e0a0ac601613e04fc1581e8, largest difference 0 of both kinds.
Weights come from weights.py under the public names; pixels here are not clamped to [0, 1].
"""
import importlib.util
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

import oracle
from weights import fill, values

FOUND = oracle.made_with(torch="2.5.1")
torch.set_num_threads(2)


class Memory(nn.Module):
    """Frames [T, C, H, W], each beside the one before it."""

    def __init__(self, width):
        super().__init__()
        three = lambda ci: nn.Conv2d(ci, width, 3, padding=1)
        self.conv = nn.Sequential(three(2 * width), nn.ReLU(), three(width), nn.ReLU(), three(width))

    def forward(self, x):
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        return F.relu(self.conv(torch.cat([x, before], dim=1)) + x)


class Growth(nn.Module):
    def __init__(self, width, frames):
        super().__init__()
        self.frames, self.conv = frames, nn.Conv2d(width, width * frames, 1, bias=False)

    def forward(self, x):
        return self.conv(x).unflatten(1, (self.frames, -1)).flatten(0, 1)


class Clamp(nn.Module):
    def forward(self, x):
        return 3 * torch.tanh(x / 3)


class Decoder(nn.Module):
    def __init__(self, channels, patch, widths=(256, 128, 64, 64), blocks=3, grow=(1, 2, 2)):
        super().__init__()
        layers = [Clamp(), nn.Conv2d(channels, widths[0], 3, padding=1), nn.ReLU()]
        for stage in range(3):
            layers += [Memory(widths[stage]) for _ in range(blocks)]
            layers += [nn.Upsample(scale_factor=2), Growth(widths[stage], grow[stage]),
                       nn.Conv2d(widths[stage], widths[stage + 1], 3, padding=1, bias=False)]
        layers += [nn.ReLU(), nn.Conv2d(widths[3], 3 * patch * patch, 3, padding=1)]
        self.decoder, self.patch = nn.Sequential(*layers), patch

    def forward(self, latents):
        """[F, channels, h, w] -> [1 + 4(F-1), 3, H, W]"""
        return F.pixel_shuffle(self.decoder(latents), self.patch)[3:]


def compare(path):
    spec = importlib.util.spec_from_file_location("public", path)
    public = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(public)
    for channels, patch in ((48, 2), (16, 1)):
        ours = Decoder(channels, patch).double()
        fill(ours, deviation=lambda name: 0.03)
        theirs = public.TAEHV(checkpoint_path=None, patch_size=patch, latent_channels=channels).double()
        kept = {k: v for k, v in theirs.state_dict().items() if k.startswith("encoder.")}
        theirs.load_state_dict({**kept, **ours.state_dict()})
        latents = torch.from_numpy(values("compared", (3, channels, 3, 4), 1)).double()
        made = ours(latents).clamp(0, 1)
        stream = public.StreamingTAEHV(theirs)
        pieces = []
        for latent in latents:
            frame = stream.decode(latent[None, None])
            while frame is not None:
                pieces.append(frame[0])
                frame = stream.decode()
        print(channels, "channels: public code off by",
              (theirs.decode_video(latents[None])[0] - made).abs().max().item(),
              "and as a stream", (torch.cat(pieces) - made).abs().max().item())


out = {}
with torch.no_grad():
    if "--public" in sys.argv:
        compare(sys.argv[sys.argv.index("--public") + 1])
    for name, channels, patch, blocks, shape in (("z48", 48, 2, 2, (3, 2, 3)), ("z16", 16, 1, 3, (4, 3, 2))):
        net = Decoder(channels, patch, widths=(24, 17, 16, 12), blocks=blocks).double()
        fill(net, rename=lambda parameter: name + "." + parameter)
        latents = torch.from_numpy(values(name + ".latents", (shape[0], channels, *shape[1:]), 1))
        out[name + ".pixels"] = net(latents.double()).float().contiguous()
print({k: (tuple(v.shape), round(v.std().item(), 3)) for k, v in out.items()})
oracle.keep("light_decoder.safetensors", out, made_by="light_decoder.py", **FOUND)
