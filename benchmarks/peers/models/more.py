"""Variants that torchvision does not have: the paper's AlexNet, the ResNet-50 of courses, narrow networks for small pictures."""
import torch.nn.functional as F
from torch import nn


def alexnet_lrn(classes, channels):
    """Krizhevsky, Sutskever, Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", 2012, in one tower with groups."""
    def norm():
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)

    def conv(before, out, kernel, **more):
        return [nn.Conv2d(before, out, kernel, **more), nn.ReLU(inplace=True)]

    layers = conv(channels, 96, 11, stride=4, padding=2) + [norm(), nn.MaxPool2d(3, 2)]
    layers += conv(96, 256, 5, padding=2, groups=2) + [norm(), nn.MaxPool2d(3, 2)]
    layers += conv(256, 384, 3, padding=1) + conv(384, 384, 3, padding=1, groups=2)
    layers += conv(384, 256, 3, padding=1, groups=2) + [nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(6), nn.Flatten()]
    layers += [nn.Dropout(0.5), nn.Linear(256 * 36, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(4096, 4096),
               nn.ReLU(inplace=True), nn.Linear(4096, classes)]
    return nn.Sequential(*layers)


def vgg16_small(classes, channels):
    layers, before = [], channels
    for out, depth in ((8, 2), (16, 2), (32, 3), (64, 3), (64, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(before, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            before = out
        layers.append(nn.MaxPool2d(2, 2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 512), nn.ReLU(inplace=True), nn.Dropout(0.5),
               nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(512, classes)]
    return nn.Sequential(*layers)


def resnet18_small(classes, channels):
    from torchvision.models.resnet import BasicBlock
    layers, before = [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)], 8
    for stage, out in enumerate((8, 16, 32, 64)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            shortcut = nn.Sequential(nn.Conv2d(before, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if before != out else None
            layers.append(BasicBlock(before, out, stride, shortcut))
            before = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def mobilenet_v2_small(classes, channels):
    from torchvision.models import MobileNetV2
    stages = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]
    model = MobileNetV2(classes, width_mult=0.25, inverted_residual_setting=stages, dropout=0.0)
    model.features[0][0] = nn.Conv2d(channels, model.features[0][0].out_channels, 3, 1, 1, bias=False)
    return model


class CourseBlock(nn.Module):
    def __init__(self, before, width, stride, shortcut):
        super().__init__()

        def pair(channels, out, kernel, step=1):
            return nn.Sequential(nn.Conv2d(channels, out, kernel, step, kernel // 2), nn.BatchNorm2d(out, 1e-3, 0.01))

        self.convs = nn.Sequential(pair(before, width, 1, stride), nn.ReLU(inplace=True), pair(width, width, 3), nn.ReLU(inplace=True),
                                   pair(width, 4 * width, 1))
        self.shortcut = pair(before, 4 * width, 1, stride) if shortcut else nn.Identity()

    def forward(self, x):
        return F.relu(self.convs(x) + self.shortcut(x))


def resnet50_course(classes, channels):
    """As courses build it in Keras: strides in the first 1x1 convolution, convolutions with biases."""
    layers = [nn.Conv2d(channels, 64, 7, 2, 3), nn.BatchNorm2d(64, 1e-3, 0.01), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)]
    before = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        for block in range(depth):
            layers.append(CourseBlock(before, 64 << stage, 2 if stage > 0 and block == 0 else 1, block == 0))
            before = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
