"""Products of matrices, bias. The operations are dlcuda::functional's."""
import torch
import torch.nn.functional as F

from table import NONE, case, image, op, tensor


def draw_linear(rng):
    n, i, o = (rng.randint(1, 40) for _ in range(3))
    return case([tensor(n, i), tensor(o, i), tensor(o) if rng.random() < 0.7 else NONE])


op("linear", lambda x, p: [F.linear(*x)],
   [case([tensor(n, i), tensor(o, i), tensor(o) if bias else NONE]) for n, i, o, bias in
    [(1, 1, 1, True), (0, 3, 2, True), (3, 5, 2, True), (2, 31, 33, False), (33, 257, 7, True), (1, 400, 120, True),
     (64, 1, 65, False), (300, 3, 130, True)]],
   draw_linear, slack=4, because="sums of up to 400 products that cancel, in another order")


def draw_bias(rng):
    n, c, h, w = (rng.randint(1, 9) for _ in range(4))
    return case([image(n, c, h, w), tensor(c)])


op("bias_add", lambda x, p: [x[0] + x[1].reshape([1, -1] + [1] * (x[0].dim() - 2))],
   [case([x, tensor(x["shape"][1])]) for x in
    [tensor(1, 1), tensor(3, 7), tensor(300, 5), image(0, 2, 3, 3), image(1, 1, 1, 1), image(2, 3, 5, 7),
     image(3, 257, 1, 3), image(2, 9, 67, 61)]],
   draw_bias, slack=4, because="the gradient is a sum of up to 8,174 terms that cancel")
