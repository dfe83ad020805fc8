from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location

from torch import nn

from judge import STAGES
from runner import HERE


def test_convolutions_are_numbered_as_in_the_weights() -> None:
    path = HERE / "peers" / "torchvision_standin" / "torchvision" / "models" / "vgg.py"
    spec = spec_from_file_location("standin_vgg", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    layers = dict(module.vgg19().features.named_children())
    found = [int(name) for name, layer in layers.items() if isinstance(layer, nn.Conv2d)]
    assert tuple(found) == tuple(index for stage in STAGES for index in stage)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in layers.values()) == 5
