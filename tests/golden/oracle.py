"""What the scripts here share: a golden file is made once, with the versions that its script names; with --check,
whatever versions there are make its tensors again and are held to the file, which stays as it is. `make parity` does
that with today's tools."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = "--check" in sys.argv
BOUND = 1e-5  # largest error over a tensor's norm: sums of some hundred floats in another order
if CHECK:
    sys.argv.remove("--check")


def made_with(**versions):
    """Module name to the version that the file is made with: made_with(torch="2.5.1"). A check takes any."""
    found = {name: __import__(name).__version__ for name in versions}
    for name, wanted in versions.items():
        assert CHECK or found[name].startswith(wanted), f"{name} {found[name]}: made with {wanted} (--check: any)"
    if CHECK:
        print("with", ", ".join(f"{name} {version}" for name, version in found.items()))
    return found


def kept(name, key):
    """A tensor of a golden file."""
    from safetensors import safe_open

    with safe_open(os.path.join(HERE, name), "pt") as file:
        return file.get_tensor(key)


def keep(name, tensors, **metadata):
    """Writes the golden file `name`, or holds the tensors to it; a check may leave some of the file's out."""
    import torch
    from safetensors.torch import load_file, save_file

    path = os.path.join(HERE, name)
    tensors = {k: v.contiguous() for k, v in tensors.items() if v is not None}
    if not CHECK:
        save_file(tensors, path, metadata=metadata)
        print(os.path.getsize(path), "bytes,", len(tensors), "tensors")
        return
    worst, where, kept = 0.0, "", load_file(path)
    for key, value in tensors.items():
        assert key in kept and kept[key].shape == value.shape and kept[key].dtype == value.dtype, key
        old, new = kept[key].double(), value.double()
        error = ((new - old).norm() / old.norm().clamp_min(1e-30)).item() if not torch.equal(old, new) else 0.0
        if not error <= worst:
            worst, where = error, key
    print(f"{name}: {len(tensors)} of {len(kept)} tensors; largest relative difference {worst:.2e} {where}")
    assert worst < BOUND, (where, worst)
