"""Losses."""
import torch
import torch.nn.functional as F
import torchvision

from table import NONE, case, image, index, op, tensor, values

SHAPES = [tensor(), tensor(1), tensor(31), tensor(257), tensor(3, 5), tensor(2, 3, 4), image(2, 3, 5, 7), tensor(70_001), tensor(4200)]
REDUCTIONS = ("mean", "sum", "none")
# Logits as they come from a net that is sure; targets 0, 1 and in between.
# 2^14 is held by every dtype.
EXTREME = values([-16384, -16384, 16384, 16384, -60.0, 60.0, 0.0, 100.0], 8, exact=True)
SURE = values([0, 1, 0, 1, 1, 0, 0.5, 0.5], 8, exact=True, grad=False)


def fraction(spec):
    """Targets from 0 to 1."""
    return {**spec, "low": 0, "high": 8, "grad": False}


def draw_shape(rng):
    if rng.random() < 0.5:
        return image(*(rng.randint(1, 6) for _ in range(4)))
    return tensor(*(rng.randint(1, 12) for _ in range(rng.randint(0, 3))))


def element(name, function, target=lambda x: {**x, "grad": False}, params=({},), sure=False, slack=4):
    cases = [case([x, target(x)], reduction=REDUCTIONS[i % 3], **params[i % len(params)]) for i, x in enumerate(SHAPES)]
    if sure:
        cases += [case([EXTREME, SURE], reduction=r, **params[0]) for r in ("none", "mean")]

    def draw(rng):
        x = draw_shape(rng)
        return case([x, target(x)], reduction=rng.choice(REDUCTIONS), **rng.choice(params))

    op(name, lambda x, p: [function(x[0], x[1], **p)], cases, draw, slack=slack, because="sums of up to 70,001 terms in another order")


element("squared_loss", F.mse_loss)
element("absolute_loss", F.l1_loss)
element("smooth_l1_loss", F.smooth_l1_loss, params=({"beta": 1.0}, {"beta": 0.25}))
element("focal_loss", lambda x, t, alpha, gamma, reduction: torchvision.ops.sigmoid_focal_loss(x, t, alpha, gamma, reduction), fraction,
        ({"alpha": 0.25, "gamma": 2.0}, {"alpha": -1.0, "gamma": 1.0}, {"alpha": 0.5, "gamma": 3.0}), sure=True)


def bce_case(x, weighted, reduction):
    return case([x, fraction(x), tensor(x["shape"][-1], low=1, high=32, grad=False) if weighted else NONE], reduction=reduction)


op("binary_cross_entropy", lambda x, p: [F.binary_cross_entropy_with_logits(x[0], x[1], pos_weight=x[2], reduction=p["reduction"])],
   [bce_case(x if "image" not in x else {**x, "image": False}, i % 2 == 1 and len(x["shape"]) > 0, REDUCTIONS[i % 3]) for i, x in enumerate(SHAPES)] +
   [bce_case(image(2, 3, 4, 5), False, "mean")] + [case([EXTREME, SURE, NONE], reduction=r) for r in ("none", "mean")],
   lambda rng: bce_case(tensor(rng.randint(1, 20), rng.randint(1, 9)), rng.random() < 0.5, rng.choice(REDUCTIONS)),
   slack=4, because="sums of up to 70,001 terms in another order")

def cross_entropy(x, p):
    ignored = -100 if p["ignored"] is None else p["ignored"]
    return [F.cross_entropy(x[0], x[1], x[2], ignore_index=ignored, reduction=p["reduction"], label_smoothing=p["smoothing"])]


def ce_case(logits, low=0, weighted=False, reduction="mean", smoothing=0.0, ignored=None):
    """logits (N, C, ...); labels from `low` on, which may be the ignored one."""
    n, c, *rest = logits["shape"]
    weight = tensor(c, low=1, high=32, grad=False, dtype="stat") if weighted else NONE
    return case([logits, index(n, *rest, low=low, high=c - 1), weight], reduction=reduction, smoothing=smoothing, ignored=ignored)


def wide(*shape):
    return tensor(*shape, low=-32, high=32)


op("cross_entropy", cross_entropy,
   [ce_case(wide(n, c)) for n, c in [(1, 1), (1, 10), (31, 3), (4, 33), (257, 5), (3, 1025), (64, 10), (9000, 4)]] +
   [case([values([16384, -16384, 0, -16384, -16384, -16384], 2, 3, exact=True), values([1, 2], 2, dtype="i64"), NONE],
         reduction="mean", smoothing=s, ignored=None) | {"numeric": s == 0} for s in (0.0, 0.1)] +
   [ce_case(wide(33, 7), weighted=True), ce_case(wide(33, 7), smoothing=0.1), ce_case(wide(33, 7), weighted=True, smoothing=0.25),
    ce_case(wide(40, 5), low=-1, ignored=-1), ce_case(wide(40, 5), low=-1, ignored=-1, weighted=True, smoothing=0.1),
    ce_case(wide(40, 5), ignored=3, weighted=True), ce_case(wide(33, 7), reduction="sum", weighted=True), ce_case(wide(33, 7), reduction="none"),
    ce_case(wide(300, 1200), reduction="none", weighted=True, smoothing=0.1, ignored=7), ce_case(tensor(5, 3, 7), smoothing=0.1),
    ce_case(image(2, 3, 5, 7)), ce_case(image(2, 4, 17, 33), weighted=True, smoothing=0.1, low=-1, ignored=-1),
    ce_case(image(2, 21, 4, 4), reduction="none", weighted=True), ce_case(image(3, 2, 60, 60), reduction="sum"), ce_case(image(1, 1, 1, 1)),
    ce_case(tensor(2, 3, 2, 3, 2), weighted=True, smoothing=1.0)],
   lambda rng: ce_case(rng.choice([wide(rng.randint(1, 40), rng.randint(1, 40)), image(rng.randint(1, 3), rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9))]),
                       weighted=rng.random() < 0.5, reduction=rng.choice(REDUCTIONS), smoothing=rng.choice([0.0, 0.1, 0.5]), ignored=rng.choice([None, 0])),
   slack=1, because="sums of up to 9,000 terms in another order")

op("soft_cross_entropy", lambda x, p: [F.cross_entropy(x[0], x[1])],
   [case([tensor(n, c), {**fraction(tensor(n, c)), "grad": True}]) for n, c in [(1, 1), (1, 10), (31, 3), (4, 33), (257, 5), (3, 1025), (64, 10), (900, 40)]],
   lambda rng: (lambda n, c: case([tensor(n, c), {**fraction(tensor(n, c)), "grad": True}]))(rng.randint(1, 20), rng.randint(1, 20)),
   slack=16, because="made of plain parts: 16-bit parts are rounded in between, and their sums cancel")

PLAIN = dict(slack=16, because="made of plain parts: 16-bit parts are rounded in between, and their sums cancel")


def dice(x, p):
    inside = tuple(range(1, x[0].dim()))
    return [(1 - (2 * (x[0] * x[1]).sum(inside) + p["smooth"]) / (x[0].sum(inside) + x[1].sum(inside) + p["smooth"])).mean()]


def unit(spec):
    return {**spec, "low": 0, "high": 8}


op("dice_loss", dice,
   [case([unit(x), unit(x)], smooth=s) for x, s in [(tensor(1, 1), 1.0), (tensor(3, 7), 1.0), (tensor(2, 257), 0.5), (image(2, 1, 5, 7), 1.0), (image(2, 3, 4, 4), 1.0),
                                                     (tensor(31, 3), 2.0), (image(1, 2, 33, 31), 1.0), (image(3, 2, 61, 67), 1.0)]],
   lambda rng: (lambda x: case([unit(x), unit(x)], smooth=1.0))(image(*(rng.randint(1, 6) for _ in range(4)))), **PLAIN)

ROWS = [(1, 1), (1, 7), (3, 5), (31, 33), (257, 3), (5, 300), (64, 128), (4, 9000)]


def rows(n, d, count):
    return [tensor(n, d) for _ in range(count)]


def draw_rows(count, flags=False, **params):
    def draw(rng):
        n, d = rng.randint(1, 12), rng.randint(2, 20)
        return case(rows(n, d, count) + ([index_flags(n)] if flags else []), **{k: rng.choice(v) for k, v in params.items()})
    return draw


def index_flags(n):
    """1 or 0, in the dtype of the rows."""
    return tensor(n, low=0, high=1, step=1, grad=False, exact=True)


op("cosine_similarity", lambda x, p: [F.cosine_similarity(x[0], x[1])], [case(rows(n, d, 2)) for n, d in ROWS] +
   [case([values([0, 0, 1, 2], 2, 2, grad=False), values([1, 2, 0, 0], 2, 2, grad=False)])], draw_rows(2), **PLAIN)
op("squared_distance", lambda x, p: [((x[0] - x[1]) ** 2).sum(1)], [case(rows(n, d, 2)) for n, d in ROWS], draw_rows(2), **PLAIN)


def triplet(x, p):
    a, pos, neg = x
    if p["squared"]:
        return [F.relu(((a - pos) ** 2).sum(1) - ((a - neg) ** 2).sum(1) + p["margin"]).mean()]
    return [F.triplet_margin_loss(a, pos, neg, p["margin"])]


# Margins that no difference of 16-bit distances meets: at the hinge a rounding error would switch a row on or off.
op("triplet_loss", triplet, [case(rows(n, d, 3), margin=200.0 if s else 30.0, squared=s) for n, d in ROWS[:6] for s in (False, True)],
   draw_rows(3, margin=[300.0], squared=[True, False]), **PLAIN)


def contrastive(x, p):
    d = torch.linalg.vector_norm(x[0] - x[1], dim=1)
    return [(x[2] * d**2 + (1 - x[2]) * F.relu(p["margin"] - d) ** 2).mean()]


op("contrastive_loss", contrastive, [case(rows(n, d, 2) + [index_flags(n)], margin=40.0) for n, d in ROWS[1:7]] +
   [case(rows(3, 4, 2) + [index_flags(3)], margin=0.0), case(rows(9, 6, 2) + [index_flags(9)], margin=20.0)],
   draw_rows(2, True, margin=[50.0]), **PLAIN)
op("cosine_loss", lambda x, p: [F.cosine_embedding_loss(x[0], x[1], 2 * x[2] - 1, p["margin"])],
   [case(rows(n, d, 2) + [index_flags(n)], margin=-1.5) for n, d in ROWS[1:]] + [case(rows(4, 6, 2) + [index_flags(4)], margin=-1.25)],
   draw_rows(2, True, margin=[-1.5]), **PLAIN)
