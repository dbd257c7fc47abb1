"""Howard et al.: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017."""
from torch import nn


def conv(channels, out, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class MobileNetV1(nn.Module):
    def __init__(self, classes=1000, channels=3):
        super().__init__()
        features, before = [conv(channels, 32, 3, 2)], 32
        for out, blocks, stride in ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)):
            for block in range(blocks):
                features.append(nn.Sequential(conv(before, before, 3, stride if block == 0 else 1, before), conv(before, out, 1)))
                before = out
        self.features = nn.Sequential(*features)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.001), nn.Linear(before, classes))

    def forward(self, x):
        return self.classifier(self.average(self.features(x)).flatten(1))
