"""Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015; padded and batch-normalised, as
most use it since, or as in the paper."""
import torch
import torch.nn.functional as F
from torch import nn


class UNet(nn.Module):
    """Pictures (N, channels, H, W) -> logits (N, classes, H', W'); transposed convolutions enlarge."""

    def __init__(self, classes=2, channels=3, width=64, depth=4, padded=True, batch_norm=True, dropout=0.0):
        super().__init__()

        def stage(before, out):
            layers = []
            for channels in (before, out):
                layers.append(nn.Conv2d(channels, out, 3, padding=int(padded), bias=not batch_norm))
                layers += [nn.BatchNorm2d(out)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
            return nn.Sequential(*layers)

        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(stage(before, out) for before, out in zip([channels] + widths, widths))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * out, out, 2, 2) for out in widths[:-1])
        self.up = nn.ModuleList(stage(2 * out, out) for out in widths[:-1])
        self.head = nn.Conv2d(width, classes, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        skips = []
        for level, stage in enumerate(self.down):
            x = stage(x if level == 0 else F.max_pool2d(x, 2))
            if level + 2 >= len(self.down):
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for enlarge, stage in zip(reversed(self.enlarge), reversed(self.up)):
            x, skip = enlarge(x), skips.pop()
            rows, columns = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2
            x = stage(torch.cat([skip[:, :, rows:rows + x.shape[2], columns:columns + x.shape[3]], x], 1))
        return self.head(x)
