#!/usr/bin/env python3
"""Weights of a trained LeNet-5 load into PyTorch's own modules, strictly and by name.

    lenet5_check.py TRAIN_LENET5        (ends with 77 where a package is missing)
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "benchmarks" / "peers"))
from models.lenet5 import LeNet5

with tempfile.TemporaryDirectory() as folder:
    command = [sys.argv[1], "--device", "cpu", "--limit", "256", "--epochs", "1", "--json", "--out", f"{folder}/run"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    start, final = json.loads(lines[0]), json.loads(lines[-1])
    state = load_file(final["weights"])
    last = load_file(pathlib.Path(folder, "run", "weights", "last.safetensors"))

model = LeNet5()
fresh = {name: value.clone() for name, value in model.state_dict().items()}
for weights in (state, last):
    model.load_state_dict(weights, strict=True)
    assert all(torch.isfinite(value).all() for value in weights.values())
assert sum(value.numel() for value in state.values()) == start["parameters"] == 61706
assert not any(torch.equal(fresh[name], value) for name, value in model.state_dict().items())
print(f"ok: {', '.join(state)}")
