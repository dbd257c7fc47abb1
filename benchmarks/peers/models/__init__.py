"""The zoo's models in PyTorch, by the same names: torchvision's where it has them, plain modules of this folder elsewhere."""
from dataclasses import dataclass
from typing import Callable

from . import darknet, lenet5, mobilenet_v1, more, resnet_cifar, unet

TORCHVISION = (["alexnet", "googlenet", "mobilenet_v2"] + [f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")]
               + [f"resnet{n}" for n in (18, 34, 50, 101, 152)] + [f"efficientnet_b{n}" for n in range(8)])


@dataclass(frozen=True)
class Model:
    make: Callable  # (classes, channels) -> torch.nn.Module
    input: tuple = (3, 224, 224)
    classes: int = 1000
    targets: str = "classes"  # or "boxes", "pixels"


def from_torchvision(name):
    import torchvision

    def make(classes, channels):
        if channels != 3:
            raise ValueError(f"torchvision's {name} takes pictures of 3 channels, not {channels}")
        more = {"init_weights": True, "aux_logits": False} if name == "googlenet" else {}
        return torchvision.models.get_model(name, weights=None, num_classes=classes, **more)

    return make


MODELS = {
    "lenet5": Model(lenet5.LeNet5, (1, 32, 32), 10),
    "alexnet_lrn": Model(more.alexnet_lrn),
    "resnet50_course": Model(more.resnet50_course, (3, 64, 64), 6),
    "vgg16_small": Model(more.vgg16_small, (3, 32, 32), 8),
    "resnet18_small": Model(more.resnet18_small, (3, 32, 32), 8),
    "mobilenet_v2_small": Model(more.mobilenet_v2_small, (3, 32, 32), 8),
    "mobilenet_v1": Model(mobilenet_v1.MobileNetV1),
    "resnet20": Model(lambda classes, channels: resnet_cifar.CifarResNet(3, classes, channels), (3, 32, 32), 10),
    "resnet56": Model(lambda classes, channels: resnet_cifar.CifarResNet(9, classes, channels), (3, 32, 32), 10),
    "darknet19": Model(darknet.Darknet19),
    "yolov2": Model(darknet.yolov2_coco, (3, 416, 416), 80, "boxes"),
    "yolov2_voc": Model(darknet.yolov2_voc, (3, 416, 416), 20, "boxes"),
    "yolov2_tiny": Model(darknet.tiny_coco, (3, 416, 416), 80, "boxes"),
    "yolov2_tiny_voc": Model(darknet.tiny_voc, (3, 416, 416), 20, "boxes"),
    "unet": Model(lambda classes, channels: unet.UNet(classes, channels, padded=False, batch_norm=False, dropout=0.5),
                  (1, 572, 572), 2, "pixels"),
    "unet_bn": Model(unet.UNet, (3, 256, 256), 2, "pixels"),
    "unet16": Model(lambda classes, channels: unet.UNet(classes, channels, width=16), (3, 256, 256), 2, "pixels"),
    "unet_small": Model(lambda classes, channels: unet.UNet(classes, channels, width=12, depth=3), (3, 64, 64), 2, "pixels"),
}
for name in TORCHVISION:
    MODELS[name] = Model(from_torchvision(name))
