"""Batch, group, layer and local response normalisation."""
import torch
import torch.nn.functional as F

from table import NONE, case, image, op, tensor, values

STAT = dict(dtype="stat")
ACTIVATIONS = {"identity": lambda x: x, "relu": F.relu, "relu6": F.relu6, "leaky_relu": lambda x: F.leaky_relu(x, 0.125),
               "sigmoid": torch.sigmoid}


def channels(c, low=-16, high=16, grad=True):
    return tensor(c, low=low, high=high, grad=grad, **STAT)


def norm_case(x, affine=True, residual=False, running=True, training=True, activation="identity", momentum=0.125, epsilon=1e-5):
    c = x["shape"][1]
    beside = {**x} if residual else NONE
    return case([x, channels(c) if affine else NONE, channels(c) if affine else NONE, beside,
                 channels(c, grad=False) if running else NONE, channels(c, 4, 32, grad=False) if running else NONE],
                training=training, activation=activation, momentum=momentum, epsilon=epsilon)


def batch_norm(x, p):
    x, weight, bias, residual, mean, var = x
    mean, var = (None, None) if mean is None else (mean.clone(), var.clone())
    if x.numel() == 0:
        # PyTorch refuses an empty batch in training; nothing is normalised, and the statistics stay.
        y = x if weight is None else x + 0 * (weight + bias).reshape([1, -1] + [1] * (x.dim() - 2))
    else:
        y = F.batch_norm(x, mean, var, weight, bias, p["training"] or mean is None, p["momentum"], p["epsilon"])
    y = ACTIVATIONS[p["activation"]](y if residual is None else y + residual)
    return [y] if mean is None else [y, mean, var]


# Means that are large beside the spread: (x + 100) / 8 with x from -4 to 4, exact in every dtype.
FAR = dict(low=96, high=104, step=1 / 4)


# A channel that begins with a value far away from all others, which no sum may be taken relative to.
OUTLIER = values([8192] + [((7 * i) % 17 - 8) / 4 for i in range(2 * 70 * 70 - 1)], 2, 1, 70, 70, image=True, exact=True)
ROW_OUTLIER = values([8192] + [((5 * i) % 19 - 9) / 4 for i in range(2 * 5000 - 1)], 5000, 2, exact=True)


def draw_batch_norm(rng):
    n, c, h, w = rng.randint(2, 5), rng.randint(1, 12), rng.randint(1, 7), rng.randint(1, 7)
    return norm_case(image(n, c, h, w) if rng.random() < 0.8 else tensor(n + 2, c), rng.random() < 0.7, rng.random() < 0.4,
                     # Smooth ones: where rounding moves a value across a kink, the gradient jumps.
                     rng.random() < 0.8, rng.random() < 0.7, rng.choice(["identity", "sigmoid"]), epsilon=rng.choice([1e-5, 1e-3]))


op("batch_norm", batch_norm,
   [norm_case(image(2, 3, 5, 7)), norm_case(tensor(8, 5)), norm_case(image(3, 1, 3, 3), affine=False),
    norm_case(image(2, 33, 3, 1), running=False), norm_case(image(2, 8, 4, 4), activation="relu"),
    norm_case(image(2, 4, 3, 5), residual=True, activation="relu"), norm_case(image(3, 5, 2, 3), residual=True),
    norm_case(image(2, 3, 4, 4), activation="relu6"), norm_case(image(2, 3, 3, 3), activation="leaky_relu"),
    norm_case(image(2, 3, 3, 3), activation="sigmoid", residual=True, affine=False),
    norm_case(image(2, 3, 5, 7), training=False), norm_case(image(1, 2, 1, 1), training=False, activation="relu", residual=True),
    norm_case(image(2, 3, 2, 2), training=False, running=False), norm_case(image(2, 3, 6, 6, **FAR)), norm_case(tensor(300, 3, **FAR)),
    norm_case(image(0, 3, 2, 2), training=False), norm_case(image(2, 1, 67, 71), activation="relu"), norm_case(image(3, 16, 41, 43)),
    norm_case(OUTLIER) | {"numeric": False}, norm_case(ROW_OUTLIER) | {"numeric": False}, norm_case(image(2, 2, 1, 2), momentum=1.0, epsilon=0.5), norm_case(tensor(700, 65), activation="relu"),
    norm_case(image(2, 3, 2, 3), training=False, epsilon=0.5)],
   draw_batch_norm, slack=16,
   because="gradients are differences of sums that nearly cancel; 16-bit gradients start from an output that was rounded")


def fold(x, p):
    layer_weight, layer_bias, weight, bias, mean, var = x
    scale = (weight if weight is not None else 1) / torch.sqrt(var + p["epsilon"])
    shift = (0 if layer_bias is None else layer_bias) - mean
    return [layer_weight * scale.reshape([-1] + [1] * (layer_weight.dim() - 1)), shift * scale + (0 if bias is None else bias)]


def fold_case(*shape, layer_bias=True, affine=True):
    o = shape[0]
    return case([tensor(*shape, grad=False), tensor(o, grad=False) if layer_bias else NONE,
                 channels(o, grad=False) if affine else NONE, channels(o, grad=False) if affine else NONE,
                 channels(o, grad=False), channels(o, 4, 32, grad=False)], epsilon=1e-5)


op("fold_batch_norm", fold,
   [fold_case(1, 1), fold_case(5, 3), fold_case(4, 3, 3, 3), fold_case(8, 1, 3, 3, layer_bias=False), fold_case(3, 7, 1, 1, affine=False),
    fold_case(33, 2, 5, 5), fold_case(257, 3, 1, 1, layer_bias=False, affine=False), fold_case(64, 64, 3, 3)],
   lambda rng: fold_case(rng.randint(1, 20), rng.randint(1, 9), rng.randint(1, 3), 3, layer_bias=rng.random() < 0.5,
                         affine=rng.random() < 0.7),
   slack=1, because="the folded bias is a difference that can cancel")


def group_case(x, groups, affine=True):
    c = x["shape"][1]
    return case([x, channels(c) if affine else NONE, channels(c) if affine else NONE], groups=groups)


def draw_group_norm(rng):
    groups, width = rng.randint(1, 4), rng.randint(1, 5)
    return group_case(image(rng.randint(1, 3), groups * width, rng.randint(1, 6), rng.randint(2, 6)), groups, rng.random() < 0.7)


op("group_norm", lambda x, p: [F.group_norm(x[0], p["groups"], x[1], x[2], 1e-5)],
   [group_case(image(2, 6, 5, 7), 3), group_case(image(2, 6, 5, 7), 6, affine=False), group_case(image(2, 6, 3, 3), 1),
    group_case(tensor(3, 8), 2), group_case(image(0, 4, 2, 2), 2), group_case(image(1, 2, 1, 2), 1, affine=False),
    group_case(tensor(2, 4, 9), 2), group_case(image(2, 33, 5, 5), 11), group_case(image(1, 4, 31, 33), 2),
    group_case(image(2, 6, 5, 5, **FAR), 2), group_case(image(3, 16, 39, 37), 4)],
   draw_group_norm, slack=16, because="gradients are differences of sums that nearly cancel")


def layer_case(x, axes, affine=True):
    normalized = x["shape"][len(x["shape"]) - axes:]
    return case([x, tensor(*normalized, **STAT) if affine else NONE, tensor(*normalized, **STAT) if affine else NONE],
                normalized=normalized)


op("layer_norm", lambda x, p: [F.layer_norm(x[0], p["normalized"], x[1], x[2], 1e-5)],
   [layer_case(tensor(3, 7), 1), layer_case(tensor(2, 3, 5), 2), layer_case(tensor(9), 1), layer_case(tensor(0, 5), 1),
    layer_case(tensor(4, 257), 1, affine=False), layer_case(tensor(2, 3, 4, 5), 3), layer_case(tensor(3, 1500), 1),
    layer_case(tensor(300, 5), 1), layer_case(tensor(900, 40), 1)],
   lambda rng: layer_case(tensor(rng.randint(1, 6), rng.randint(1, 5), rng.randint(3, 20)), rng.randint(1, 2), rng.random() < 0.7),
   slack=16, because="gradients are differences of sums that nearly cancel")


def response_case(x, size=5, alpha=0.5, beta=0.75, k=1.0):
    return case([x], size=size, alpha=alpha, beta=beta, k=k)


def response(x, p):
    # F.local_response_norm treats (N, C) as one picture; here C is the axis of channels.
    y = x[0] if x[0].dim() > 2 else x[0][:, :, None]
    if y.numel():
        y = F.local_response_norm(y, p["size"], p["alpha"], p["beta"], p["k"])
    return [y.reshape(x[0].shape)]


op("local_response_norm", response,
   [response_case(image(2, 7, 3, 4)), response_case(image(1, 1, 1, 1)), response_case(image(2, 3, 2, 2), size=9),
    response_case(image(0, 3, 2, 2)), response_case(tensor(3, 40), size=4, k=2.0), response_case(image(1, 8, 5, 5), size=1),
    response_case(image(2, 33, 3, 3), size=2, beta=0.5, alpha=2.0), response_case(image(2, 16, 20, 21)),
    response_case(image(1, 96, 12, 12), alpha=1e-4, k=2.0)],
   lambda rng: response_case(image(rng.randint(1, 3), rng.randint(1, 20), rng.randint(1, 5), rng.randint(1, 5)),
                             size=rng.randint(1, 7), alpha=rng.choice([0.5, 1e-4, 4.0]), k=rng.choice([1.0, 2.0])),
   slack=2, because="the gradient is a difference")
