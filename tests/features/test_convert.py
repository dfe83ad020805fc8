"""Which files are taken for VGG-19, whose convention they follow, and with which words the others are refused."""

from __future__ import annotations

import hashlib
import os
import zipfile
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import convert
from impasto.features.convert import read_weights, write_weights

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "weights" / "vgg19-caffe.safetensors"

VGG19 = (64, 64, "pool", 128, 128, "pool", *(256,) * 4, "pool", *(512,) * 4, "pool", *(512,) * 4)
VGG16 = (64, 64, "pool", 128, 128, "pool", *(256,) * 3, "pool", *(512,) * 3, "pool", *(512,) * 3)

# The middle row of the first kernel in the published files, to three digits; color by color as they lie there.
ROWS = {
    "torchvision": [[0.015, 0.045, 0.002], [0.142, 0.227, 0.138], [0.060, 0.140, 0.054]],
    "caffe": [[0.231, 0.090, -0.302], [0.306, 0.104, -0.372], [0.269, 0.099, -0.339]],
}


def make_state(architecture: tuple[int | str, ...] = VGG19, whose: str | None = None) -> dict[str, Tensor]:
    """A state dict of the right shapes that takes no room: every tensor is one number."""
    state, width, number = {}, 3, 0
    for item in architecture:
        if isinstance(item, str):
            number += 1
            continue
        state[f"features.{number}.weight"] = torch.full((1,), 0.5).expand(item, width, 3, 3)
        state[f"features.{number}.bias"] = torch.full((1,), 0.25).expand(item)
        width, number = item, number + 2
    if whose:
        first = torch.zeros(64, 3, 3, 3)
        first[0, :, 1] = torch.tensor(ROWS[whose])
        state["features.0.weight"] = first
    return state


def save_pth(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def save_keras(path: Path, *, root: str = "", kernel: str = "kernel:0", bias: str = "bias:0") -> Path:
    """Numbers that repeat are stored in little room, too."""
    shapes = [(item, width) for width, item in pairwise([3, *(item for item in VGG19 if isinstance(item, int))])]
    names = [f"block{stage}_conv{i + 1}" for stage, depth in enumerate((2, 2, 4, 4, 4), start=1) for i in range(depth)]
    with h5py.File(path, "w") as file:
        for name, (channels, width) in zip(names, shapes, strict=True):
            group = file.create_group(f"{root}{name}")
            ramp = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
            full = np.broadcast_to(ramp, (3, 3, width, channels))
            group.create_dataset(kernel.format(name), data=full, compression="gzip", compression_opts=1)
            group.create_dataset(bias.format(name), data=np.ones(channels, np.float32))
    return path


def refusal(path: Path, convention: str | None = None) -> str:
    """What is said about a file: one line that starts with its name."""
    with pytest.raises(ImpastoError) as caught:
        read_weights(path, convention)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ") or text.startswith("convention: ")
    return text.removeprefix(f"{path}: ")


# Whose convention


@pytest.mark.parametrize("whose", ["torchvision", "caffe"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_known_weights_are_recognized(tmp_path: Path, whose: str, precision: torch.dtype) -> None:
    state = {key: tensor.to(precision) for key, tensor in make_state(whose=whose).items()}
    weights = read_weights(save_pth(tmp_path / "a.pth", state))
    assert weights.convention == whose
    other = {"torchvision": "caffe", "caffe": "torchvision"}[whose]
    assert refusal(tmp_path / "a.pth", other) == (
        f"convention: the weights in {tmp_path / 'a.pth'} follow {whose}'s; leave it out"
    )


@pytest.mark.skipif(not SHARED.is_file(), reason="the real weights are not beside this checkout (../shared)")
def test_the_real_weights_are_recognized_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").symlink_to(SHARED.resolve())
    weights = read_weights(tmp_path / "weights.bin")
    assert weights.convention == "caffe"
    assert weights.origin == "weights.bin"
    assert weights.origin_sha256.startswith("f44c7f3a")


def test_the_published_files_are_known_by_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert convert.KNOWN_HASHES == {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}
    path = save_pth(tmp_path / "a.pth", make_state())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(convert.KNOWN_HASHES, digest[:8], "torchvision")
    assert read_weights(path).convention == "torchvision"


def test_unknown_weights_need_a_word(tmp_path: Path) -> None:
    path = save_pth(tmp_path / "mine.pth", make_state())
    text = refusal(path)
    assert text.startswith("cannot tell which input these weights were made for; ")
    assert "--convention torchvision" in text
    assert "--convention caffe" in text
    assert read_weights(path, "torchvision").convention == "torchvision"
    assert read_weights(path, "caffe").convention == "caffe"
    for name in ("torchvision", "caffe"):
        assert read_weights(path.rename(tmp_path / f"my-{name}.pth")).convention == name
        path = tmp_path / f"my-{name}.pth"
    assert "cannot tell" in refusal(path.rename(tmp_path / "caffe-or-torchvision.pth"))


def test_an_unknown_convention(tmp_path: Path) -> None:
    path = save_pth(tmp_path / "a.pth", make_state())
    assert refusal(path, "theano") == "convention: 'theano' is unknown; give torchvision or caffe"


def test_the_input_of_each_convention(tmp_path: Path) -> None:
    state = make_state()
    state["features.0.weight"] = torch.rand(64, 3, 3, 3)
    path = save_pth(tmp_path / "a.pth", state)
    rgb, bgr = read_weights(path, "torchvision"), read_weights(path, "caffe")
    assert torch.equal(rgb.tensors["conv1_1.weight"], state["features.0.weight"])
    assert torch.equal(bgr.tensors["conv1_1.weight"], state["features.0.weight"][:, [2, 1, 0]])
    assert rgb.tensors["mean"].tolist() == [0.485, 0.456, 0.406]
    assert rgb.tensors["scale"].tolist() == [1 / 0.229, 1 / 0.224, 1 / 0.225]
    assert bgr.tensors["mean"].mul(255).tolist() == pytest.approx([123.68, 116.779, 103.939], rel=1e-15)
    assert bgr.tensors["scale"].tolist() == [255, 255, 255]


def test_the_precision_of_the_source_is_kept(tmp_path: Path) -> None:
    for source, kept in (
        (torch.float16, torch.float16),
        (torch.float32, torch.float32),
        (torch.float64, torch.float32),
    ):
        state = {key: tensor.to(source) for key, tensor in make_state().items()}
        weights = read_weights(save_pth(tmp_path / "caffe.pth", state))
        assert {tensor.dtype for key, tensor in weights.tensors.items() if "." in key} == {kept}


# Keras


@pytest.mark.parametrize(
    ("root", "kernel", "bias"),
    [
        ("", "{}_W_1:0", "{}_b_1:0"),
        ("", "{0}/kernel:0", "{0}/bias:0"),
        ("model_weights/", "{0}/kernel:0", "{0}/bias:0"),
    ],
)
def test_the_names_that_keras_gave(tmp_path: Path, root: str, kernel: str, bias: str) -> None:
    weights = read_weights(save_keras(tmp_path / "vgg19.h5", root=root, kernel=kernel, bias=bias))
    assert weights.convention == "caffe"
    assert weights.tensors["conv5_4.weight"][17, 400].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert refusal(tmp_path / "vgg19.h5", "torchvision").endswith("follow caffe's; leave it out")


# Impasto's own file


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    state = {key: tensor.half() for key, tensor in make_state(whose="caffe").items()}
    source = save_pth(folder / "source.pth", state)
    write_weights(read_weights(source), folder / "vgg19.safetensors")
    return folder / "vgg19.safetensors"


def test_what_our_own_file_remembers(own: Path) -> None:
    weights = read_weights(own)
    source = read_weights(own.with_name("source.pth"))
    assert (weights.sha256, weights.origin, weights.origin_sha256, weights.convention) == (
        source.sha256,
        "source.pth",
        hashlib.sha256(own.with_name("source.pth").read_bytes()).hexdigest(),
        "caffe",
    )
    with safe_open(own, "pt") as file:
        assert file.metadata()["format"] == "impasto-vgg19-1"
        assert file.metadata()["sha256"] == weights.sha256
    assert sorted(path.name for path in own.parent.iterdir()) == ["source.pth", "vgg19.safetensors"]
    assert refusal(own, "torchvision").endswith("follow caffe's; leave it out")


def test_the_hash_depends_on_every_number(tmp_path: Path) -> None:
    state = make_state()
    before = read_weights(save_pth(tmp_path / "a.pth", state), "caffe").sha256
    assert read_weights(save_pth(tmp_path / "a.pth", state), "torchvision").sha256 != before
    bias = torch.full((512,), 0.25)
    assert read_weights(save_pth(tmp_path / "b.pth", {**state, "features.34.bias": bias}), "caffe").sha256 == before
    bias[511] += 1e-7
    assert read_weights(save_pth(tmp_path / "b.pth", {**state, "features.34.bias": bias}), "caffe").sha256 != before


@pytest.mark.parametrize("back", [1, 1_000_000, 39_000_000])
def test_a_changed_byte_in_our_own_file(own: Path, tmp_path: Path, back: int) -> None:
    path = tmp_path / "vgg19.safetensors"
    path.write_bytes(own.read_bytes())
    with path.open("r+b") as file:
        file.seek(-back, os.SEEK_END)
        (byte,) = file.read(1)
        file.seek(-back, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    assert refusal(path).startswith("tampered with or damaged: the weights in it do not have the hash that it records")


def test_another_mean_in_our_own_file(own: Path, tmp_path: Path) -> None:
    with safe_open(own, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(own)
    save_file({**tensors, "mean": tensors["mean"] + 0.01}, tmp_path / "a.safetensors", metadata)
    assert refusal(tmp_path / "a.safetensors").startswith("tampered with or damaged")
    del tensors["mean"]
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    assert refusal(tmp_path / "a.safetensors").startswith("not the weights of VGG-19: mean is missing")


# Refused


def test_a_name_that_promises_another_hash(tmp_path: Path) -> None:
    path = save_pth(tmp_path / "vgg19-dcbb9e9d.pth", make_state(whose="torchvision"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = (
        "cut or tampered with: by its name its SHA-256 starts with dcbb9e9d, "
        f"but it starts with {digest[:8]}; fetch it again"
    )
    assert refusal(path) == expected
    assert refusal(path, "torchvision") == expected
    kept = path.rename(tmp_path / f"vgg19-{digest[:10]}.pth")
    assert read_weights(kept).convention == "torchvision"
    dated = kept.rename(tmp_path / "vgg19-20240131.pth")
    assert read_weights(dated).convention == "torchvision"


@pytest.mark.parametrize("old", [False, True])
def test_a_cut_pth(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "caffe.pth"
    state = {**make_state(), "classifier.0.bias": torch.rand(4096)}
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    assert read_weights(path).convention == "caffe"
    path.write_bytes(path.read_bytes()[:-5000])
    assert refusal(path) == "cut or damaged, it cannot be read as weights; fetch it again"


def test_a_pth_with_a_wrong_checksum(tmp_path: Path) -> None:
    numbers = torch.rand(512)
    path = save_pth(tmp_path / "caffe.pth", {**make_state(), "features.34.bias": numbers})
    content = path.read_bytes()
    place = content.index(numbers.numpy().tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert refusal(path) == "damaged: a checksum in it is wrong; fetch it again"


def test_a_pth_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = save_pth(tmp_path / "caffe.pth", {**make_state(), "bomb": Bomb()})
    assert refusal(path).startswith("cut or damaged")
    assert not (tmp_path / "ran").exists()


def test_a_cut_safetensors(own: Path, tmp_path: Path) -> None:
    for size in (5_000_000, 3000, 9):
        (tmp_path / "a.safetensors").write_bytes(own.read_bytes()[:size])
        assert refusal(tmp_path / "a.safetensors") == "cut or damaged, it cannot be read as weights; fetch it again"


def test_a_cut_h5(tmp_path: Path) -> None:
    path = save_keras(tmp_path / "vgg19.h5")
    path.write_bytes(path.read_bytes()[:-1000])
    assert refusal(path) == "cut or damaged, it cannot be read as weights; fetch it again"


def test_other_networks(tmp_path: Path) -> None:
    sixteen = save_pth(tmp_path / "vgg16-caffe.pth", make_state(VGG16))
    assert refusal(sixteen) == (
        "not the weights of VGG-19: conv3_4.weight is missing; give VGG-19 with all 16 convolutions, without batch norm"
    )
    shallow = make_state()
    shallow["features.10.bias"] = torch.zeros(128)
    wrong = save_pth(tmp_path / "caffe.pth", shallow)
    assert refusal(wrong).startswith("not the weights of VGG-19: conv3_1.bias is torch.float32 [128], not [256]; give ")
    integers = {**make_state(), "features.0.bias": torch.zeros(64, dtype=torch.int32)}
    assert "conv1_1.bias is torch.int32 [64], not [64]" in refusal(save_pth(tmp_path / "caffe.pth", integers))
    assert "conv1_1.weight is missing" in refusal(save_pth(tmp_path / "caffe.pth", {"fc.weight": torch.zeros(3)}))
    assert "conv1_1.weight is missing" in refusal(save_pth(tmp_path / "caffe.pth", [1, 2, 3]))
    save_file({"fc.weight": torch.zeros(3)}, tmp_path / "caffe.safetensors")
    assert "conv1_1.weight is missing" in refusal(tmp_path / "caffe.safetensors")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 32), np.float32)
        file["block1_conv1/bias:0"] = np.zeros(32, np.float32)
    assert "conv1_1.weight is missing" in refusal(tmp_path / "net.h5")


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_numbers_that_are_none(tmp_path: Path, poison: float) -> None:
    state = make_state()
    state["features.28.weight"] = torch.full((1,), poison).expand(512, 512, 3, 3)
    text = refusal(save_pth(tmp_path / "caffe.pth", state))
    assert text == "conv5_1.weight holds NaN or infinite numbers; fetch it again"


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "vgg19.h5"
    assert refusal(path) == "cannot be read (No such file or directory); check the name"
    path.mkdir()
    assert refusal(path) == "is a folder; name a file in it"
    path.rmdir()
    path.touch()
    assert refusal(path) == "the file is empty; fetch it again"
    path.write_text("<!doctype html>Sign in to this network")
    assert refusal(path) == "not a file of weights; give VGG-19 as a .pth, .h5 or .safetensors file"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert refusal(path).startswith("cut or damaged")


class TestStrangers:
    """Small files that would take gigabytes, read from elsewhere, or hold no plain numbers."""

    def test_data_sets_of_other_shapes_are_not_read(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "net.h5", "w") as file:
            group = file.create_group("block1_conv1")
            group.create_dataset("kernel:0", (3, 3, 12_000, 12_000), "f4", chunks=True, compression="gzip")
        assert (tmp_path / "net.h5").stat().st_size < 20_000
        assert "conv1_1.weight is missing" in refusal(tmp_path / "net.h5")

    @pytest.mark.parametrize("kind", ["external", "virtual"])
    def test_data_that_lies_in_other_files(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "secret").write_bytes(bytes(256))
        with h5py.File(tmp_path / "net.h5", "w") as file:
            group = file.create_group("block1_conv1")
            if kind == "external":
                group.create_dataset("bias:0", (64,), "f4", external=[(tmp_path / "secret", 0, 256)])
            else:
                layout = h5py.VirtualLayout(shape=(64,), dtype="f4")
                layout[:] = h5py.VirtualSource(tmp_path / "secret", "bias", shape=(64,))
                group.create_virtual_dataset("bias:0", layout)
        assert refusal(tmp_path / "net.h5").startswith("/block1_conv1/bias:0 lies in another file; give one that holds")

    @pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/block1_conv1"), h5py.SoftLink("/elsewhere")])
    def test_links_are_not_followed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: object) -> None:
        monkeypatch.chdir(tmp_path)
        save_keras(tmp_path / "other.h5")
        save_keras(tmp_path / "net.h5")
        with h5py.File(tmp_path / "net.h5", "a") as file:
            file.move("block1_conv1", "elsewhere")
            file["block1_conv1"] = link
        assert "conv1_1.weight is missing" in refusal(tmp_path / "net.h5")

    @pytest.mark.parametrize(
        "tensor",
        [torch.zeros(64, 3, 3, 3, device="meta"), torch.zeros(64, 27).to_sparse()],
        ids=["without numbers", "sparse"],
    )
    def test_tensors_that_are_none(self, tmp_path: Path, tensor: Tensor, recwarn: pytest.WarningsRecorder) -> None:
        path = save_pth(tmp_path / "caffe.pth", {**make_state(), "features.0.weight": tensor})
        recwarn.clear()
        assert "conv1_1.weight is missing" in refusal(path)
        assert not recwarn.list

    def test_an_archive_that_unfolds(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "vgg19.pth", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10**7))
        assert refusal(tmp_path / "vgg19.pth").startswith("cut or damaged, it cannot be read as weights")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
    def test_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "vgg19.pth")
        assert refusal(tmp_path / "vgg19.pth") == "is a device or a pipe; name a file"
