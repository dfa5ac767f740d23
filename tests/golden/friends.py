#!/usr/bin/env python3
"""Makes friend_NAME.safetensors: small students in the files of Self-Forcing, CausVid, LongLive and minWM, converted as
docs/checkpoints.md says, and the velocities that each toolkit's own network gives with those weights.

Pinned: torch 2.15.0, einops 0.8.2, safetensors 0.8.0 (CPU), and the code of the toolkits, which is not part of this
project:
    Self-Forcing  https://github.com/guandeh17/Self-Forcing at 33593df3e81fa3ec10239271dd2c100facac6de1
    CausVid       https://github.com/tianweiy/CausVid       at ca2115039172dfa3a02deee1534408a09680f29f
    LongLive      https://github.com/NVlabs/LongLive        at 7860ad9685686bc3edfd407eb4d12579ca47d689
    minWM         https://github.com/shengshu-ai/minWM      at df522a26cd4409d3e3e8f269cc98eac069b5df47
Check them out under these names in one folder.
Run: FRIENDS=FOLDER python3 tests/golden/friends.py
Their attention needs a GPU library or a compiler, so PyTorch's own attention stands in, under the mask that the
toolkit itself makes; stand-ins for Diffusers' base classes keep no more than what a network without files needs.
A network is their CausalWanModel behind `model.`, one head of 128 and one block (Self-Forcing: two), with weights that
bf16 holds exactly. It is put into a .pt as the toolkit's trainer does; for Self-Forcing and minWM by PyTorch's own FSDP
with a wrapper around each block, whose averages keep FSDP's names. The text of the conversion is taken from
docs/checkpoints.md and run. `whole` is the velocity where all four frames are one chunk, `causal` that of chunks of two
frames of which each also sees the ones before it; t differs from frame to frame. minWM has chunks only by its
cache.
"""
import importlib
import os
import re
import sys
import tempfile
import types

import torch
from torch.nn.attention.flex_attention import create_mask

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
from weights import values

FOUND = oracle.made_with(torch="2.15.0", safetensors="0.8.0")
ROOT = os.environ["FRIENDS"]
os.environ.update(LLV2_TRITON_ROPE="0", LLV2_TRITON_ADALN="0")  # LongLive's own PyTorch in place of its GPU kernels
DOCS = os.path.join(oracle.HERE, "..", "..", "docs", "checkpoints.md")
torch.set_num_threads(1)
F, C, H, W, TEXT, TEXT_DIM = 4, 4, 6, 8, 5, 12


def module(name, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    made.__path__ = []
    sys.modules[name] = made


def attention(q, k, v, k_lens=None, **_):
    """q, k, v [B, L, heads, D], nothing padded."""
    assert k_lens is None or (k_lens == k.size(1)).all()
    out = torch.nn.functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2).contiguous()


def flex_attention(query, key, value, block_mask):
    """Dense attention under the mask of a BlockMask."""
    mask = create_mask(block_mask.mask_mod, 1, 1, query.size(2), key.size(2), device="cpu")
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def stand_ins():
    base = type("Base", (), {})
    module("diffusers")
    module("diffusers.configuration_utils", ConfigMixin=base, register_to_config=lambda init: init)
    module("diffusers.models")
    module("diffusers.models.modeling_utils", ModelMixin=type("ModelMixin", (torch.nn.Module,), {}))
    for name in ("transformers", "transformers.models", "transformers.models.x_clip"):
        module(name)
    module("transformers.models.x_clip.modeling_x_clip", x_clip_loss=None)


def package(root, name):
    """The toolkit's folder as a package without its __init__, which imports much more."""
    folder, path = root, ""
    for part in name.split("."):
        path, folder = f"{path}.{part}".lstrip("."), os.path.join(folder, part)
        module(path)
        sys.modules[path].__path__ = [folder]


def network_class(root, modules, causal, packages=()):
    """CausalWanModel of a toolkit: modules has attention.py and model.py, causal is the module with the class."""
    for name in [m for m in sys.modules if m.split(".")[0] in ("wan", "wan_5b", "causvid", "utils")]:
        del sys.modules[name]
    for name in (modules, causal.rpartition(".")[0], *packages):
        package(root, name)
    module(modules + ".attention", attention=attention, flash_attention=attention)
    found = importlib.import_module(causal)
    found.flex_attention = flex_attention
    return found.CausalWanModel


def build(model_class, layers):
    class Wrapper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model_class(model_type="t2v", text_len=TEXT, in_dim=C, dim=128, ffn_dim=48, freq_dim=64,
                                     text_dim=TEXT_DIM, out_dim=C, num_heads=1, num_layers=layers)

    net = Wrapper().eval()
    for name, p in net.named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        p.copy_(torch.from_numpy(values(name, tuple(p.shape), 0.1, mean)).bfloat16())
    return net


def velocity(model, chunk, cached):
    """[1, F, C, H, W] of chunks of that many frames, in float64: in one pass under a mask, or through the cache."""
    model.block_mask, model.num_frame_per_block = None, chunk
    latents = torch.from_numpy(values("latents", (1, F, C, H, W), 1.0)).double().permute(0, 2, 1, 3, 4)
    text, tokens = torch.from_numpy(values("text", (1, TEXT, TEXT_DIM), 1.0)).double(), H * W // 4
    if not cached:
        return model(latents, t=TIMES.double(), context=text, seq_len=F * tokens).permute(0, 2, 1, 3, 4).float()
    room = [dict(k=torch.zeros(1, F * tokens, 1, 128).double(), v=torch.zeros(1, F * tokens, 1, 128).double(),
                 global_end_index=torch.tensor([0]), local_end_index=torch.tensor([0])) for _ in model.blocks]
    prompt = [dict(is_init=False) for _ in model.blocks]
    parts = [model(latents[:, :, f:f + chunk], t=TIMES[:, f:f + chunk].double(), context=text, seq_len=F * tokens,
                   kv_cache=room, crossattn_cache=prompt, current_start=f * tokens) for f in range(0, F, chunk)]
    return torch.cat(parts, 2).permute(0, 2, 1, 3, 4).float()


TIMES = torch.tensor([[0.0, 37.0, 611.5, 950.25]])


def plain(net):
    return {k: v.bfloat16() for k, v in net.state_dict().items()}


def wrapped_average(net):
    """What the trainers' EMA keeps: the names of parameters below FSDP's outermost wrapper."""
    import torch.distributed as dist
    from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    if not dist.is_initialized():
        with tempfile.NamedTemporaryFile() as file:
            dist.init_process_group("gloo", rank=0, world_size=1, init_method="file://" + file.name + ".store")
    blocks = {type(net.model.blocks[0]), type(net.model)}
    net = FSDP(net, auto_wrap_policy=ModuleWrapPolicy(blocks), use_orig_params=True, device_id=torch.device("cpu"))
    with FSDP.summon_full_params(net, writeback=False):
        return {n: p.detach().clone().bfloat16() for n, p in net.module.named_parameters()}


def convert(checkpoint, dictionary, to):
    """Saves the checkpoint as .pt and runs the conversion of docs/checkpoints.md on it."""
    text = re.search(r"```python\n(import torch, safetensors\.torch\n.*?)```", open(DOCS).read(), re.S).group(1)
    for old, new in (("FILE.pt", to + ".pt"), ("generator_ema", dictionary), ("friend.safetensors", to)):
        assert old in text, old
        text = text.replace(old, new)
    torch.save(checkpoint, to + ".pt")
    exec(text, {})


FRIENDS = {
    "self_forcing": dict(root="Self-Forcing", modules="wan.modules", causal="wan.modules.causal_model", layers=2,
                         dictionary="generator_ema", wrapped=True),
    "causvid": dict(root="CausVid", modules="causvid.models.wan.wan_base.modules",
                    causal="causvid.models.wan.causal_model", layers=1, dictionary="generator", wrapped=False),
    "longlive": dict(root="LongLive", modules="wan_5b.modules", causal="wan_5b.modules.causal_model", layers=1,
                     dictionary="generator", wrapped=False, packages=("utils",)),
    "minwm": dict(root="minWM/Wan21", modules="wan.modules", causal="wan.modules.causal_model", layers=1,
                  dictionary="generator_ema", wrapped=True, cached=True),
}

stand_ins()
torch.set_grad_enabled(False)
for name, friend in FRIENDS.items():
    made = network_class(os.path.join(ROOT, friend["root"]), friend["modules"], friend["causal"],
                         friend.get("packages", ()))
    net = build(made, friend["layers"])
    double = build(made, friend["layers"]).double()
    double.model.freqs = double.model.freqs.to(torch.complex128)
    whole, causal = (velocity(double.model, chunk, friend.get("cached")) for chunk in (F, 2))
    assert not torch.allclose(whole, causal)
    part = wrapped_average(net) if friend["wrapped"] else plain(net)
    checkpoint = {friend["dictionary"]: part, "critic": {}, "step": 3}
    with tempfile.TemporaryDirectory() as folder:
        from safetensors.torch import load_file
        convert(checkpoint, friend["dictionary"], os.path.join(folder, name + ".safetensors"))
        converted = load_file(os.path.join(folder, name + ".safetensors"))
    oracle.keep(f"friend_{name}.safetensors", converted, made_by="friends.py", dictionary=friend["dictionary"], **FOUND)
    oracle.keep(f"friend_{name}_velocity.safetensors", {"t": TIMES, "whole": whole, "causal": causal},
                made_by="friends.py", **FOUND)
    print(name, list(converted)[0], "deviation", whole.std().item())
