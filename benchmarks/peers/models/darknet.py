"""Redmon, Farhadi: "YOLO9000: Better, Faster, Stronger", 2017. Darknet-19, YOLOv2, tiny YOLOv2, and their loss."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from .darknet_layers import conv, darknet19_trunk, tiny, yolov2

COCO_ANCHORS = [(0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778), (9.77052, 9.16828)]
VOC_ANCHORS = [(1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071)]
TINY_VOC_ANCHORS = [(1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52)]


class Reorg(nn.Module):
    """Darknet's own order: as if the memory of (C, H, W) were that of (C / s^2, H s, W s)."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        n, c, h, w = x.shape
        s = self.stride
        return (x.reshape(n, c // s ** 2, h, s, w, s).permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s))


class NeighborMaxPool(nn.Module):
    """Of each pixel and those to its right and below."""

    def forward(self, x):
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 2, 1)


class Network(nn.Module):
    def __init__(self, layers, channels=3):
        super().__init__()
        self.steps, self.routes, outputs = nn.ModuleList(), [], []
        for layer in layers:
            step, route = nn.Identity(), None
            if layer["type"] == "conv":
                out, size = layer["filters"], layer["size"]
                step = nn.Conv2d(channels, out, size, padding=size // 2, bias=not layer["norm"])
                if layer["norm"]:
                    step = nn.Sequential(step, nn.BatchNorm2d(out, momentum=0.01), nn.LeakyReLU(0.1, inplace=True))
                channels = out
            elif layer["type"] == "maxpool":
                step = nn.MaxPool2d(2, 2) if layer["stride"] == 2 else NeighborMaxPool()
            elif layer["type"] == "reorg":
                step, channels = Reorg(layer["stride"]), channels * layer["stride"] ** 2
            else:
                route = [len(outputs) + i for i in layer["layers"]]
                channels = sum(outputs[i] for i in route)
            self.steps.append(step)
            self.routes.append(route)
            outputs.append(channels)
        self.kept = {i for route in self.routes if route for i in route}

    def forward(self, x):
        kept = {}
        for i, (step, route) in enumerate(zip(self.steps, self.routes)):
            x = step(x) if route is None else torch.cat([kept[j] for j in route], 1) if len(route) > 1 else kept[route[0]]
            if i in self.kept:
                kept[i] = x
        return x


class Detector(Network):
    def __init__(self, layers, channels, anchors):
        super().__init__(layers, channels)
        self.register_buffer("anchors", torch.tensor(anchors))


class Darknet19(nn.Module):
    def __init__(self, classes=1000, channels=3):
        super().__init__()
        self.features = Network(darknet19_trunk(32) + [conv(classes, 1, norm=False)], channels)

    def forward(self, x):
        return self.features(x).mean((2, 3))


def yolov2_coco(classes=80, channels=3):
    return Detector(yolov2(32, 5 * (5 + classes)), channels, COCO_ANCHORS)


def yolov2_voc(classes=20, channels=3):
    return Detector(yolov2(32, 5 * (5 + classes)), channels, VOC_ANCHORS)


def tiny_coco(classes=80, channels=3):
    return Detector(tiny(16, 5 * (5 + classes), last=32), channels, COCO_ANCHORS)


def tiny_voc(classes=20, channels=3):
    return Detector(tiny(16, 5 * (5 + classes)), channels, TINY_VOC_ANCHORS)


def yolo_loss(raw, anchors, labels, boxes):
    """raw (N, A (5 + C), H, W), labels (N, M), -1 where there is no box, boxes (N, M, 4): corners in parts of the picture. Darknet's
    weights of the terms, IoU as the target of objectness, and the prior of a young network. No shape depends on the data."""
    n, _, h, w = raw.shape
    a, m = anchors.shape[0], labels.shape[1]
    t = raw.float().reshape(n, a, -1, h, w).permute(0, 1, 3, 4, 2)  # (N, A, H, W, 5 + C)
    centre, size, objectness, logits = t[..., :2].sigmoid(), t[..., 2:4], t[..., 4].sigmoid(), t[..., 5:]
    extent = torch.tensor([w, h], dtype=t.dtype, device=raw.device)
    cell = torch.stack(torch.meshgrid(torch.arange(w, device=raw.device), torch.arange(h, device=raw.device), indexing="xy"), -1)

    real = (labels >= 0)[:, None]  # (N, 1, M)
    low, high = boxes[..., :2], boxes[..., 2:]
    middle, sides = (low + high) / 2, high - low  # (N, M, 2)
    with torch.no_grad():
        predicted, half = (centre + cell) / extent, anchors[:, None, None] * size.exp() / extent / 2
        first, last = (predicted - half).reshape(n, -1, 1, 2), (predicted + half).reshape(n, -1, 1, 2)
        both = (torch.minimum(last, high[:, None]) - torch.maximum(first, low[:, None])).clamp(min=0).prod(-1)
        overlap = both / ((last - first).prod(-1) + sides.prod(-1)[:, None] - both)  # (N, A H W, M)
        overlap = torch.where(real, overlap, 0)

        # The cell and the anchor that each box belongs to, and then the box of each prediction: the last one of several.
        at = torch.minimum((middle * extent).long(), extent.long() - 1)
        shared = torch.minimum(sides[:, :, None] * extent, anchors).prod(-1)
        best = (shared / (anchors.prod(-1) + (sides * extent).prod(-1)[..., None] - shared)).argmax(-1)
        home = (best * h + at[..., 1]) * w + at[..., 0]  # (N, M)
        index = torch.where(real[:, 0], torch.arange(m, device=raw.device).expand(n, m), -1)
        owner = torch.full((n, a * h * w), -1, device=raw.device).scatter_reduce(1, home, index, "amax")
        mine, box = owner >= 0, owner.clamp(min=0)

        def of_owner(x):
            return x.gather(1, box[..., None].expand(-1, -1, x.shape[-1]))

        anchor = torch.arange(a, device=raw.device).repeat_interleave(h * w)
        wanted_centre = of_owner(middle * extent) - cell.reshape(-1, 2).repeat(a, 1)
        wanted_size = (of_owner(sides * extent) / anchors[anchor]).clamp(min=1e-9).log()
        wanted_overlap = overlap.gather(2, box[..., None])[..., 0]
        part = 2 - of_owner(sides).prod(-1)
        label = labels.clamp(min=0).gather(1, box)
        ignored = ~mine & (overlap.amax(2) > 0.6)

    centre, size = centre.reshape(n, -1, 2), size.reshape(n, -1, 2)
    objectness, logits = objectness.reshape(n, -1), logits.reshape(n, a * h * w, -1)
    squares = lambda x, y: (x - y).square().sum(-1)
    surprise = F.cross_entropy(logits.transpose(1, 2), label, reduction="none")
    object_terms = (part / 2 * (squares(wanted_centre, centre) + squares(wanted_size, size))
                    + 5 / 2 * (wanted_overlap - objectness).square() + surprise)
    other_terms = 0.01 / 2 * (squares(0.5, centre) + squares(0, size)) + torch.where(ignored, 0, objectness.square() / 2)
    return torch.where(mine, object_terms, other_terms).sum() / n
