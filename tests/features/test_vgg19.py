"""VGG-19 gives what each file's own framework gives, and nothing deeper than asked for."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.convert import read_weights, write_weights
from impasto.features.vgg19 import VGG19

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "weights" / "vgg19-caffe.safetensors"

# Written out here, and not taken from the package: what every framework calls its convolutions, and their sizes.
NAMES = [f"{stage}_{index + 1}" for stage, depth in enumerate((2, 2, 4, 4, 4), start=1) for index in range(depth)]
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
LAYERS = [f"relu{name}" for name in NAMES]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights that keep the features at the same size through all layers, for an input of about 1."""
    generator = torch.Generator().manual_seed(19)
    tensors = {}
    for number, (inputs, outputs) in zip(NUMBERS, pairwise(WIDTHS), strict=True):
        weight = torch.empty(outputs, inputs, 3, 3).normal_(0, math.sqrt(2 / (9 * inputs)), generator=generator)
        tensors[f"features.{number}.weight"] = weight
        tensors[f"features.{number}.bias"] = torch.empty(outputs).normal_(0, 0.2, generator=generator)
    return tensors


@pytest.fixture(scope="module")
def caffe_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same for an input of about 60."""
    return {**state, "features.0.weight": state["features.0.weight"] / 60}


@pytest.fixture(scope="module")
def image() -> Tensor:
    """Two images with sides that are odd after the first, or the second pooling. None of their borders is dark."""
    return torch.rand(2, 3, 34, 37, generator=torch.Generator().manual_seed(7)) ** 0.5


def numbered_features(state: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """torchvision's ``features``, module by module, in float64. ``x`` is normalized."""
    maps = {}
    for name, number in zip(NAMES, NUMBERS, strict=True):
        if number in (5, 10, 19, 28):
            x = F.max_pool2d(x, kernel_size=2, stride=2)
        weight, bias = (state[f"features.{number}.{part}"].double() for part in ("weight", "bias"))
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        maps[f"relu{name}"] = x
    return maps


def torchvision_features(state: dict[str, Tensor], image: Tensor) -> dict[str, Tensor]:
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
    return numbered_features(state, (image.double() - mean) / deviation)


def caffe_features(state: dict[str, Tensor], image: Tensor) -> dict[str, Tensor]:
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64).view(3, 1, 1)
    return numbered_features(state, 255 * image.double()[:, [2, 1, 0]] - mean)


def keras_features(path: Path, image: Tensor) -> dict[str, Tensor]:
    """Keras' VGG19 and its preprocess_input in numpy, float64: NHWC, kernels HWIO, 'same' padding, 'valid' pooling."""
    x = 255 * image.double().permute(0, 2, 3, 1).numpy()
    x = x[..., ::-1] - np.array([103.939, 116.779, 123.68])
    maps = {}
    with h5py.File(path) as file:
        for name in NAMES:
            stage, index = name.split("_")
            if index == "1" and stage != "1":
                height, width = x.shape[1] // 2, x.shape[2] // 2
                corners = [x[:, i : 2 * height : 2, j : 2 * width : 2] for i in (0, 1) for j in (0, 1)]
                x = np.maximum.reduce(corners)
            layer = f"block{stage}_conv{index}"
            kernel, bias = (file[layer][f"{layer}_{part}_1:0"][()].astype(np.float64) for part in "Wb")
            height, width = x.shape[1:3]
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            taps = [padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
            x = np.maximum(sum(taps) + bias, 0)
            maps[f"relu{name}"] = torch.from_numpy(x).permute(0, 3, 1, 2)
    return maps


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == LAYERS
    for layer, reference in expected.items():
        assert found[layer].dtype == torch.float32
        assert found[layer].shape == reference.shape
        assert reference.norm() > 0
        difference = found[layer].double() - reference
        assert difference.norm() < 1e-5 * reference.norm(), layer
        inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
        border, border_reference = difference.clone(), reference.clone()
        border[inside], border_reference[inside] = 0, 0
        assert border.norm() < 1e-5 * border_reference.norm(), f"border of {layer}"


def write_keras(path: Path, state: dict[str, Tensor]) -> Path:
    with h5py.File(path, "w") as file:
        for name, number in zip(NAMES, NUMBERS, strict=True):
            layer = "block{}_conv{}".format(*name.split("_"))
            group = file.create_group(layer)
            group[f"{layer}_W_1:0"] = state[f"features.{number}.weight"].permute(2, 3, 1, 0).numpy()
            group[f"{layer}_b_1:0"] = state[f"features.{number}.bias"].numpy()
        for stage in range(1, 6):
            file.create_group(f"block{stage}_pool")
    return path


def test_a_file_of_torchvision(tmp_path: Path, state: dict[str, Tensor], image: Tensor) -> None:
    classifier = {"classifier.0.weight": torch.zeros(1).expand(4096, 25088), "classifier.0.bias": torch.zeros(4096)}
    torch.save({**state, **classifier}, tmp_path / "vgg19.pth")
    extractor = VGG19.from_file(tmp_path / "vgg19.pth", convention="torchvision")
    assert_same(extractor(image, LAYERS), torchvision_features(state, image))


def test_a_file_of_the_caffe_port(tmp_path: Path, caffe_state: dict[str, Tensor], image: Tensor) -> None:
    # Both published files have the form that PyTorch wrote before 1.6.
    torch.save(caffe_state, tmp_path / "vgg19.pth", _use_new_zipfile_serialization=False)
    extractor = VGG19.from_file(tmp_path / "vgg19.pth", convention="caffe")
    assert_same(extractor(image, LAYERS), caffe_features(caffe_state, image))


def test_a_file_of_keras(tmp_path: Path, caffe_state: dict[str, Tensor], image: Tensor) -> None:
    path = write_keras(tmp_path / "vgg19_notop.h5", caffe_state)
    assert_same(VGG19.from_file(path)(image, LAYERS), keras_features(path, image))


def test_a_safetensors_file_in_half_precision(tmp_path: Path, caffe_state: dict[str, Tensor], image: Tensor) -> None:
    halves = {key: tensor.half() for key, tensor in caffe_state.items()}
    save_file(halves, tmp_path / "vgg19.safetensors")
    extractor = VGG19.from_file(tmp_path / "vgg19.safetensors", convention="caffe")
    assert_same(extractor(image, LAYERS), caffe_features(halves, image))


@pytest.mark.parametrize("precision", [torch.float16, torch.float32])
def test_impastos_own_file_changes_nothing(
    tmp_path: Path, caffe_state: dict[str, Tensor], image: Tensor, precision: torch.dtype
) -> None:
    save_file({key: tensor.to(precision) for key, tensor in caffe_state.items()}, tmp_path / "vgg19-caffe.safetensors")
    write_weights(read_weights(tmp_path / "vgg19-caffe.safetensors"), tmp_path / "own.safetensors")
    before = VGG19.from_file(tmp_path / "vgg19-caffe.safetensors")
    after = VGG19.from_file(tmp_path / "own.safetensors")
    assert before.sha256 == after.sha256
    assert len(after.sha256) == 64
    features, again = before(image, LAYERS), after(image, LAYERS)
    assert all(torch.equal(features[layer], again[layer]) for layer in LAYERS)
    stored = load_file(tmp_path / "own.safetensors")
    assert {stored[f"conv{name}.weight"].dtype for name in NAMES} == {precision}


@pytest.mark.skipif(not SHARED.is_file(), reason="the real weights are not beside this checkout (../shared)")
def test_the_real_weights(image: Tensor) -> None:
    extractor = VGG19.from_file(SHARED)
    found = extractor(image, LAYERS)
    assert_same(found, caffe_features(load_file(SHARED), image))
    assert all(bool((features >= 0).all()) for features in found.values())
    # An even surface of the mean color is zero to the network: away from the border only the biases are left.
    plain = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1).expand(1, 3, 5, 5) / 255
    center = extractor(plain, ["relu1_1"])["relu1_1"][0, :, 2, 2]
    torch.testing.assert_close(center, load_file(SHARED)["features.0.bias"].float().relu(), rtol=1e-4, atol=1e-4)


# From here on the weights do not matter: torch's own random ones do.


@pytest.fixture(scope="module")
def network() -> VGG19:
    torch.manual_seed(0)
    return VGG19()


def test_average_pooling() -> None:
    torch.manual_seed(0)
    network = VGG19("avg")
    image = torch.rand(1, 3, 9, 10)
    found = network(image, ["relu1_2", "relu2_1"])
    second = network.get_submodule("convolutions.conv2_1")
    assert isinstance(second, nn.Conv2d)
    averaged = found["relu1_2"][:, :, :8].reshape(1, 64, 4, 2, 5, 2).mean((3, 5))
    expected = F.conv2d(averaged, second.weight, second.bias, padding=1).relu()
    torch.testing.assert_close(found["relu2_1"], expected)


def test_an_unknown_pooling() -> None:
    with pytest.raises(ImpastoError, match=r"^pooling: 'median' is unknown; give max or avg$"):
        VGG19("median")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(LAYERS), unique=True))
def test_any_layers_in_any_order_and_nothing_deeper(network: VGG19, layers: list[str]) -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    ran: list[str] = []
    hooks = [
        convolution.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, convolution in network.convolutions.items()
    ]
    try:
        found = network(image, layers)
        assert ran == [f"conv{name}" for name in NAMES[: max((LAYERS.index(layer) + 1 for layer in layers), default=0)]]
    finally:
        for hook in hooks:
            hook.remove()
    assert list(found) == layers
    everything = network(image, LAYERS)
    assert all(torch.equal(found[layer], everything[layer]) for layer in layers)


def test_shapes(network: VGG19) -> None:
    found = network(torch.rand(2, 3, 49, 33), LAYERS)
    for layer, features in found.items():
        shrink = 2 ** (int(layer[4]) - 1)
        assert features.shape == (2, network.channels(layer), 49 // shrink, 33 // shrink)
    assert network.smallest_side(["relu1_1", "relu4_2"]) == 8
    assert network(torch.rand(1, 3, 8, 8), ["relu4_2"])["relu4_2"].shape == (1, 512, 1, 1)


def test_stages(network: VGG19) -> None:
    stages = network.stages(["relu4_2", "relu1_1"])
    assert [stage.layers for stage in stages] == [("relu1_1",), (), (), ("relu4_2",)]
    assert [stage.reach for stage in stages] == [2, 2, 4, 2], "a position for each convolution"
    assert [stage.widths for stage in stages] == [(64,) * 2, (128,) * 2, (256,) * 4, (512,) * 2]


def test_an_unknown_layer(network: VGG19) -> None:
    with pytest.raises(
        ImpastoError, match=r"^relu6_1: the extractor 'vgg19' has no such layer; it has relu1_1, .*5_4$"
    ):
        network(torch.rand(1, 3, 16, 16), ["relu1_1", "relu6_1"])


def test_frozen(network: VGG19) -> None:
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    assert sum(parameter.numel() for parameter in network.parameters()) == 20_024_384


def test_the_gradient_reaches_the_image() -> None:
    torch.manual_seed(3)
    network = VGG19().double()
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def features(image: Tensor) -> tuple[Tensor, ...]:
        return tuple(network(image, ["relu1_1", "relu2_1"]).values())

    assert torch.autograd.gradcheck(features, image)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_maps_that_were_handed_out_stay_as_they_are(network: VGG19) -> None:
    image = torch.rand(1, 3, 16, 16)
    kept = image.clone()
    with torch.no_grad():
        together = network(image, ["relu1_1", "relu1_2", "relu2_1"])
        alone = {layer: network(image, [layer])[layer] for layer in together}
    assert torch.equal(image, kept)
    assert all(torch.equal(together[layer], alone[layer]) for layer in alone)
    storages = {features.untyped_storage().data_ptr() for features in together.values()}
    assert len(storages) == 3


def test_channels_last(network: VGG19) -> None:
    image = torch.rand(2, 3, 16, 16)
    plain = network(image, ["relu3_1"])["relu3_1"]
    last = network(image.to(memory_format=torch.channels_last), ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(last, plain, rtol=1e-5, atol=1e-6)


def test_autocast(network: VGG19) -> None:
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    exact = network(image, ["relu1_2"])["relu1_2"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(image, ["relu1_2"])["relu1_2"]
    assert rounded.dtype == torch.bfloat16
    assert (rounded - exact).norm() < 0.02 * exact.norm()
    (gradient,) = torch.autograd.grad(rounded.float().sum(), image)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
