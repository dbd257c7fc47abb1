"""LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document recognition", 1998."""
import torch
from torch import nn


class LeNet5(nn.Module):
    """Pictures (N, channels, 32, 32) -> logits (N, classes); tanh and average pooling."""

    def __init__(self, classes=10, channels=1):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        x = self.pool(torch.tanh(self.conv1(x)))
        x = self.pool(torch.tanh(self.conv2(x)))
        x = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc3(torch.tanh(self.fc2(x)))
