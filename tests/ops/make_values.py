#!/usr/bin/env python3
"""Computes the cases of the table with PyTorch in f64 and writes values/FAMILY.safetensors.

    python tests/ops/make_values.py [FAMILY ...]        (packages: tests/requirements.txt)

A tensor of more than SAMPLES elements is stored as SAMPLES of them, evenly spread with the first and the last among
them; the rest of it is held against the f64 implementation by the test.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import table

SAMPLES = 256


def sample(x):
    x = x.detach().reshape(-1)
    x = x.double() if x.is_floating_point() else x.long()
    n = x.numel()
    if n <= SAMPLES:
        return x.clone()
    return x[torch.arange(SAMPLES) * (n - 1) // (SAMPLES - 1)].clone()


def main():
    torch.set_num_threads(1)  # one order of summation
    families = table.families()
    wanted = sys.argv[1:] or list(families)
    for family in wanted:
        tensors, metadata = {}, {}
        for name in families[family]:
            operation = table.OPS[name]
            for number, one in enumerate(operation.cases):
                outputs, gradients, differentiable = table.evaluate(operation, one)
                key = f"{name}/{number}"
                metadata[key] = json.dumps(table.describe(operation, one, outputs, gradients, differentiable))
                tensors |= {f"{key}/out{j}": sample(y) for j, y in enumerate(outputs)}
                tensors |= {f"{key}/grad{i}": sample(g) for i, g in gradients.items()}
        path = pathlib.Path(__file__).parent / "values" / f"{family}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file(tensors, path, metadata)
        print(f"{path.name}: {len(families[family])} operations, {len(metadata)} cases, {path.stat().st_size >> 10} KiB")


main()
