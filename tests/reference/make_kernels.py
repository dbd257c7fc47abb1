#!/usr/bin/env python3
"""Writes kernels.safetensors: inputs, outputs and gradients of every operation, computed by PyTorch in f64.

    python tests/reference/make_kernels.py        (packages: tests/requirements.txt)

A case is "op/number". Its tensors are "op/number/name", its parameters stand in the file's metadata under "op/number" as
"key=1,2;key=3". Inputs are multiples of 1/8 below 2.1, which every floating-point dtype holds exactly, so that one file
serves f64, f32, f16 and bf16; they are stored as f32, results as f64.
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20240607)
tensors, metadata = {}, {}
counts = {}


def draw(*shape, grad=True):
    x = torch.randint(-16, 17, shape).double() / 8
    return x.requires_grad_(grad)


def case(op, inputs, params, outputs, grads=()):
    """grads: inputs whose gradients are stored, for a random gradient of outputs[0]."""
    name = f"{op}/{counts.setdefault(op, 0)}"
    counts[op] += 1
    metadata[name] = ";".join(f"{k}={','.join(str(float(x)) for x in v)}" for k, v in params.items())
    for key, value in inputs.items():
        exact = value.detach().float() if value.is_floating_point() else value
        tensors[f"{name}/{key}"] = exact.clone().contiguous()
    for key, value in outputs.items():
        tensors[f"{name}/{key}"] = value.detach().clone().contiguous()
    if grads:
        y = next(iter(outputs.values()))
        dy = torch.randint(-16, 17, y.shape).double() / 8
        tensors[f"{name}/dy"] = dy.float()
        for key, value in zip(grads, torch.autograd.grad(y, [inputs[g] for g in grads], dy)):
            tensors[f"{name}/d{key}"] = value.clone().contiguous()


def conv2d(n, c, h, w, o, kernel, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True):
    x, weight = draw(n, c, h, w), draw(o, c // groups, *kernel)
    inputs = {"x": x, "weight": weight}
    if bias:
        inputs["bias"] = draw(o)
    top, left, bottom, right = padding
    y = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, inputs.get("bias"), stride, 0, dilation, groups)
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": [groups]}
    case("conv2d", inputs, params, {"y": y}, list(inputs))


conv2d(2, 1, 12, 12, 6, (5, 5))
conv2d(2, 6, 14, 14, 16, (5, 5))
conv2d(1, 1, 1, 1, 1, (1, 1))
conv2d(3, 3, 7, 9, 5, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
conv2d(1, 4, 9, 7, 6, (3, 2), stride=(1, 3), padding=(2, 0, 1, 1), bias=False)
conv2d(2, 4, 8, 8, 8, (3, 3), padding=(1, 1, 1, 1), groups=2)
conv2d(2, 5, 6, 6, 5, (3, 3), padding=(1, 1, 1, 1), groups=5)
conv2d(1, 2, 11, 13, 3, (3, 3), dilation=(2, 3), padding=(2, 3, 2, 3))
conv2d(1, 33, 5, 5, 31, (1, 1))
conv2d(2, 3, 4, 4, 2, (4, 4))


def matmul(m, k, n, ta=False, tb=False, bias=False):
    a = draw(*((k, m) if ta else (m, k)))
    b = draw(*((n, k) if tb else (k, n)))
    inputs = {"a": a, "b": b}
    y = (a.t() if ta else a) @ (b.t() if tb else b)
    if bias:
        inputs["bias"] = draw(n)
        y = y + inputs["bias"]
    case("matmul", inputs, {"transpose_a": [ta], "transpose_b": [tb]}, {"y": y})


for shape in [(1, 1, 1), (3, 5, 2), (31, 33, 17), (64, 40, 12), (1, 257, 3), (5, 1, 9)]:
    for ta, tb in [(False, False), (True, False), (False, True), (True, True)]:
        matmul(*shape, ta, tb, bias=tb)

for shape in [(), (1,), (7,), (33, 5), (2, 3, 5, 4), (0, 3), (300,), (2, 1, 33, 17)]:
    for number, f in enumerate([torch.sigmoid, torch.tanh, F.relu, lambda v: F.leaky_relu(v, 0.1)]):
        x = draw(*shape)
        case("activation", {"x": x}, {"kind": [number], "slope": [0.1]}, {"y": f(x)}, ["x"])
for number, f in enumerate([torch.sigmoid, torch.tanh, F.relu, lambda v: F.leaky_relu(v, 0.1)]):
    x = torch.tensor([0.0, -0.0, 30.0, -30.0, 200.0, -200.0, 0.0078125, -0.0078125], dtype=torch.double, requires_grad=True)
    case("activation", {"x": x}, {"kind": [number], "slope": [0.1]}, {"y": f(x)}, ["x"])


def pool(op, shape, kernel, stride, padding=(0, 0), include=True):
    x = draw(*shape)
    params = {"kernel": kernel, "stride": stride, "padding": padding, "count_include_pad": [include]}
    if op == "avg_pool2d":
        case(op, {"x": x}, params, {"y": F.avg_pool2d(x, kernel, stride, padding, count_include_pad=include)}, ["x"])
    else:
        y, indices = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
        case(op, {"x": x}, params, {"y": y, "indices": indices}, ["x"])


for op in ["avg_pool2d", "max_pool2d"]:
    pool(op, (2, 3, 8, 8), (2, 2), (2, 2))
    pool(op, (1, 1, 1, 1), (1, 1), (1, 1))
    pool(op, (2, 5, 9, 7), (2, 2), (2, 2))
    pool(op, (1, 2, 9, 11), (3, 3), (2, 2), (1, 1))
    pool(op, (1, 3, 10, 7), (3, 2), (1, 3), (1, 1))
    pool(op, (3, 4, 5, 5), (5, 5), (1, 1))
    pool(op, (1, 33, 6, 6), (2, 3), (3, 1), (0, 1))
    pool(op, (2, 2, 12, 12), (2, 2), (3, 3))
pool("avg_pool2d", (1, 2, 9, 11), (3, 3), (2, 2), (1, 1), include=False)
pool("avg_pool2d", (2, 3, 5, 6), (4, 4), (2, 3), (2, 2), include=False)

for rows, classes in [(1, 1), (1, 10), (64, 10), (7, 3), (33, 257), (2, 1000)]:
    logits, labels = draw(rows, classes), torch.randint(0, classes, (rows,))
    loss = F.cross_entropy(logits, labels)
    correct = (logits.argmax(1) == labels).sum()
    case("cross_entropy", {"logits": logits, "labels": labels}, {"correct": [correct]}, {"y": loss}, ["logits"])
logits = (torch.tensor([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.0]], dtype=torch.double) * 10240).requires_grad_()
case("cross_entropy", {"logits": logits, "labels": torch.tensor([1, 1])}, {"correct": [1]},
     {"y": F.cross_entropy(logits, torch.tensor([1, 1]))}, ["logits"])

for shape in [(1,), (5,), (3, 7), (64, 10), (2, 3, 33), (1, 1000), (4, 1)]:
    x = draw(*shape)
    case("softmax", {"x": x}, {}, {"y": torch.softmax(x, -1)}, ["x"])

for shape in [(1,), (5,), (3, 7), (2, 3, 5), (4, 33, 2), (67, 31), (5000,), (2, 1, 3)]:
    for axis in [None, *range(len(shape))]:
        for number, f in enumerate([torch.sum, torch.mean, torch.amax]):
            x = draw(*shape)
            y = f(x) if axis is None else f(x, axis)
            params = {"reduction": [number]} | ({} if axis is None else {"axis": [axis]})
            case("reduce", {"x": x}, params, {"y": y}, ["x"] if number < 2 else [])
    x = draw(*shape, grad=False)
    for axis in range(len(shape)):
        # The first of equals, which torch.argmax does not promise.
        first = (x == x.amax(axis, keepdim=True)).double().cumsum(axis).eq(1) & (x == x.amax(axis, keepdim=True))
        case("argmax", {"x": x}, {"axis": [axis]}, {"y": first.long().argmax(axis)})

for shape in [(2, 3), (1, 1), (5, 33), (2, 3, 4, 5), (1, 17, 9, 1), (300, 2), (3, 4, 7)]:
    x, bias = draw(*shape), draw(shape[1])
    y = x + bias.view(1, -1, *[1] * (len(shape) - 2))
    case("bias_add", {"x": x, "bias": bias}, {}, {"y": y}, ["x", "bias"])


def update(op, make, steps, **params):
    parameter = draw(37)
    start = parameter.detach().clone()
    optimizer = make(parameter)
    gradients = [torch.randint(-16, 17, (37,)).double() / 8 for _ in range(steps)]
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    case(op, {"parameter": start, "gradients": torch.stack(gradients)}, {k: [v] for k, v in params.items()},
         {"y": parameter})


for momentum, decay, nesterov in [(0, 0, False), (0.9, 0, False), (0.9, 0.01, False), (0.8, 0.1, True)]:
    update("sgd_update", lambda p: torch.optim.SGD([p], 0.125, momentum, 0, decay, nesterov), 4, lr=0.125,
           momentum=momentum, weight_decay=decay, nesterov=nesterov)
for beta1, beta2, epsilon, decay in [(0.9, 0.999, 1e-8, 0), (0.5, 0.9, 1e-3, 0.1)]:
    update("adam_update", lambda p: torch.optim.Adam([p], 0.0625, (beta1, beta2), epsilon, decay), 5, lr=0.0625,
           beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=decay)

path = pathlib.Path(__file__).with_name("kernels.safetensors")
save_file(tensors, path, metadata)
print(f"{path.name}: {sum(counts.values())} cases, {path.stat().st_size} bytes, PyTorch {torch.__version__}: {counts}")
