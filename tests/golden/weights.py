"""Weights that both sides of a golden test make for themselves, so that no file has to hold them.

Value i of the tensor called `name` is mean + deviation z, z nearly normal: the sum of the four 16-bit pieces of a hash
of (name, i), centred and scaled to deviation 1. It is exact in double, then rounded to float: tests/golden_weights.h
makes the same bits."""
import numpy as np
import torch


def values(name, shape, deviation=0.1, mean=0.0):
    """float32 array of `shape`."""
    h = np.uint64(0xCBF29CE484222325)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            h = (h ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        x = np.arange(int(np.prod(shape)), dtype=np.uint64) + h
        x = (x + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    pieces = sum(((x >> np.uint64(s)) & np.uint64(0xFFFF)).astype(np.int64) for s in (0, 16, 32, 48))
    z = (pieces - 131070) * (1.7320508075688772 / 65536)
    return (mean + deviation * z).astype(np.float32).reshape(shape)


def fill(module, rename=lambda name: name, mean=lambda name: 0.0, deviation=lambda name: 0.1):
    """Overwrites a module's parameters; the hash takes the name that rename() gives."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.from_numpy(values(rename(name), tuple(p.shape), deviation(name), mean(name))))
