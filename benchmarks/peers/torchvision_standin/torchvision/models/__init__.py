"""The architectures that pystiche imports."""

from __future__ import annotations

from torchvision.models import vgg as vgg
from torchvision.models.alexnet import alexnet as alexnet
from torchvision.models.vgg import VGG as VGG
from torchvision.models.vgg import vgg19 as vgg19
