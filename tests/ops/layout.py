"""Moving elements: joining, cutting, padding, turning, shuffling, resizing, choosing by index."""
import torch
import torch.nn.functional as F

from table import case, image, index, op, tensor

# A copy of more than 65,536 elements is longer than one pass of the shim's grid.


def draw_any(rng, least=1):
    if rng.random() < 0.5:
        return image(rng.randint(1, 3), rng.randint(1, 6), rng.randint(least, 6), rng.randint(least, 6))
    return tensor(*(rng.randint(least, 9) for _ in range(rng.randint(1, 4))))


def join_case(shapes, axis, make=tensor):
    return case([make(*s) for s in shapes], axis=axis)


def draw_concat(rng):
    x = draw_any(rng)
    axis = rng.randrange(len(x["shape"]))
    others = []
    for _ in range(rng.randint(0, 3)):
        shape = list(x["shape"])
        shape[axis] = rng.randint(0, 5)
        others.append({**x, "shape": shape})
    return case([x, *others], axis=rng.choice([axis, axis - len(x["shape"])]))


op("concat", lambda x, p: [torch.cat(x, p["axis"])],
   [join_case([(3,)], 0), join_case([(2,), (0,), (5,)], 0), join_case([(1, 1), (1, 1)], 1), join_case([(2, 3, 4), (2, 1, 4)], -2),
    join_case([(2, 3, 4, 5), (2, 1, 4, 5), (2, 2, 4, 5)], 1, image), join_case([(1, 2, 3, 4), (2, 2, 3, 4)], 0, image),
    join_case([(1, 2, 3, 4), (1, 2, 3, 7)], -1, image), join_case([(2, 257), (2, 31)], 1),
    join_case([(1, 33, 40, 41), (1, 17, 40, 41)], 1, image), join_case([(2, 2)] * 35, 0)],
   draw_concat)


def cut_case(x, axis, begin, length):
    return case([x], axis=axis, begin=begin, length=length)


def draw_narrow(rng):
    x = draw_any(rng)
    axis = rng.randrange(len(x["shape"]))
    begin = rng.randint(0, x["shape"][axis])
    return cut_case(x, axis, begin, rng.randint(0, x["shape"][axis] - begin))


op("narrow", lambda x, p: [x[0].narrow(p["axis"], p["begin"], p["length"])],
   [cut_case(tensor(5), 0, 1, 3), cut_case(tensor(1), 0, 0, 1), cut_case(tensor(4, 3), 1, 2, 0), cut_case(tensor(0, 3), -1, 1, 2),
    cut_case(image(2, 5, 3, 4), 1, 1, 3), cut_case(image(2, 5, 3, 4), -1, 1, 2), cut_case(tensor(2, 300), 1, 7, 257),
    cut_case(image(2, 20, 47, 43), 1, 3, 16), cut_case(tensor(2, 3, 4, 5), 0, 1, 1)], draw_narrow)

op("split", lambda x, p: list(x[0].split(p["lengths"], p["axis"])),
   [case([tensor(5)], axis=0, lengths=[2, 3]), case([tensor(1)], axis=0, lengths=[1]), case([tensor(4, 3)], axis=1, lengths=[1, 0, 2]),
    case([tensor(0, 3)], axis=1, lengths=[2, 1]), case([image(2, 5, 3, 4)], axis=1, lengths=[2, 2, 1]),
    case([image(2, 5, 3, 4)], axis=-2, lengths=[1, 2]), case([tensor(300, 3)], axis=0, lengths=[257, 43]),
    case([image(1, 48, 40, 41)], axis=1, lengths=[16, 32])],
   lambda rng: (lambda a, b, c: case([image(rng.randint(1, 3), a + b + c, 3, 2)], axis=1, lengths=[a, b, c]))(
       rng.randint(0, 4), rng.randint(1, 4), rng.randint(0, 4)))


def pad_run(x, p):
    flat = [side for pair in reversed(p["padding"]) for side in pair]
    return [F.pad(x[0], flat, value=p["value"])]


def draw_pad(rng):
    x = draw_any(rng, least=3)
    return case([x], padding=[[rng.randint(-1, 2), rng.randint(-1, 2)] if n > 2 else [rng.randint(0, 2), rng.randint(0, 2)]
                              for n in x["shape"]], value=rng.choice([0.0, -1.5]))


op("pad", pad_run,
   [case([tensor(3)], padding=[[1, 2]], value=0.5), case([tensor(0)], padding=[[2, 1]], value=-1.0), case([tensor()], padding=[], value=1.0),
    case([image(2, 3, 4, 5)], padding=[[0, 0], [0, 0], [1, 2], [3, 0]], value=0.0),
    case([image(2, 3, 4, 5)], padding=[[0, 0], [0, 0], [-1, -2], [0, -3]], value=0.0),
    case([image(1, 2, 3, 3)], padding=[[1, 0], [2, 1], [-1, 2], [1, -2]], value=2.0), case([tensor(2, 300)], padding=[[0, 1], [3, -260]], value=0.0),
    case([tensor(3, 2)], padding=[[0, 0], [-1, -1]], value=0.0), case([image(1, 8, 90, 91)], padding=[[0, 0], [0, 0], [1, 1], [1, 1]], value=0.0)],
   draw_pad)


def crop_case(x, *padding):
    return case([x], padding=list(padding))


op("pad_reflect", lambda x, p: [F.pad(x[0], [p["padding"][i] for i in (1, 3, 0, 2)], mode="reflect")],
   [crop_case(image(1, 1, 1, 1), 0, 0, 0, 0), crop_case(image(2, 3, 4, 5), 1, 2, 3, 1), crop_case(image(2, 3, 2, 3), 1, 2, 1, 2),
    crop_case(image(1, 2, 5, 5), 4, 4, 4, 4), crop_case(image(3, 1, 3, 7), 0, 3, 0, 0), crop_case(image(0, 2, 3, 3), 1, 1, 1, 1),
    crop_case(image(2, 17, 9, 8), 0, 0, 2, 5), crop_case(image(1, 6, 77, 79), 3, 3, 3, 3), crop_case(image(1, 8, 1, 24_000), 0, 5, 0, 7)],
   lambda rng: (lambda h, w: crop_case(image(rng.randint(1, 3), rng.randint(1, 5), h, w), rng.randint(0, h - 1), rng.randint(0, w - 1),
                                       rng.randint(0, h - 1), rng.randint(0, w - 1)))(rng.randint(1, 7), rng.randint(1, 7)),
   slack=2, because="gradients are sums of up to nine terms that cancel")


def draw_flip(rng):
    x = draw_any(rng)
    rank = len(x["shape"])
    return case([x], axes=rng.sample(range(rank), rng.randint(0, rank)))


op("flip", lambda x, p: [x[0].flip(p["axes"])],
   [case([tensor(5)], axes=[0]), case([tensor()], axes=[]), case([tensor(0, 2)], axes=[0, 1]), case([tensor(2, 3)], axes=[]),
    case([image(2, 3, 4, 5)], axes=[-1]), case([image(2, 3, 4, 5)], axes=[2, 3]), case([image(2, 3, 2, 2)], axes=[1, 0]),
    case([tensor(3, 257)], axes=[-1]), case([image(2, 8, 65, 67)], axes=[3])], draw_flip)


def draw_permute(rng):
    x = draw_any(rng)
    rank = len(x["shape"])
    return case([x], order=rng.sample(range(rank), rank))


op("permute", lambda x, p: [x[0].permute(p["order"])],
   [case([tensor(5)], order=[0]), case([tensor()], order=[]), case([tensor(0, 2)], order=[1, 0]), case([tensor(33, 65)], order=[1, 0]),
    case([tensor(2, 3, 4)], order=[-1, 0, 1]), case([image(2, 3, 4, 5)], order=[0, 2, 3, 1]), case([image(2, 3, 4, 5)], order=[3, 1, 0, 2]),
    case([tensor(2, 1, 3, 1, 2)], order=[4, 3, 2, 1, 0]), case([tensor(257, 263)], order=[1, 0]),
    case([tensor(3, 10, 5, 33)], order=[2, 0, 3, 1]), case([tensor(2, 35, 3, 5, 9)], order=[0, 4, 3, 2, 1]),
    case([tensor(9, 40, 3, 70)], order=[3, 2, 0, 1])], draw_permute)

op("transpose", lambda x, p: [x[0].transpose(-1, -2)],
   [case([x]) for x in [tensor(1, 1), tensor(3, 5), tensor(0, 3), tensor(2, 3, 4), tensor(2, 2, 3, 4), tensor(31, 33), tensor(1, 300), tensor(2, 190, 180)]],
   lambda rng: case([tensor(*(rng.randint(1, 20) for _ in range(rng.randint(2, 4))))]))


def blocks(x, r):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // r, r, w // r, r)


def space_to_depth(x, r):
    n, c, h, w = x.shape
    return blocks(x, r).permute(0, 3, 5, 1, 2, 4).reshape(n, c * r * r, h // r, w // r)


def depth_to_space(x, r):
    n, c, h, w = x.shape
    return x.reshape(n, r, r, c // r // r, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // r // r, h * r, w * r)


for name, run, down in (("pixel_shuffle", F.pixel_shuffle, False), ("pixel_unshuffle", F.pixel_unshuffle, True),
                        ("space_to_depth", space_to_depth, True), ("depth_to_space", depth_to_space, False)):
    def shuffle_case(n, c, h, w, r, down=down):
        return case([image(n, c, h * r, w * r) if down else image(n, c * r * r, h, w)], factor=r)

    # PyTorch's pixel shuffles cannot differentiate an empty batch; the others order what is not there as well.
    empty = {"pixel_shuffle": depth_to_space, "pixel_unshuffle": space_to_depth}.get(name, run)
    op(name, lambda x, p, run=run, empty=empty: [(run if x[0].numel() else empty)(x[0], p["factor"])],
       [shuffle_case(*s) for s in [(1, 1, 1, 1, 1), (2, 3, 2, 4, 2), (1, 1, 1, 1, 3), (0, 2, 2, 2, 2), (2, 1, 3, 1, 2), (1, 5, 3, 2, 3),
                                   (1, 0, 2, 2, 2), (3, 2, 4, 4, 1), (1, 16, 13, 13, 2), (1, 4, 65, 67, 2)]],
       lambda rng, make=shuffle_case: make(rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 4), rng.randint(1, 4), rng.randint(1, 3)))


def reorg(x, r):
    """Darknet's loops (reorg_cpu with forward = 0), one axis of places at a time."""
    n, c, h, w = x.shape
    b, k, j, i = (torch.arange(e).reshape([-1 if a == d else 1 for a in range(4)]) for d, e in enumerate((n, c, h, w)))
    few = max(c // (r * r), 1)
    offset = k // few
    taken = i * r + offset % r + w * r * (j * r + offset // r + h * r * (k % few + few * b))
    return x.reshape(-1)[taken].reshape(n, c * r * r, h // r, w // r)


op("reorg", lambda x, p: [reorg(x[0], p["factor"])],
   [case([image(n, c * r * r, h * r, w * r)], factor=r) for n, c, h, w, r in
    [(1, 1, 1, 1, 1), (1, 1, 1, 1, 2), (2, 3, 2, 4, 2), (0, 2, 2, 2, 2), (2, 1, 3, 1, 3), (3, 2, 4, 5, 1), (1, 0, 2, 2, 2), (1, 16, 13, 13, 2),
     (1, 5, 30, 31, 2)]],
   lambda rng: (lambda r: case([image(rng.randint(1, 3), rng.randint(1, 3) * r * r, rng.randint(1, 3) * r, rng.randint(1, 3) * r)], factor=r))(
       rng.randint(1, 3)))


def resize_run(x, p):
    if p["mode"] == "nearest":
        # PyTorch finds the nearest element in another precision for f64; ours is that of f32 always.
        return [F.interpolate(x[0].float(), p["size"], mode="nearest").double()]
    return [F.interpolate(x[0], p["size"], mode="bilinear", align_corners=p["mode"] == "corners")]


def resize_case(x, h, w, mode):
    return case([x], size=[h, w], mode=mode)


# (58, 100) and (2, 82): in / out has no exact f32, and the nearest element is another one than that of the fraction.
SIZES = [(image(1, 1, 1, 1), 1, 1), (image(2, 3, 4, 5), 8, 10), (image(2, 3, 4, 5), 4, 5), (image(1, 2, 6, 8), 3, 4), (image(2, 1, 1, 3), 4, 6),
         (image(1, 33, 2, 2), 4, 4), (image(0, 2, 3, 3), 6, 6), (image(1, 2, 7, 5), 1, 1), (image(1, 8, 30, 31), 60, 62),
         (image(2, 3, 5, 7), 8, 3), (image(1, 2, 3, 4), 7, 9), (image(1, 16, 9, 4), 5, 13), (image(1, 2, 1, 6), 5, 1), (image(1, 1, 58, 2), 100, 82),
         # Extents whose product leaves 31 bits.
         (image(1, 1, 1, 24_000), 1, 24_001), (image(1, 8, 1, 24_000), 1, 23_000)]

op("resize", resize_run,
   [resize_case(x, h, w, mode) for mode in ("nearest", "bilinear", "corners") for x, h, w in SIZES],
   lambda rng: resize_case(image(rng.randint(1, 3), rng.choice([1, 2, 3, 8]), rng.randint(1, 12), rng.randint(1, 12)), rng.randint(1, 16),
                           rng.randint(1, 16), rng.choice(["nearest", "bilinear", "corners"])),
   slack=8, because="gradients are sums of many weighted terms that cancel")


def gather_case(shape, axis, count, beside=None):
    """beside: extents of the index along the other axes, where they are not x's."""
    chosen = list(beside or shape)
    chosen[axis] = count
    return case([tensor(*shape), index(*chosen, high=max(shape[axis] - 1, 0))], axis=axis)


def draw_gather(rng):
    shape = [rng.randint(1, 7) for _ in range(rng.randint(1, 4))]
    axis = rng.randrange(-len(shape), len(shape))
    return gather_case(shape, axis, rng.randint(0, 9), [rng.randint(0, n) for n in shape] if rng.random() < 0.4 else None)


op("gather", lambda x, p: [torch.gather(x[0], p["axis"], x[1])],
   [gather_case((5,), 0, 3), gather_case((1,), 0, 1), gather_case((4, 3), 1, 0), gather_case((0, 3), 1, 2), gather_case((4, 7), 1, 1),
    gather_case((4, 7), 0, 9), gather_case((2, 3, 4), -2, 5), gather_case((2, 3, 4, 5), 1, 2), gather_case((300, 3), 0, 257), gather_case((3, 9000), 0, 4), gather_case((4, 7), 1, 3, (2, 0)),
    gather_case((3, 5, 4), 1, 6, (2, 0, 1)), gather_case((4, 3), 0, 2, (0, 0))],
   draw_gather, slack=4, because="gradients are sums of up to 257 terms that cancel")


def select_case(shape, axis, count, make=tensor):
    return case([make(*shape), index(count, high=shape[axis] - 1)], axis=axis)


op("index_select", lambda x, p: [x[0].index_select(p["axis"], x[1])],
   [select_case((5,), 0, 3), select_case((1,), 0, 1), select_case((4, 3), 1, 0), select_case((3, 1), 1, 5), select_case((4, 7), 0, 9),
    select_case((2, 3, 4), -2, 5), select_case((31, 33), 0, 300), select_case((3, 9000), 0, 4), select_case((2, 3, 4, 5), 1, 4, image),
    select_case((2, 3, 4, 5), 0, 3, image), select_case((2, 3, 4, 1), 2, 1, image), select_case((2, 3, 1, 1), -2, 4, image),
    select_case((3, 2, 5, 4), 3, 2, image)],
   lambda rng: (lambda s: select_case(s, rng.randrange(-len(s), len(s)), rng.randint(0, 9)))([rng.randint(1, 7) for _ in range(rng.randint(1, 4))]),
   slack=4, because="gradients are sums of up to 20 terms that cancel")


def embedding_case(v, d, *shape, padding=-1):
    return case([tensor(v, d), index(*shape, high=v - 1)], padding=padding)


op("embedding", lambda x, p: [F.embedding(x[1], x[0], padding_idx=p["padding"] if p["padding"] >= 0 else None)],
   [embedding_case(1, 1, 1), embedding_case(5, 3, 4), embedding_case(5, 3, 0), embedding_case(7, 4), embedding_case(7, 4, 2, 3, padding=2),
    embedding_case(3, 257, 9), embedding_case(300, 5, 40, 2), embedding_case(10, 64, 700), embedding_case(4, 3, 30, padding=0)],
   lambda rng: embedding_case(rng.randint(1, 20), rng.randint(1, 12), rng.randint(0, 9), rng.randint(1, 4), padding=rng.choice([-1, 0])),
   slack=4, because="gradients are sums of up to 100 terms that cancel",
   # Rows of padding take no gradient, though they have one; index_select has the same kernels.
   numeric=False)

op("one_hot", lambda x, p: [F.one_hot(x[0], p["classes"]).double()],
   [case([index(*s, high=c - 1)], classes=c) for s, c in [((), 3), ((1,), 1), ((0,), 4), ((5,), 7), ((2, 3), 5), ((300,), 3), ((2, 2, 2), 33), ((9000,), 10)]],
   lambda rng: (lambda c: case([index(rng.randint(0, 9), rng.randint(1, 5), high=c - 1)], classes=c))(rng.randint(1, 20)),
   dtypes=("f32",))


def cast_case(x, to):
    return case([x], to=to)


op("cast", lambda x, p: [x[0].trunc().long() if p["to"] == "i32" else x[0] * 1],
   [cast_case(x, to) for x, to in [(tensor(), "f32"), (tensor(0), "f32"), (tensor(1), "bf16"), (tensor(31), "f16"), (tensor(3, 5), "i32"),
                                   (image(2, 3, 4, 5), "bf16"), (image(2, 3, 4, 5), "f32"), (tensor(257), "f16"), (tensor(70_001), "bf16")]],
   # Multiples of 1/8 stay what they are in every dtype; fractions of them do not.
   lambda rng: cast_case({**draw_any(rng), "exact": True}, rng.choice(["f32", "bf16", "f16", "i32"])), numeric=False)

op("to_format", lambda x, p: [x[0] * 1],
   [case([image(*s)], to=to) for s in [(1, 1, 1, 1), (2, 3, 4, 5), (0, 2, 2, 2), (2, 1, 5, 5), (3, 33, 1, 1), (1, 65, 9, 7), (2, 8, 65, 67)]
    for to in ("contiguous", "channels_last")],
   lambda rng: case([image(*(rng.randint(1, 9) for _ in range(4)))], to=rng.choice(["contiguous", "channels_last"])))

op("flatten", lambda x, p: [x[0].reshape(x[0].shape[0], -1) if x[0].numel() else x[0].reshape(x[0].shape[0], x[0][0:1].numel())],
   [case([x]) for x in [tensor(3), tensor(1, 1), tensor(2, 3), tensor(2, 3, 4), image(2, 3, 4, 5), image(1, 1, 1, 1), image(3, 33, 1, 3), image(2, 8, 65, 67)]],
   lambda rng: case([draw_any(rng)]))
