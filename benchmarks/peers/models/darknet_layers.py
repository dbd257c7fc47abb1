"""Darknet's networks as lists of layers, written from Darknet's own descriptions (cfg/*.cfg)."""


def conv(filters, size, norm=True):
    return {"type": "conv", "filters": filters, "size": size, "norm": norm}


def maxpool(stride=2):
    return {"type": "maxpool", "size": 2, "stride": stride}


def route(*layers):
    return {"type": "route", "layers": layers}


def tiny(width, predictions, last=64):
    """As cfg/yolov2-tiny-voc.cfg; with last=32 as cfg/yolov2-tiny.cfg, which is COCO's."""
    layers = []
    for stage in range(5):
        layers += [conv(width << stage, 3), maxpool()]
    return layers + [conv(width * 32, 3), maxpool(1), conv(width * 64, 3), conv(width * last, 3), conv(predictions, 1, norm=False)]


def darknet19_trunk(width):
    """As cfg/darknet19.cfg, up to its 18th convolution."""
    layers = [conv(width, 3), maxpool(), conv(width * 2, 3), maxpool()]
    for wide, repeats in ((4, 1), (8, 1), (16, 2), (32, 2)):
        layers.append(conv(width * wide, 3))
        layers += [conv(width * wide // 2, 1), conv(width * wide, 3)] * repeats
        layers.append(maxpool())
    return layers[:-1]


def yolov2(width, predictions):
    """As cfg/yolov2.cfg."""
    return darknet19_trunk(width) + [
        conv(width * 32, 3), conv(width * 32, 3), route(-9), conv(width * 2, 1), {"type": "reorg", "stride": 2}, route(-1, -4),
        conv(width * 32, 3), conv(predictions, 1, norm=False)]
