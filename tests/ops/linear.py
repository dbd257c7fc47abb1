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


def product(a, b):
    return case([tensor(*a), tensor(*b)])


def draw_matmul(rng):
    n, m, k, o = (rng.randint(1, 30) for _ in range(4))
    return rng.choice([product((m, k), (k, o)), product((n, m, k), (n, k, o)), product((n, m, k), (k, o))])


op("matmul", lambda x, p: [torch.matmul(*x)],
   [product(a, b) for a, b in
    [((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((31, 33), (33, 257)), ((300, 7), (7, 40)), ((1, 1, 1), (1, 1, 1)),
     ((0, 2, 3), (0, 3, 2)), ((3, 2, 0), (3, 0, 4)), ((5, 3, 7), (5, 7, 2)), ((64, 17, 9), (64, 9, 33)), ((4, 5, 6), (6, 3)),
     ((65, 12, 31), (31, 12))]],
   draw_matmul, slack=4, because="sums of up to 780 products that cancel, in another order")


def gram(x, p):
    rows = x[0].flatten(2) if x[0].dim() > 2 else x[0].unsqueeze(2)
    return [rows @ rows.transpose(1, 2)]


op("gram_matrix", gram,
   [case([x]) for x in
    [tensor(1, 1), tensor(3, 7), tensor(2, 5, 9), image(0, 2, 3, 3), image(1, 1, 1, 1), image(2, 3, 5, 7), image(3, 33, 4, 3),
     image(1, 64, 9, 9), image(2, 16, 31, 17)]],
   lambda rng: case([image(rng.randint(1, 3), rng.randint(1, 20), rng.randint(1, 9), rng.randint(1, 9))]),
   slack=4, because="sums of up to 527 products that cancel, in another order")
