"""Convolutions. The operations are dlcuda::functional's; padding is [top, left, bottom, right], "same" or "valid"."""
import torch
import torch.nn.functional as F

from table import NONE, case, image, op, tensor


def padding_of(x, weight, p):
    """Numbers for SAME and VALID, as TensorFlow documents them."""
    if p["padding"] == "valid":
        return 0, 0, 0, 0
    if p["padding"] != "same":
        return p["padding"]
    begin, end = [], []
    for axis in range(2):
        extent, stride = x.shape[2 + axis], p["stride"][axis]
        window = (weight.shape[2 + axis] - 1) * p["dilation"][axis] + 1
        windows = -(-extent // stride)
        missing = max((windows - 1) * stride + window - extent, 0)
        begin.append(missing // 2)
        end.append(missing - missing // 2)
    return *begin, *end


def conv2d(x, weight, bias, p, groups):
    top, left, bottom, right = padding_of(x, weight, p)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, p["stride"], 0, p["dilation"], groups)


def conv_case(x, out, kernel, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True):
    return case([image(*x), tensor(out, x[1] // groups, *kernel), tensor(out) if bias else NONE],
                stride=list(stride), dilation=list(dilation), groups=groups,
                padding=padding if isinstance(padding, str) else list(padding))


def depthwise_case(x, multiplier, kernel, **options):
    one = conv_case(x, x[1] * multiplier, kernel, groups=max(x[1], 1), **options)
    del one["params"]["groups"]
    return one


def draw_geometry(rng):
    kernel = [rng.randint(1, 5), rng.randint(1, 5)]
    stride, dilation = ([rng.choice([1, 1, 2, 3]) for _ in range(2)] for _ in range(2))
    padding = rng.choice(["same", "valid", [rng.randint(0, 3) for _ in range(4)]])
    sides = [(k - 1) * d + rng.randint(1, 9) for k, d in zip(kernel, dilation)]
    return sides, dict(kernel=kernel, stride=stride, dilation=dilation, padding=padding, bias=rng.random() < 0.7)


def draw_conv2d(rng):
    sides, options = draw_geometry(rng)
    groups = rng.choice([1, 1, 1, 2, 3])
    return conv_case((rng.randint(1, 3), groups * rng.randint(1, 9), *sides), groups * rng.randint(1, 9), groups=groups,
                     **options)


def draw_depthwise(rng):
    sides, options = draw_geometry(rng)
    channels = rng.choice([1, 2, 3, 8, 16, 24, rng.randint(1, 40)])
    return depthwise_case((rng.randint(1, 3), channels, *sides), rng.choice([1, 1, 1, 2, 3]), **options)


op("conv2d", lambda x, p: [conv2d(*x, p, p["groups"])],
   [conv_case((1, 1, 1, 1), 1, (1, 1)),
    conv_case((0, 3, 8, 8), 4, (3, 3)),
    conv_case((2, 1, 12, 12), 6, (5, 5)),
    conv_case((2, 6, 14, 14), 16, (5, 5), bias=False),
    conv_case((2, 31, 9, 9), 33, (3, 3), padding=(1, 1, 1, 1)),
    conv_case((3, 3, 7, 9), 5, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    conv_case((1, 4, 9, 7), 6, (3, 2), stride=(1, 3), padding=(2, 0, 1, 1), bias=False),
    conv_case((2, 3, 4, 4), 2, (4, 4)),
    conv_case((1, 2, 11, 13), 3, (3, 3), dilation=(2, 3), padding=(2, 3, 2, 3)),
    conv_case((2, 4, 8, 8), 8, (3, 3), padding=(1, 1, 1, 1), groups=2),
    conv_case((2, 12, 10, 10), 9, (3, 2), stride=(1, 2), padding=(3, 2, 1, 0), dilation=(2, 3), groups=3),
    conv_case((1, 16, 6, 5), 20, (2, 3), padding=(3, 0, 0, 4)),
    conv_case((1, 33, 6, 7), 31, (1, 1)),
    conv_case((5, 257, 1, 1), 3, (1, 1), bias=False),
    conv_case((2, 3, 9, 11), 4, (3, 5), stride=(2, 3), padding="same"),
    conv_case((1, 5, 8, 7), 4, (2, 3), stride=(1, 2), dilation=(3, 2), padding="same"),
    conv_case((1, 17, 7, 6), 18, (3, 4), padding="same", bias=False),
    conv_case((1, 17, 8, 9), 4, (3, 3), stride=(2, 2), padding="valid"),
    conv_case((2, 8, 67, 65), 9, (3, 3), padding=(1, 1, 1, 1)),
    conv_case((2, 16, 20, 18), 16, (3, 3), stride=(2, 1), padding=(0, 1, 1, 0), groups=16)],
   draw_conv2d, slack=4, because="sums of up to 8,710 products that cancel, in another order")

op("depthwise_conv2d", lambda x, p: [conv2d(*x, p, max(x[0].shape[1], 1))],
   [depthwise_case((1, 1, 1, 1), 1, (1, 1)),
    depthwise_case((1, 2, 1, 1), 1, (1, 1)),
    depthwise_case((0, 8, 5, 5), 1, (3, 3)),
    depthwise_case((2, 8, 5, 7), 1, (3, 3), padding=(1, 1, 1, 1)),
    depthwise_case((3, 16, 9, 11), 1, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1), bias=False),
    depthwise_case((2, 24, 13, 6), 1, (5, 5), padding=(2, 2, 2, 2)),
    depthwise_case((2, 3, 7, 9), 1, (3, 3), padding=(0, 1, 2, 0)),
    depthwise_case((2, 257, 3, 2), 1, (3, 3), stride=(2, 1), padding=(1, 1, 1, 1)),
    depthwise_case((2, 6, 8, 5), 2, (3, 3), stride=(2, 1), padding=(1, 0, 0, 1)),
    depthwise_case((1, 8, 9, 7), 3, (3, 2), padding=(1, 1, 1, 1)),
    depthwise_case((2, 16, 11, 12), 1, (3, 3), dilation=(2, 3), padding=(2, 3, 1, 2)),
    depthwise_case((1, 8, 13, 10), 1, (3, 3), stride=(2, 3), dilation=(2, 2), padding=(3, 1, 0, 2)),
    depthwise_case((1, 8, 17, 16), 1, (7, 7), stride=(3, 2), padding=(3, 3, 3, 3)),
    depthwise_case((2, 5, 8, 9), 1, (4, 6), padding=(5, 1, 4, 6), bias=False),
    depthwise_case((1, 8, 4, 10), 2, (1, 4), stride=(3, 1)),
    depthwise_case((1, 40, 10, 7), 1, (3, 5), stride=(2, 2), padding="same"),
    depthwise_case((1, 8, 6, 7), 1, (2, 4), padding="same"),
    depthwise_case((1, 7, 9, 8), 1, (3, 3), stride=(1, 2), padding="valid"),
    depthwise_case((2, 32, 64, 65), 1, (3, 3), padding=(1, 1, 1, 1)),  # longer than a grid: forward and data
    depthwise_case((1, 8, 100, 102), 1, (13, 1), padding=(6, 0, 6, 0)),  # the same for the weight
    depthwise_case((2, 8, 131, 67), 1, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1), bias=False)],
   draw_depthwise, slack=4, because="sums of up to 10,200 products that cancel, in another order")


FUSED = {"identity": lambda x: x, "relu": F.relu, "relu6": F.relu6, "leaky_relu": lambda x: F.leaky_relu(x, 0.125),
         "sigmoid": torch.sigmoid, "tanh": torch.tanh, "elu": F.elu, "silu": F.silu, "gelu": F.gelu, "hard_swish": F.hardswish}


def fused_case(x, out, kernel, activation="relu", residual=False, **options):
    """A convolution's inputs without gradients, its bias with the dtype of statistics, and a residual like its output."""
    one = conv_case(x, out, kernel, **options)
    image_, weight, bias = ({**given, "grad": False} if given else NONE for given in one["inputs"])
    p = one["params"]
    padded = [x[2] + p["padding"][0] + p["padding"][2], x[3] + p["padding"][1] + p["padding"][3]]
    sides = [(i - d * (k - 1) - 1) // s + 1 for i, k, s, d in zip(padded, kernel, p["stride"], p["dilation"])]
    beside = image(x[0], out, *sides, grad=False) if residual else NONE
    return case([image_, weight, bias and {**bias, "dtype": "stat"}, beside], activation=activation, **p)


def draw_fused(rng):
    groups, kernel = rng.choice([1, 1, 2, 8]), [rng.randint(1, 3), rng.randint(1, 3)]
    return fused_case((rng.randint(1, 3), groups * rng.randint(1, 9), rng.randint(3, 9), rng.randint(3, 9)),
                      groups * rng.randint(1, 9), kernel, rng.choice(list(FUSED)), rng.random() < 0.5, groups=groups,
                      stride=(rng.randint(1, 2), rng.randint(1, 2)), padding=[rng.randint(0, 2) for _ in range(4)],
                      bias=rng.random() < 0.7)


op("conv2d_fused", lambda x, p: [FUSED[p["activation"]](conv2d(*x[:3], p, p["groups"]) + (0 if x[3] is None else x[3]))],
   [fused_case((1, 1, 1, 1), 1, (1, 1)),
    fused_case((0, 3, 8, 8), 4, (3, 3), residual=True),
    fused_case((2, 3, 9, 7), 16, (3, 3), "relu", stride=(2, 2), padding=(1, 1, 1, 1)),
    fused_case((2, 16, 7, 5), 16, (3, 3), "relu", residual=True, padding=(1, 1, 1, 1)),
    fused_case((1, 16, 6, 5), 33, (1, 1), "identity", residual=True, bias=False),
    fused_case((2, 8, 6, 7), 5, (3, 2), "leaky_relu", padding=(0, 1, 2, 0)),
    fused_case((1, 16, 5, 6), 16, (3, 3), "relu6", padding=(1, 1, 1, 1), groups=16),
    fused_case((2, 24, 5, 5), 24, (5, 5), "silu", padding=(2, 2, 2, 2), groups=24),
    fused_case((1, 6, 8, 8), 4, (3, 3), "sigmoid", residual=True, groups=2),
    fused_case((2, 3, 5, 6), 4, (3, 3), "tanh", dilation=(2, 1)),
    fused_case((1, 4, 5, 5), 7, (2, 2), "elu"),
    fused_case((1, 4, 5, 5), 7, (2, 2), "gelu", residual=True),
    fused_case((1, 8, 5, 5), 8, (3, 3), "hard_swish", residual=True, padding=(1, 1, 1, 1)),
    fused_case((2, 8, 67, 65), 9, (3, 3), "relu", residual=True, padding=(1, 1, 1, 1))],
   draw_fused, slack=4, because="sums of products that cancel, in another order; 16-bit results of the convolution are rounded")


def transposed_case(x, out, kernel, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1), groups=1, bias=True):
    return case([image(*x), tensor(x[1], out // groups, *kernel), tensor(out) if bias else NONE], stride=list(stride),
                padding=list(padding), output_padding=list(output_padding), dilation=list(dilation), groups=groups)


def conv_transpose2d(x, p):
    """PyTorch pads symmetrically: what is to be cut off is cut off here."""
    y = F.conv_transpose2d(*x, p["stride"], 0, p["output_padding"], p["groups"], p["dilation"])
    top, left, bottom, right = p["padding"]
    return [y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]]


def draw_transposed(rng):
    if rng.random() < 0.3:
        k = [rng.randint(1, 3), rng.randint(1, 3)]
        return transposed_case((rng.randint(1, 3), rng.randint(1, 9), rng.randint(1, 6), rng.randint(1, 6)), rng.randint(1, 9), k, k,
                               bias=rng.random() < 0.7)
    kernel, stride, dilation = ([rng.randint(1, n), rng.randint(1, n)] for n in (4, 3, 2))
    sides = [rng.randint(1, 7), rng.randint(1, 7)]
    extents = [(i - 1) * s + d * (k - 1) for i, s, d, k in zip(sides, stride, dilation, kernel)]  # less 1, the output's
    padding = [rng.randint(0, min(2, extents[i % 2] // 2)) for i in range(4)]
    groups = rng.choice([1, 1, 2, 3])
    return transposed_case((rng.randint(1, 2), groups * rng.randint(1, 6), *sides), groups * rng.randint(1, 6), kernel, stride, padding,
                           [rng.randint(0, s - 1) for s in stride], dilation, groups, rng.random() < 0.7)


op("conv_transpose2d", conv_transpose2d,
   [transposed_case((1, 1, 1, 1), 1, (1, 1)),
    transposed_case((0, 3, 4, 5), 2, (3, 3)),
    transposed_case((0, 3, 4, 5), 2, (2, 2), (2, 2)),
    transposed_case((1, 1, 1, 1), 3, (2, 2), (2, 2)),
    transposed_case((2, 6, 5, 7), 4, (2, 2), (2, 2)),
    transposed_case((2, 33, 3, 2), 31, (2, 2), (2, 2), bias=False),
    transposed_case((1, 5, 4, 3), 7, (3, 1), (3, 1)),
    transposed_case((2, 4, 5, 6), 3, (3, 3), padding=(1, 1, 1, 1)),
    transposed_case((2, 3, 4, 4), 5, (4, 4), (2, 2), (1, 1, 1, 1)),
    transposed_case((1, 7, 5, 4), 6, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    transposed_case((1, 2, 4, 5), 3, (2, 3), (3, 2), (0, 1, 1, 0), (2, 1), bias=False),
    transposed_case((1, 4, 5, 4), 2, (3, 2), (2, 1), (2, 0, 1, 1), (1, 0), (2, 3)),
    transposed_case((2, 6, 5, 5), 4, (3, 3), (2, 2), (1, 0, 0, 1), (0, 1), groups=2),
    transposed_case((2, 12, 4, 3), 12, (4, 4), (2, 2), (1, 1, 1, 1), groups=12, bias=False),
    transposed_case((1, 9, 3, 4), 6, (2, 2), (2, 2), groups=3),
    transposed_case((1, 2, 3, 3), 3, (1, 1), (3, 2), output_padding=(2, 1)),
    transposed_case((2, 3, 33, 31), 6, (2, 2), (2, 2)),
    transposed_case((2, 4, 40, 35), 5, (3, 3), (2, 2), (1, 1, 1, 1), (1, 0)),
    transposed_case((1, 257, 3, 3), 5, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1))],
   draw_transposed, slack=4, because="sums of up to 2,800 products that cancel, in another order")
