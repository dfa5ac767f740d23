#!/usr/bin/env python3
"""Makes umt5.safetensors: what Transformers' UMT5EncoderModel makes of three texts in one padded batch with a mask.

Made with torch 2.5.1, transformers 4.46.3 (CPU). Run: python3 tests/golden/umt5.py (--check: oracle.py)
No two sizes are equal: inner width 40 (5 heads of 8), width 48; lengths 151 (beyond the last bucket's distance), 37
and 1. All is in double; Transformers itself takes norms and softmax in float, which is patched out and changes 1e-6.
Weights are those of weights.py under the original names, so the file holds token numbers and results only. `buckets`
has those of the distances -600 to 600.
"""
import os
import re
import sys

import torch
import transformers
from transformers import UMT5Config, UMT5EncoderModel
from transformers.models.umt5 import modeling_umt5

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
import weights

FOUND = oracle.made_with(torch="2.5.1", transformers="4.46.3")
torch.manual_seed(3)
torch.set_num_threads(1)

VOCAB, LENGTHS = 90, [151, 37, 1]
config = UMT5Config(vocab_size=VOCAB, d_model=48, d_kv=8, d_ff=72, num_layers=3, num_heads=5,
                    feed_forward_proj="gated-gelu", dropout_rate=0.0)
assert config.relative_attention_num_buckets == 32 and config.relative_attention_max_distance == 128
model = UMT5EncoderModel(config).eval()


def original(name):
    for pattern, to in [
        (r"^shared\.|^encoder\.embed_tokens\.", "token_embedding."), (r"^encoder\.final_layer_norm", "norm"),
        (r"^encoder\.block\.(\d+)\.layer\.[01]\.", r"blocks.\1."),
        (r"SelfAttention\.relative_attention_bias", "pos_embedding.embedding"),
        (r"SelfAttention\.([qkvo])\.", r"attn.\1."), (r"DenseReluDense\.wi_0", "ffn.gate.0"),
        (r"DenseReluDense\.wi_1", "ffn.fc1"), (r"DenseReluDense\.wo", "ffn.fc2"),
    ]:
        name = re.sub(pattern, to, name)
    return name


with torch.no_grad():
    for name, p in model.named_parameters():
        ours = original(name)
        if ours.endswith("layer_norm.weight"):  # the name does not say which of the two norms it is
            ours = ours.replace("layer_norm", "norm1" if ".layer.0." in name else "norm2")
        norm = "norm" in ours
        deviation = 1.0 if "embedding" in ours else 0.1
        p.copy_(torch.from_numpy(weights.values(ours, tuple(p.shape), deviation, 1.0 if norm else 0.0)))

ids = [torch.randint(0, VOCAB, (n,)) for n in LENGTHS]
if oracle.CHECK:  # how many numbers initialisation drew before them differs between versions
    ids = list(oracle.kept("umt5.safetensors", "ids").split(LENGTHS))
padded = torch.zeros(len(ids), max(LENGTHS), dtype=torch.long)
mask = torch.zeros_like(padded)
for i, row in enumerate(ids):
    padded[i, : len(row)] = row
    mask[i, : len(row)] = 1


def run():
    with torch.no_grad():
        out = model(input_ids=padded, attention_mask=mask).last_hidden_state
    return torch.cat([out[i, :n] for i, n in enumerate(LENGTHS)])


model.double()
as_it_is = run()


def norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_umt5.UMT5LayerNorm.forward = norm
torch.Tensor.float = lambda self: self
result = run()
assert result.dtype == torch.float64
difference = ((result - as_it_is).norm() / result.norm()).item()
assert difference < 2e-6, difference

attention = model.encoder.block[0].layer[0].SelfAttention
distances = torch.arange(-600, 601)
del torch.Tensor.float
buckets = attention._relative_position_bucket(distances)

print("in float as it is", difference, "; deviation", result.std().item())
oracle.keep("umt5.safetensors", {"ids": torch.cat(ids), "lengths": torch.tensor(LENGTHS), "result": result.float(),
                                 "buckets": buckets.to(torch.int32)}, made_by="umt5.py", **FOUND)
