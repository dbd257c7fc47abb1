"""Boxes, YOLOv2's prediction layer, non-maximum suppression."""
import torch
import torchvision

from table import NONE, case, image, index, op, tensor, values

ROWS = (0, 1, 7, 33, 257, 300, 1000, 9000)


def centers(*shape, **options):
    """Boxes as centres, with sizes; their corners are exact in every dtype."""
    return tensor(*shape, low=1, high=32, **options)


def boxes(x):
    """(..., 4) centres -> corners. The operations are given corners; the gradient passes on to the centres."""
    return torchvision.ops.box_convert(x, "cxcywh", "xyxy")


def overlap(a, b, giou):
    inter = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inter
    return inter / union - ((hull - union) / hull if giou else 0)


# Corners are multiples of 1/16, so that many coincide and share their gradient.
op("box_overlap", lambda x, p: [overlap(boxes(x[0]), boxes(x[1]), p["giou"])],
   [case([centers(n, 4), centers(n, 4)], giou=g) for n in ROWS for g in (False, True)],
   lambda rng: case([centers(n := rng.randint(1, 50), 4), centers(n, 4)], giou=rng.random() < 0.5),
   slack=2, because="16-bit gradients of corners are rounded before they add up to those of centres")

op("box_overlap_matrix",
   lambda x, p: [(torchvision.ops.generalized_box_iou if p["giou"] else torchvision.ops.box_iou)(boxes(x[0]), boxes(x[1]))],
   [case([centers(n, 4, grad=False), centers(m, 4, grad=False)], giou=g) for n, m, g in
    [(0, 3, False), (3, 0, True), (1, 1, True), (5, 7, False), (5, 7, True), (33, 65, True), (1, 300, False), (120, 80, True)]],
   lambda rng: case([centers(rng.randint(1, 30), 4, grad=False), centers(rng.randint(1, 30), 4, grad=False)],
                    giou=rng.random() < 0.5))

for name, source, target in (("boxes_to_corners", "cxcywh", "xyxy"), ("boxes_to_centers", "xyxy", "cxcywh")):
    op(name, lambda x, p, s=source, t=target: [torchvision.ops.box_convert(x[0], s, t)],
       [case([tensor(*s)]) for s in [(4,), (0, 4), (1, 4), (7, 4), (2, 3, 4), (257, 4), (2, 0, 4), (9000, 4)]],
       lambda rng: case([tensor(rng.randint(1, 60), 4)]))


def encode(b, a, w):
    b, a = (torchvision.ops.box_convert(x, "xyxy", "cxcywh") for x in (b, a))
    return torch.cat([(b[:, :2] - a[:, :2]) / a[:, 2:], torch.log(b[:, 2:] / a[:, 2:])], 1) * torch.tensor(w)


def decode(d, a, w, largest):
    a, d = torchvision.ops.box_convert(a, "xyxy", "cxcywh"), d / torch.tensor(w)
    return torchvision.ops.box_convert(
        torch.cat([d[:, :2] * a[:, 2:] + a[:, :2], d[:, 2:].clamp(max=largest).exp() * a[:, 2:]], 1), "cxcywh", "xyxy")


WEIGHTS = ([1.0, 1.0, 1.0, 1.0], [10.0, 10.0, 5.0, 5.0], [0.5, 2.0, 1.0, 4.0])

op("box_encode", lambda x, p: [encode(boxes(x[0]), boxes(x[1]), p["weights"])],
   [case([centers(n, 4, grad=False), centers(n, 4, grad=False)], weights=WEIGHTS[i % 3]) for i, n in enumerate(ROWS)],
   lambda rng: case([centers(n := rng.randint(1, 60), 4, grad=False), centers(n, 4, grad=False)], weights=rng.choice(WEIGHTS)),
   slack=4, because="offsets are differences of corners, divided by small sizes")


op("box_decode", lambda x, p: [decode(x[0], boxes(x[1]), p["weights"], p["largest"])],
   [case([tensor(n, 4), centers(n, 4, grad=False)], weights=WEIGHTS[i % 3], largest=(1.0625, 4.1, 0.40625)[i % 3])
    for i, n in enumerate(ROWS)],
   lambda rng: case([tensor(n := rng.randint(1, 60), 4), centers(n, 4, grad=False)], weights=rng.choice(WEIGHTS),
                    largest=rng.choice([1.0625, 4.1])))


def yolo(x, p):
    raw, anchors = x
    n, _, h, w = raw.shape
    a, c = anchors.shape[0], p["classes"]
    t = raw.reshape(n, a, 5 + c, h, w).permute(0, 3, 4, 1, 2)  # (N, H, W, A, 5 + C)
    cx = (t[..., 0].sigmoid() + torch.arange(w).reshape(1, 1, w, 1)) / w
    cy = (t[..., 1].sigmoid() + torch.arange(h).reshape(1, h, 1, 1)) / h
    bw, bh = anchors[:, 0] * t[..., 2].exp() / w, anchors[:, 1] * t[..., 3].exp() / h
    b = torchvision.ops.box_convert(torch.stack([cx, cy, bw, bh], -1), "cxcywh", "xyxy")
    k = h * w * a
    return [b.reshape(n, k, 4), t[..., 4].sigmoid().reshape(n, k), t[..., 5:].softmax(-1).reshape(n, k, c)]


def yolo_case(n, a, c, h, w):
    return case([image(n, a * (5 + c), h, w, grad=False), tensor(a, 2, low=1, high=64, dtype="stat", grad=False)], classes=c)


op("yolo_decode", yolo,
   [yolo_case(*s) for s in [(0, 1, 1, 2, 2), (1, 1, 1, 1, 1), (2, 3, 1, 5, 4), (1, 5, 20, 3, 3), (1, 2, 33, 1, 7),
                            (3, 5, 4, 6, 5), (1, 5, 80, 13, 13), (2, 3, 2, 40, 41)]],
   lambda rng: yolo_case(rng.randint(1, 3), rng.randint(1, 5), rng.randint(1, 12), rng.randint(1, 7), rng.randint(1, 7)))


def yolo_loss(x, p):
    raw, anchors, labels, truths, seen = x
    truths = boxes(truths)
    n, _, h, w = raw.shape
    a, m = anchors.shape[0], labels.shape[1]
    t = raw.reshape(n, a, -1, h, w).permute(0, 3, 4, 1, 2)  # (N, H, W, A, 5 + C)
    predicted = yolo([raw.detach(), anchors], {"classes": t.shape[-1] - 5})[0].reshape(n, h, w, a, 4)
    scale = lambda name: p.get(name, {"object": 5.0}.get(name, 1.0))
    loss = raw.sum() * 0
    for i in range(n):
        objects, overlaps = {}, torch.zeros(h, w, a, dtype=raw.dtype)
        for j in range(m):
            x1, y1, x2, y2 = truths[i, j].tolist()
            cx, cy, bw, bh = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            if labels[i, j] < 0 or bw <= 0 or bh <= 0 or not (0 <= cx <= 1 and 0 <= cy <= 1):
                continue
            sizes = torch.tensor([bw * w, bh * h], dtype=raw.dtype)
            both = torch.minimum(anchors, sizes).prod(1)
            best = (both / (anchors.prod(1) + sizes.prod() - both)).argmax().item()
            iou = torchvision.ops.box_iou(predicted[i].reshape(-1, 4), truths[i, j:j + 1]).reshape(h, w, a)
            overlaps = torch.maximum(overlaps, iou)
            cell = (min(int(cy * h), h - 1), min(int(cx * w), w - 1), best)
            target = torch.tensor([cx * w - cell[1], cy * h - cell[0], bw * w / anchors[best, 0], bh * h / anchors[best, 1]])
            objects[cell] = (target, max(2 - bw * bh, 0), iou[cell] if p["overlap_target"] else 1.0, labels[i, j])
        for cell in [(y, x, k) for y in range(h) for x in range(w) for k in range(a)]:
            z = t[(i, *cell)]
            centre, size, so = z[:2].sigmoid(), z[2:4], z[4].sigmoid()
            if cell in objects:
                target, part, wanted, label = objects[cell]
                loss = loss + scale("coordinate") * part / 2 * ((target[:2] - centre).square().sum()
                                                                + (target[2:].log() - size).square().sum())
                loss = loss + scale("object") / 2 * (wanted - so) ** 2
                loss = loss + scale("classification") * torch.nn.functional.cross_entropy(z[5:], label)
                continue
            if seen is not None and seen.item() < p["prior_pictures"]:
                loss = loss + p["prior"] / 2 * ((0.5 - centre).square().sum() + size.square().sum())
            if overlaps[cell] <= p["threshold"]:
                loss = loss + scale("no_object") / 2 * so ** 2
    return [loss / n]


def yolo_loss_case(n, a, c, h, w, m, overlap_target=False, seen=NONE, low=-1, threshold=0.6, **params):
    return case([image(n, a * (5 + c), h, w), tensor(a, 2, low=16, high=200, step=1 / 64, dtype="stat", grad=False),
                 index(n, m, low=low, high=c - 1),
                 tensor(n, m, 4, low=1, high=63, step=1 / 64, dtype="stat", grad=False, exact=True), seen],
                overlap_target=overlap_target, threshold=threshold, prior=0.0625, prior_pictures=100, **params) | {
                    "numeric": not overlap_target}  # the IoU is a constant of the loss, not for a difference


YOUNG, OLD = values([99], dtype="i64", exact=True), values([100], dtype="i64", exact=True)
op("yolo_loss", yolo_loss,
   [yolo_loss_case(1, 1, 1, 1, 1, 0), yolo_loss_case(1, 1, 1, 1, 1, 1, low=0), yolo_loss_case(2, 3, 4, 3, 5, 4),
    yolo_loss_case(2, 3, 4, 3, 5, 4, overlap_target=True), yolo_loss_case(1, 5, 20, 4, 4, 7, seen=YOUNG),
    yolo_loss_case(1, 5, 20, 4, 4, 7, overlap_target=True, seen=OLD), yolo_loss_case(1, 2, 3, 2, 2, 40, threshold=0.25),
    yolo_loss_case(3, 2, 3, 5, 3, 6, overlap_target=True, threshold=0.125, object=0.5, no_object=2.0, coordinate=3.0,
                   classification=0.25, seen=YOUNG),
    yolo_loss_case(1, 5, 1, 13, 13, 10, overlap_target=True), yolo_loss_case(1, 5, 2, 41, 40, 3, overlap_target=True)],
   lambda rng: yolo_loss_case(rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 4),
                              rng.randint(0, 6), overlap_target=True, seen=rng.choice([NONE, YOUNG, OLD])),
   slack=1, because="a gradient through a sigmoid cancels where the prediction is right")


def nms(x, p):
    raw, scores, classes = x
    n, most = raw.shape[0], p["most"]
    indices, count = torch.full((n, most), -1, dtype=torch.int64), torch.zeros(n, dtype=torch.int32)
    for i in range(n):
        passing = (scores[i] >= p["score"]).nonzero().reshape(-1)
        passing = passing[torch.sort(scores[i][passing], descending=True, stable=True)[1]]
        b = boxes(raw[i])[passing]
        ranks = torch.arange(len(passing), 0, -1, dtype=torch.float64)  # scores without equals, in the same order
        if classes is None:
            kept = torchvision.ops.nms(b, ranks, p["overlap"])
        else:
            kept = torchvision.ops.boxes._batched_nms_vanilla(b, ranks, classes[i][passing], p["overlap"])
        kept = passing[kept][:most]
        indices[i, :len(kept)], count[i] = kept, len(kept)
    return [indices, count]


def nms_case(n, k, classes, overlap=0.5, score=0.25, most=20):
    # Sizes and places on a coarse grid: many overlaps, many equal scores; 0.5 and 0.25 are met exactly.
    return case([tensor(n, k, 4, low=2, high=16, step=1 / 2, grad=False, exact=True),
                 tensor(n, k, low=0, high=64, step=1 / 64, grad=False, exact=True),
                 index(n, k, high=classes - 1) if classes else NONE], overlap=overlap, score=score, most=most)


op("nms", nms,
   [nms_case(0, 3, 2), nms_case(2, 0, 2), nms_case(1, 1, 0), nms_case(2, 31, 0), nms_case(3, 65, 3),
    nms_case(2, 129, 1, overlap=0.3, most=3), nms_case(1, 300, 0, overlap=0.7, score=0.0, most=300),
    nms_case(1, 700, 5, overlap=0.45, score=0.5, most=100), nms_case(2, 40, 2, score=2.0)],
   lambda rng: nms_case(rng.randint(1, 3), rng.randint(1, 150), rng.choice([0, 1, 4]), overlap=rng.choice([0.3, 0.45, 0.6]),
                        score=rng.choice([0.0, 0.3]), most=rng.choice([5, 300])))
