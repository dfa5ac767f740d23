#!/usr/bin/env python3
"""Makes wav2vec2.safetensors: hidden states of small wav2vec 2.0 models of Transformers, both variants, in double.

Made with torch 2.5.1, transformers 4.46.3, numpy (CPU). Run: python3 tests/golden/wav2vec2.py (--check: oracle.py)
  base    norm over time after the first convolution, no bias there, post-norm, old names of the weight norm, prefix
  large   LayerNorm after every convolution, bias, pre-norm ("stable"), odd positional kernel, new names, no prefix
No two sizes are equal: widths, heads, groups and kernels differ, lengths are odd, the clip is off zero and goes quiet.
Weights come from weights.py by variant and name as they are here; hidden states are stored as float32. `before` holds
the states of base with the convolutions' features interpolated (ends aligned) to fewer rows before the projection.
"""
import os
import sys

import torch
import transformers
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
import weights

FOUND = oracle.made_with(torch="2.5.1", transformers="4.46.3")
torch.set_num_threads(1)

common = dict(attn_implementation="eager", apply_spec_augment=False, hidden_act="gelu", feat_extract_activation="gelu")
VARIANTS = {
    "base": (Wav2Vec2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80,
                            feat_extract_norm="group", conv_bias=False, do_stable_layer_norm=False,
                            conv_dim=[24, 40, 32], conv_kernel=[10, 8, 6], conv_stride=[5, 4, 4],
                            num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=6, **common), 5009, True),
    "large": (Wav2Vec2Config(hidden_size=40, num_hidden_layers=2, num_attention_heads=5, intermediate_size=72,
                             feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
                             conv_dim=[16, 24, 36, 20], conv_kernel=[10, 3, 3, 2], conv_stride=[5, 2, 4, 2],
                             num_conv_pos_embeddings=9, num_conv_pos_embedding_groups=4, **common), 4777, False),
}


def mean(name):
    return 1.0 if "layer_norm.weight" in name or name.endswith("weight_g") or name.endswith("original0") else 0.0


def deviation(name):
    return 0.3 if "conv_layers" in name and "conv.weight" in name else 0.1


def encoder_states(encoder, hidden):
    """What the first layer is given and what each gives, of the variant without a norm at the end. Transformers 4 would
    list it (output_hidden_states), 5 does so for whole models alone."""
    states = []
    first = encoder.layers[0].register_forward_pre_hook(
        lambda _, args, kwargs: states.append((args[0] if args else kwargs["hidden_states"])[0]), with_kwargs=True)
    rest = [layer.register_forward_hook(lambda _, args, result: states.append(
        (result if torch.is_tensor(result) else result[0])[0])) for layer in encoder.layers]
    encoder(hidden)
    for hook in [first, *rest]:
        hook.remove()
    return states


out = {}
for variant, (config, samples, normalise) in VARIANTS.items():
    model = Wav2Vec2Model(config).eval()
    weights.fill(model, rename=lambda n: variant + "." + n, mean=mean, deviation=deviation)
    model = model.double()
    t = torch.arange(samples, dtype=torch.float64)
    pcm = torch.from_numpy(weights.values(variant + ".pcm", (samples,), 0.2, 0.05)).double()
    pcm = (pcm * torch.where(t < samples * 0.6, 1.0, 0.1)).float()
    values = Wav2Vec2FeatureExtractor(do_normalize=normalise)([pcm.double().numpy()], sampling_rate=16000,
                                                              return_tensors="np", padding=False).input_values[0]
    # the extractor rounds to float on its way out: the same by hand, in double
    exact = (pcm.double() - pcm.double().mean()) / torch.sqrt(pcm.double().var(unbiased=False) + 1e-7)
    exact = exact if normalise else pcm.double()
    assert abs(torch.from_numpy(values).double() - exact).max() < 1e-5
    with torch.no_grad():
        result = model(exact[None], output_hidden_states=True)
        # the last state is meant after the final norm: Transformers 4 lists it so, 5 lists the stable variant's before
        # it
        states = torch.stack([h[0] for h in result.hidden_states[:-1]] + [result.last_hidden_state[0]])
        out[variant + ".states"] = states.float()
        if variant == "base":
            features = model.feature_extractor(exact[None])
            rows = -(-samples // 640)
            features = torch.nn.functional.interpolate(features, size=rows, mode="linear", align_corners=True)
            hidden, _ = model.feature_projection(features.transpose(1, 2))
            out["base.before"] = torch.stack(encoder_states(model.encoder, hidden)).float()
    print(variant, states.shape, "deviation", states.std(dim=(1, 2)))
oracle.keep("wav2vec2.safetensors", out, made_by="wav2vec2.py", **FOUND)
