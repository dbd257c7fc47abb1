"""Activations, softmax and log-softmax."""
import torch
import torch.nn.functional as F

from table import case, image, op, tensor, values

# 40,000 and more: longer than one pass of the shim's grid. The range of +-4 meets every kink (0, 3, -3) exactly.
WIDE = dict(low=-32, high=32)
SHAPES = [tensor(**WIDE), tensor(0, **WIDE), tensor(1, **WIDE), tensor(31, **WIDE), tensor(257, **WIDE), tensor(3, 5, 7, **WIDE),
          image(2, 3, 5, 7, **WIDE), image(1, 33, 1, 3, **WIDE), tensor(70_001, **WIDE)]
# What 16-bit formats and exponentials make of extremes; the gradient is finite everywhere.
EXTREMES = values([-10000, -128, -20.0, -1e-3 * 0, 20.0, 64.0, 128, 10000, "nan"], 9, exact=True, grad=True)


def draw_shape(rng):
    if rng.random() < 0.5:
        return image(rng.randint(1, 3), rng.randint(1, 9), rng.randint(1, 7), rng.randint(1, 7), **WIDE)
    return tensor(*(rng.randint(1, 20) for _ in range(rng.randint(0, 3))), **WIDE)


def activation(name, function, params=({},)):
    cases = [case([shape], **params[i % len(params)]) for i, shape in enumerate(SHAPES)]
    cases += [case([EXTREMES], **p) for p in params]
    op(name, lambda x, p: [function(x[0], **p)], cases, lambda rng: case([draw_shape(rng)], **rng.choice(params)),
       slack=1, because="16-bit gradients are computed from an output that was rounded")


activation("sigmoid", torch.sigmoid)
activation("tanh", torch.tanh)
activation("relu", F.relu)
activation("relu6", F.relu6)
activation("leaky_relu", F.leaky_relu, ({"negative_slope": 0.25}, {"negative_slope": 0.0}, {"negative_slope": 1.5}))
activation("elu", F.elu, ({"alpha": 1.0}, {"alpha": 0.5}))
activation("silu", F.silu)
activation("gelu", F.gelu)
activation("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"))
activation("hard_sigmoid", F.hardsigmoid)
activation("hard_swish", F.hardswish)
activation("softplus", F.softplus, ({"beta": 1.0, "threshold": 20.0}, {"beta": 2.0, "threshold": 3.0}))

AXES = [(tensor(5), 0), (tensor(0, 3), 1), (tensor(3, 0), 1), (tensor(1, 1), -1), (tensor(31, 7), 1), (tensor(31, 7), 0), (tensor(3, 1500), -1),
        (tensor(2, 3, 5), 1), (image(2, 5, 3, 4), 1), (image(2, 5, 3, 4), 2), (image(1, 3, 7, 5), -1), (image(3, 2, 2, 2), 0),
        (tensor(9000, 3), 1), (tensor(3, 9000), 0),
        (values([-10000, 10000, "-inf", "-inf", 0, 10000, 10000, -10000, "-inf"], 3, 3, exact=True), 1)]


def draw_softmax(rng):
    x = draw_shape(rng)
    while not x["shape"]:
        x = draw_shape(rng)
    return case([x], axis=rng.randrange(-len(x["shape"]), len(x["shape"])))


for name, function in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
    # Differences cannot be taken across an infinity.
    op(name, lambda x, p, f=function: [f(x[0], p["axis"])], [case([x], axis=axis) for x, axis in AXES], draw_softmax,
       slack=2, because="the gradient is computed from an output that was rounded, and sums terms that cancel", numeric=True)
