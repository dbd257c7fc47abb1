"""Arithmetic of elements with broadcasting, and reductions."""
import torch

from table import case, image, op, tensor, values

PAIRS = [(tensor(), tensor()), (tensor(0), tensor(1)), (tensor(1), tensor(7)), (tensor(31), tensor(31)), (tensor(3, 1), tensor(1, 5)),
         (tensor(2, 3, 4), tensor(4)), (image(2, 3, 4, 5), image(2, 3, 4, 5)), (image(2, 3, 4, 5), tensor(3, 1, 1)), (image(2, 1, 4, 5), image(2, 3, 1, 5)),
         (tensor(), image(2, 3, 2, 2)), (tensor(257), tensor(3, 257)), (tensor(70_001), tensor(70_001)), (image(2, 17, 47, 43), tensor(17, 1, 1))]


def draw_pair(rng):
    rank = rng.randint(0, 4)
    full = [rng.randint(1, 6) for _ in range(rank)]

    def part():
        shape = [n if rng.random() < 0.7 else 1 for n in full]
        return image(*shape) if rank == 4 else tensor(*shape[rng.randint(0, rank):] if rng.random() < 0.3 else shape)

    return case([part(), part()])


def nonzero(spec):
    """1/8 to 4: neither zero nor below."""
    return {**spec, "low": 1, "high": 32}


SUMS = dict(slack=8, because="gradients are sums over what was repeated, of terms that were rounded and cancel")
op("add", lambda x, p: [x[0] + x[1]], [case(list(pair)) for pair in PAIRS], draw_pair, **SUMS)
op("subtract", lambda x, p: [x[0] - x[1]], [case(list(pair)) for pair in PAIRS], draw_pair, **SUMS)
op("multiply", lambda x, p: [x[0] * x[1]], [case(list(pair)) for pair in PAIRS], draw_pair, **SUMS)
op("divide", lambda x, p: [x[0] / x[1]], [case([a, nonzero(b)]) for a, b in PAIRS],
   lambda rng: (lambda c: case([c["inputs"][0], nonzero(c["inputs"][1])]))(draw_pair(rng)), **SUMS)
op("maximum", lambda x, p: [torch.maximum(*x)], [case(list(pair)) for pair in PAIRS], draw_pair, **SUMS)
op("minimum", lambda x, p: [torch.minimum(*x)], [case(list(pair)) for pair in PAIRS], draw_pair, **SUMS)

SHAPES = [tensor(), tensor(0), tensor(1), tensor(31), tensor(257), tensor(3, 5, 7), image(2, 3, 5, 7), tensor(70_001)]


def draw_any(rng):
    if rng.random() < 0.5:
        return image(*(rng.randint(1, 6) for _ in range(4)))
    return tensor(*(rng.randint(1, 9) for _ in range(rng.randint(0, 4))))


def unary(name, function, prepare=lambda x: x, params=({},), slack=0, because=""):
    op(name, lambda x, p: [function(x[0], **p)], [case([prepare(s)], **params[i % len(params)]) for i, s in enumerate(SHAPES)],
       lambda rng: case([prepare(draw_any(rng))], **rng.choice(params)), slack=slack, because=because)


unary("affine", lambda x, factor, offset: x * factor + offset, params=({"factor": 2.5, "offset": -1.0}, {"factor": 0.0, "offset": 0.5}, {"factor": -1.0, "offset": 0.0}),
      slack=1, because="a product and a sum that cancel")
unary("exp", torch.exp)
unary("log", torch.log, nonzero)
unary("sqrt", torch.sqrt, nonzero)
unary("rsqrt", torch.rsqrt, nonzero)
unary("abs", torch.abs)
unary("square", torch.square)
unary("power", torch.pow, nonzero, ({"exponent": 3.0}, {"exponent": -0.5}, {"exponent": 0.0}, {"exponent": 1.0}))
unary("clamp", lambda x, low, high: x.clamp(low, high), params=({"low": -1.0, "high": 0.5}, {"low": 0.0, "high": 0.0}))

# Any axes: those that lie together in either format, and those that do not.
REDUCED = [(tensor(), []), (tensor(5), [0]), (tensor(1, 1), [0, 1]), (tensor(3, 7), [1]), (tensor(3, 7), [-2]), (tensor(2, 3, 4), [0, 2]),
           (image(2, 3, 4, 5), [2, 3]), (image(2, 3, 4, 5), [1]), (image(2, 3, 4, 5), [0, 2, 3]), (image(2, 3, 4, 5), [1, 3]), (image(2, 3, 4, 5), []),
           (tensor(3, 1500), [1]), (tensor(1500, 3), [0]), (tensor(9000), []), (image(1, 9, 61, 67), [2]), (tensor(2, 1, 3, 1, 2), [1, 2])]
EMPTY = [(tensor(0), [0]), (tensor(0, 3), [0]), (tensor(0, 3), [1])]


def reduced_cases(specs):
    return [case([x], axes=axes, keep=i % 2 == 1) for i, (x, axes) in enumerate(specs)]


def draw_reduced(rng):
    x = draw_any(rng)
    rank = len(x["shape"])
    return case([x], axes=rng.sample(range(rank), rng.randint(0, rank)), keep=rng.random() < 0.5)


def axes_of(x, p):
    """PyTorch takes no axes for none at all, here they are all."""
    return tuple(p["axes"]) or tuple(range(x.dim()))


def over(function):
    return lambda x, p: [function(x[0], axes_of(x[0], p), p["keep"])]


LONG = dict(slack=8, because="sums of up to 9,000 values that cancel")
op("sum", over(lambda x, a, k: x.sum(a, keepdim=k) if a else x * 1), reduced_cases(REDUCED + EMPTY), draw_reduced, **LONG)
op("mean", over(lambda x, a, k: x.mean(a, keepdim=k) if a else x * 1), reduced_cases(REDUCED + EMPTY), draw_reduced, **LONG)
op("amax", over(lambda x, a, k: x.amax(a, keepdim=k) if a else x * 1),
   reduced_cases(REDUCED + [(values([1, "nan", 3, 4, 4, 2], 2, 3), [1]), (tensor(0, 3), [1])]), draw_reduced, slack=1, because="16-bit shares of ties are rounded")
op("amin", over(lambda x, a, k: x.amin(a, keepdim=k) if a else x * 1), reduced_cases(REDUCED + [(tensor(0, 3), [1])]), draw_reduced,
   slack=1, because="16-bit shares of ties are rounded")


def draw_spread(rng):
    x = tensor(*(rng.randint(2, 7) for _ in range(rng.randint(1, 3)))) if rng.random() < 0.5 else image(*(rng.randint(2, 6) for _ in range(4)))
    rank = len(x["shape"])
    return case([x], axes=rng.sample(range(rank), rng.randint(0, rank)), keep=rng.random() < 0.5, correction=rng.choice([0, 1]))


op("variance", lambda x, p: [x[0].var(axes_of(x[0], p), correction=p["correction"], keepdim=p["keep"])],
   [{**c, "params": {**c["params"], "correction": i % 2}} for i, c in enumerate(reduced_cases([r for r in REDUCED if len(r[0]["shape"]) > 0 and r[0]["shape"] != [1, 1]]))],
   draw_spread, **LONG)

NORMS = {"l1": 1, "l2": 2, "max": float("inf")}
op("norm", lambda x, p: [torch.linalg.vector_norm(x[0], NORMS[p["norm"]], axes_of(x[0], p), p["keep"]) if x[0].dim() else x[0].abs()],
   [{**c, "params": {**c["params"], "norm": n}} for n in NORMS for c in reduced_cases(REDUCED[1:12:2] + [(values([0, 0, 0], 1, 3), [1])])],
   lambda rng: (lambda c: {**c, "params": {**c["params"], "norm": rng.choice(list(NORMS))}})(draw_reduced(rng)), **LONG)


def arg_case(x, axis):
    return case([x], axis=axis)


def draw_arg(rng):
    x = draw_any(rng)
    while not x["shape"]:
        x = draw_any(rng)
    return arg_case({**x, "grad": False}, rng.randrange(-len(x["shape"]), len(x["shape"])))


def first(function):
    """PyTorch promises no order among equals; here the first counts."""
    def run(x, p):
        extreme = function(x[0], p["axis"], keepdim=True)
        nan = x[0].isnan()
        there = (x[0] == extreme) | (extreme.isnan() & nan)
        return [there.int().argmax(p["axis"])]
    return run


for name, function in (("argmax", torch.amax), ("argmin", torch.amin)):
    op(name, first(function),
       [arg_case({**x, "grad": False}, axis) for x, axis in
        [(tensor(5), 0), (tensor(1, 1), 1), (tensor(31, 7), 0), (tensor(31, 7), 1), (tensor(2, 3, 4), 1), (image(2, 3, 4, 5), 1), (image(2, 3, 4, 5), -1),
         (image(2, 3, 4, 5), 0), (tensor(3, 1500), 1), (tensor(1500, 3), 0), (tensor(0, 3), 1), (tensor(9000, 5), 1),
         (values([1, "nan", 3, "nan", 4, 4, 2, 4, 2, 2, 2, 3], 3, 4), 1)]], draw_arg)
