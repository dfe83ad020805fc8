"""VGG-19's convolutions from safetensors to the file that neural-style reads; run by the peer's own Python.

python vgg19_pth.py WEIGHTS.safetensors vgg19-d01eb7cb.pth
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

source, target = Path(sys.argv[1]), Path(sys.argv[2])
beside = target.with_name(target.name + ".part")
# The same names and the same convention (BGR, 0 to 255, Caffe's mean), in float32.
torch.save({name: tensor.float() for name, tensor in load_file(str(source)).items()}, beside)
beside.replace(target)
