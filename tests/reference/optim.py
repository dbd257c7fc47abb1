#!/usr/bin/env python3
"""Parameters after each step of PyTorch's optimisers, for tests/optim/reference_test.cpp.

    python3 tests/reference/optim.py > tests/reference/optim.json
"""
import json

import torch

STEPS = 5
SHAPES = [[3], [2, 4]]
CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_weight_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.01)),
    "momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adam": (torch.optim.Adam, dict(lr=0.05)),
    "adam_weight_decay": (torch.optim.Adam, dict(lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.02)),
}


def main():
    torch.manual_seed(0)
    draw = lambda: [torch.randn(shape, dtype=torch.float64).mul(1000).round().div(1000) for shape in SHAPES]
    start, gradients = draw(), [draw() for _ in range(STEPS)]
    cases = {}
    for name, (kind, options) in CASES.items():
        parameters = [value.clone().requires_grad_() for value in start]
        optimizer = kind(parameters, **options)
        after = []
        for step in gradients:
            for parameter, gradient in zip(parameters, step):
                parameter.grad = gradient.clone()
            optimizer.step()
            after.append([parameter.detach().flatten().tolist() for parameter in parameters])
        cases[name] = after
    flat = lambda tensors: [tensor.flatten().tolist() for tensor in tensors]
    print(json.dumps({
        "script": "tests/reference/optim.py",
        "torch": torch.__version__,
        "shapes": SHAPES,
        "start": flat(start),
        "gradients": [flat(step) for step in gradients],
        "cases": cases,
    }, indent=1))


if __name__ == "__main__":
    main()
