"""VGG-19 without its classifier, which pystiche throws away: that saves it time and memory."""

from __future__ import annotations

from torch import nn

#: Nothing is downloaded: the weights come from a file.
model_urls = {"vgg19": ""}

#: Channels of the convolutions; 0 is a pooling. Simonyan and Zisserman 2015, configuration E.
LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)


class VGG(nn.Module):
    """The convolutions, numbered as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in LAYERS:
            if channels:
                layers += [nn.Conv2d(before, channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                before = channels
            else:
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)


def vgg19(pretrained: bool = False, num_classes: int = 1000) -> VGG:
    """VGG-19 with random weights."""
    if pretrained:
        raise NotImplementedError("this stand-in for torchvision has no weights; load them from a file")
    return VGG()
