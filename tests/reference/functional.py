#!/usr/bin/env python3
"""Outputs and gradients of PyTorch's functions, for tests/layers/reference_test.cpp.

    python3 tests/reference/functional.py > tests/reference/functional.json

Every case: inputs, the output, the gradient given to backward, the gradients of the inputs.
"""
import json

import torch
import torch.nn.functional as F


def rounded(*shape):
    return torch.randn(shape, dtype=torch.float64).mul(100).round().div(100)


def conv(x, weight, bias, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    top, left, bottom, right = padding
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups)


def cases():
    """(op, options, inputs by position, function)"""
    for shape, kernel, options in [
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 3, 5, 6), (4, 3, 3, 2), {}),
        ((2, 4, 7, 5), (6, 2, 3, 3), dict(stride=(2, 3), padding=(1, 2, 0, 1), groups=2)),
        ((1, 3, 6, 6), (3, 1, 2, 2), dict(stride=(2, 2), groups=3)),
        ((1, 2, 7, 7), (2, 2, 3, 3), dict(dilation=(2, 2), padding=(2, 2, 2, 2))),
    ]:
        yield ("conv2d", options, [rounded(*shape), rounded(*kernel), rounded(kernel[0])],
               lambda *inputs, options=options: conv(*inputs, **options))
    yield "linear", {}, [rounded(3, 5), rounded(2, 5), rounded(2)], F.linear
    yield "matmul", {}, [rounded(3, 4), rounded(4, 2)], torch.matmul
    # Zeros and far values: where the branches and the saturation are.
    special = torch.tensor([-40.0, -2.5, -0.5, 0.0, 0.25, 3.0, 40.0], dtype=torch.float64)
    yield "sigmoid", {}, [special.clone()], torch.sigmoid
    yield "tanh", {}, [special.clone()], torch.tanh
    yield "relu", {}, [special.clone()], F.relu
    yield "leaky_relu", {"slope": 0.1}, [special.clone()], lambda x: F.leaky_relu(x, 0.1)
    for kernel, stride, padding in [((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 1)), ((2, 3), (3, 2), (0, 1))]:
        options = dict(kernel=kernel, stride=stride, padding=padding)
        yield ("avg_pool2d", {**options, "count_include_pad": True}, [rounded(2, 2, 6, 7)],
               lambda x, o=options: F.avg_pool2d(x, o["kernel"], o["stride"], o["padding"]))
        yield ("avg_pool2d", {**options, "count_include_pad": False}, [rounded(2, 2, 6, 7)],
               lambda x, o=options: F.avg_pool2d(x, o["kernel"], o["stride"], o["padding"],
                                                 count_include_pad=False))
        # Small integers: ties in most windows.
        yield ("max_pool2d", options, [torch.randint(0, 3, (2, 2, 6, 7)).to(torch.float64)],
               lambda x, o=options: F.max_pool2d(x, o["kernel"], o["stride"], o["padding"]))
    yield "softmax", {}, [rounded(3, 5) * 10], lambda x: F.softmax(x, -1)
    labels = torch.tensor([4, 0, 2])
    yield ("cross_entropy", {"labels": labels.tolist()}, [rounded(3, 5) * 10],
           lambda x: F.cross_entropy(x, labels))
    yield "sum", {"axis": 1}, [rounded(2, 3, 4)], lambda x: x.sum(1)
    yield "mean", {"axis": -1}, [rounded(2, 3, 4)], lambda x: x.mean(-1)
    yield "mean", {}, [rounded(2, 3)], torch.mean


def described(tensor):
    return {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}


def main():
    torch.manual_seed(0)
    result = []
    for op, options, inputs, function in cases():
        for tensor in inputs:
            tensor.requires_grad_()
        output = function(*inputs)
        # backward() of the library starts at a scalar: the sum of output * grad.
        grad = rounded(*output.shape)
        output.backward(grad)
        result.append({
            "op": op,
            "options": options,
            "inputs": [described(tensor.detach()) for tensor in inputs],
            "output": described(output.detach()),
            "grad": described(grad),
            "gradients": [described(tensor.grad) for tensor in inputs],
        })
    print(json.dumps({"script": "tests/reference/functional.py", "torch": torch.__version__, "cases": result}))


if __name__ == "__main__":
    main()
