"""Pooling."""
import torch
import torch.nn.functional as F

from table import case, image, op, values


def pool_case(x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), include=True, ceil=False):
    return case([x], kernel=list(kernel), stride=list(stride), padding=list(padding), include=include, ceil=ceil)


def draw_pool(rng):
    kernel = [rng.randint(1, 4), rng.randint(1, 4)]
    padding = [rng.randint(0, k // 2) for k in kernel]
    x = image(rng.randint(0, 3) or 1, rng.randint(1, 6), rng.randint(kernel[0], 9), rng.randint(kernel[1], 9))
    return pool_case(x, kernel, (rng.randint(1, 4), rng.randint(1, 4)), padding, rng.random() < 0.5, rng.random() < 0.5)


CASES = [pool_case(image(1, 1, 2, 2)), pool_case(image(1, 1, 1, 1), (1, 1), (1, 1)), pool_case(image(2, 3, 5, 7)),
         pool_case(image(2, 3, 5, 7), (3, 2), (1, 2), (1, 0)), pool_case(image(1, 2, 6, 5), (3, 3), (2, 2), (1, 1), include=False),
         pool_case(image(2, 2, 5, 6), ceil=True), pool_case(image(1, 3, 6, 7), (3, 3), (2, 2), (1, 1), ceil=True),
         pool_case(image(1, 3, 7, 7), (3, 3), (2, 2), (1, 1), include=False, ceil=True), pool_case(image(1, 1, 4, 9), (2, 3), (3, 2), (1, 1)),
         pool_case(image(1, 2, 3, 3), (2, 2), (3, 3), (1, 1), ceil=True), pool_case(image(2, 2, 2, 4), (3, 5), (2, 2), ceil=True), pool_case(image(0, 2, 4, 4)), pool_case(image(2, 33, 4, 4)),
         pool_case(image(1, 2, 9, 9), (5, 4), (1, 1), (2, 2)), pool_case(image(1, 16, 47, 45), (3, 3), (2, 2), (1, 1)),
         pool_case(image(1, 40, 32, 30))]

op("avg_pool2d", lambda x, p: [F.avg_pool2d(x[0], p["kernel"], p["stride"], p["padding"], p["ceil"], p["include"])
                               if x[0].numel() else x[0][:, :, ::2, ::2]],
   CASES, draw_pool, slack=2, because="sums of up to 25 values that cancel")

op("max_pool2d", lambda x, p: [F.max_pool2d(x[0], p["kernel"], p["stride"], p["padding"], ceil_mode=p["ceil"])
                               if x[0].numel() else x[0][:, :, ::2, ::2]],
   # NaN counts as the largest; of equals the first takes the gradient.
   CASES + [pool_case(values([5, 5, 1, "nan", 5, 5, 2, 3, "-inf", "-inf", "nan", "nan", "-inf", "-inf", 3, 9], 1, 1, 4, 4, image=True))],
   draw_pool, slack=2, because="16-bit gradients of overlapping windows are rounded at each addition")


def adaptive_case(x, h, w):
    return case([x], size=[h, w])


ADAPTIVE = [adaptive_case(image(1, 1, 1, 1), 1, 1), adaptive_case(image(2, 3, 5, 7), 1, 1), adaptive_case(image(2, 3, 5, 7), 5, 7),
            adaptive_case(image(2, 3, 5, 7), 2, 3), adaptive_case(image(1, 2, 3, 2), 7, 5), adaptive_case(image(0, 2, 3, 3), 2, 2),
            adaptive_case(image(2, 33, 7, 7), 1, 1), adaptive_case(image(1, 4, 14, 12), 7, 6), adaptive_case(image(1, 9, 61, 67), 6, 6),
            adaptive_case(image(1, 512, 9, 9), 3, 4)]


def draw_adaptive(rng):
    return adaptive_case(image(rng.randint(1, 3), rng.randint(1, 6), rng.randint(1, 9), rng.randint(1, 9)), rng.randint(1, 9), rng.randint(1, 9))


op("adaptive_avg_pool2d", lambda x, p: [F.adaptive_avg_pool2d(x[0], p["size"])], ADAPTIVE, draw_adaptive,
   slack=2, because="sums of values that cancel")
op("adaptive_max_pool2d", lambda x, p: [F.adaptive_max_pool2d(x[0], p["size"]) if x[0].numel() else x[0][:, :, :2, :2]],
   ADAPTIVE, draw_adaptive, slack=2, because="16-bit gradients of overlapping windows are rounded at each addition")
