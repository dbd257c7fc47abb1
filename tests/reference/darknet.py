#!/usr/bin/env python3
"""Darknet's networks in PyTorch, written from Darknet's description of layers and not from this library, for
tests/models/darknet_reference_test.cpp.

    python3 tests/reference/darknet.py > tests/reference/darknet.json
    python3 tests/reference/darknet.py --write FOLDER      the files themselves: NAME.weights, NAME.input (f32)

Weights and pictures follow from a formula, so that neither need be stored: number i of array t of the file, in the order of
the file, is made of u(t, i), which is at least 0 and less than 1. Arithmetic in f64.
"""
import argparse
import json
import math
import pathlib
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "benchmarks" / "peers" / "models"))
from darknet_layers import tiny, yolov2

CASES = {"tiny": (tiny(2, 5 * 8), 64, 96), "yolov2": (yolov2(2, 5 * 8), 96, 64)}  # layers, height, width


def u(t, count):
    h = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(t * 1000003)) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
    h = (h ^ (h >> np.uint64(16))) * np.uint64(2246822519) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    return (h >> np.uint64(8)).astype(np.float64) / 2.0 ** 24


def arrays_of(layers, channels=3):
    """The arrays of a file: for each convolution its biases, with a norm gamma, mean and variance, then the weights."""
    outputs, arrays, t = [], [], 0
    for layer in layers:
        if layer["type"] == "conv":
            n, size = layer["filters"], layer["size"]
            shapes = [("bias", (n,))] + [(k, (n,)) for k in ("gamma", "mean", "variance") if layer["norm"]]
            shapes.append(("weights", (n, channels, size, size)))
            for kind, shape in shapes:
                x = u(t, math.prod(shape))
                if kind in ("gamma", "variance"):
                    x = 0.5 + x
                else:
                    x = (x - 0.5) * (math.sqrt(12.0 / (channels * size * size)) if kind == "weights" else 0.5)
                arrays.append((kind, x.astype(np.float32).reshape(shape)))
                t += 1
            channels = n
        elif layer["type"] == "route":
            channels = sum(outputs[len(outputs) + i] for i in layer["layers"])
        elif layer["type"] == "reorg":
            channels *= layer["stride"] ** 2
        outputs.append(channels)
    return arrays


def reorg(x, stride):
    """out[k, j, i] of a (C, H, W) input read as if its memory were (C / s^2, H s, W s)."""
    x = x[0]
    c, h, w = x.shape
    memory, out, few = x.reshape(-1), torch.empty(c * h * w, dtype=x.dtype), c // stride ** 2
    for k in range(c):
        for j in range(h):
            for i in range(w):
                column = i * stride + k // few % stride
                row = j * stride + k // few // stride
                out[i + w * (j + h * k)] = memory[column + w * stride * (row + h * stride * (k % few))]
    return out.reshape(1, c * stride ** 2, h // stride, w // stride)


def forward(layers, arrays, x):
    arrays = iter(torch.from_numpy(a.astype(np.float64)) for _, a in arrays)
    outputs = []
    for layer in layers:
        if layer["type"] == "conv":
            bias = next(arrays)
            if layer["norm"]:
                gamma, mean, variance = next(arrays), next(arrays), next(arrays)
                x = F.conv2d(x, next(arrays), padding=layer["size"] // 2)
                per_channel = lambda v: v.reshape(1, -1, 1, 1)
                x = (x - per_channel(mean)) / per_channel((variance + 1e-5).sqrt()) * per_channel(gamma) + per_channel(bias)
                x = torch.where(x > 0, x, 0.1 * x)
            else:
                x = F.conv2d(x, next(arrays), bias, padding=layer["size"] // 2)
        elif layer["type"] == "maxpool":
            if layer["stride"] == 1:
                x = F.pad(x, (0, 1, 0, 1), value=-math.inf)
            x = F.max_pool2d(x, layer["size"], layer["stride"])
        elif layer["type"] == "route":
            x = torch.cat([outputs[len(outputs) + i] for i in layer["layers"]], 1)
        else:
            x = reorg(x, layer["stride"])
        outputs.append(x)
    assert next(arrays, None) is None
    return x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    cases = {}
    for name, (layers, height, width) in CASES.items():
        arrays = arrays_of(layers)
        picture = u(len(arrays), 3 * height * width).astype(np.float32).reshape(1, 3, height, width)
        if options.write:
            with open(options.write / f"{name}.weights", "wb") as file:
                file.write(struct.pack("<iiiQ", 0, 2, 0, 0))
                for _, array in arrays:
                    file.write(array.astype("<f4").tobytes())
            picture.astype("<f4").tofile(options.write / f"{name}.input")
            continue
        y = forward(layers, arrays, torch.from_numpy(picture.astype(np.float64)))
        cases[name] = {"input": list(picture.shape), "arrays": len(arrays), "floats": sum(a.size for _, a in arrays),
                       "output": {"shape": list(y.shape), "values": [round(v, 9) for v in y.flatten().tolist()]}}
    if not options.write:
        json.dump({"script": "tests/reference/darknet.py", "torch": torch.__version__, "cases": cases}, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
