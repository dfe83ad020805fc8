"""The face of it: tensors in and out, saving, sizes. What files hold is in tests/files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images import (
    check_output_path,
    fit_size,
    listed,
    load_image,
    read_recipe_text,
    resize,
    save_image,
    split_alpha,
    to_pil,
)

LEVELS8 = torch.randint(0, 256, (1, 4, 14, 11), generator=torch.Generator().manual_seed(0))
LEVELS16 = torch.randint(0, 65536, (1, 4, 14, 11), generator=torch.Generator().manual_seed(1))
IMAGE = LEVELS8[:, :3] / 255
ALPHA = LEVELS8[:, 3:] / 255
RECIPE = json.dumps({"version": "0.1", "name": "Ñandú ☃"}, ensure_ascii=False)
ENDINGS = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"]

# --- tensors in


def test_tensor() -> None:
    for tensor in (IMAGE, IMAGE[0], IMAGE.double()):
        picture = load_image(tensor)
        assert torch.equal(picture.tensor, IMAGE)
        assert picture.tensor.dtype == torch.float32
        assert picture.tensor.data_ptr() != tensor.data_ptr()
        assert (picture.alpha, picture.name, picture.notices) == (None, "", ())


def test_tensor_is_detached_and_clamped() -> None:
    tensor = (IMAGE * 1.0005 - 0.0002).requires_grad_()
    picture = load_image(tensor)
    assert not picture.tensor.requires_grad
    assert picture.tensor.min() >= 0
    assert picture.tensor.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tensor(dtype: torch.dtype) -> None:
    assert torch.equal(load_image(IMAGE.to(dtype)).tensor, IMAGE.to(dtype).float())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(2, 3, 8, 8), r"a tensor of shape \(2, 3, 8, 8\); give \(1, 3, height, width\)"),
        (torch.zeros(8, 8, 3), r"a tensor of shape \(8, 8, 3\); give"),
        (torch.zeros(1, 4, 8, 8), r"a tensor of shape \(1, 4, 8, 8\); give"),
        (torch.zeros(8, 8), r"a tensor of shape \(8, 8\); give"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"a tensor of torch.uint8; give floats in \[0, 1\]"),
        (torch.full((3, 8, 8), float("nan")), "a tensor with NaN or Inf"),
        (torch.full((3, 8, 8), float("inf")), "a tensor with NaN or Inf"),
        (torch.full((3, 8, 8), 255.0), r"a tensor with values from 255 to 255; scale them to \[0, 1\]"),
        (torch.full((3, 8, 8), -0.5), "a tensor with values from -0.5 to -0.5"),
        (torch.zeros(3, 1, 8), "is only 8 x 1 pixels; give a picture of at least 2 x 2"),
        (torch.zeros(3, 0, 8), "is only 8 x 0 pixels"),
    ],
)
def test_bad_tensor(bad: Tensor, message: str) -> None:
    with pytest.raises(ImpastoError, match=f"^style: {message}"):
        load_image(bad, role="style")


def test_tensor_beyond_the_limit() -> None:
    with pytest.raises(ImpastoError, match="image: 11 x 14 pixels are more than the limit of 153"):
        load_image(IMAGE, max_pixels=153)


@pytest.mark.parametrize("source", [3, 2.5, None, [1, 2], {"a": 1}, object()])
def test_something_else(source: object) -> None:
    kind = type(source).__name__
    what = "give a path, bytes, an open file, a PIL image, a tensor or an array"
    with pytest.raises(ImpastoError, match=f"^content: {kind} is no picture; {what}$"):
        load_image(source, role="content")  # type: ignore[arg-type]


# --- arrays in


ROWS = IMAGE[0].permute(1, 2, 0).numpy()
BYTES = LEVELS8[0, :3].permute(1, 2, 0).numpy().astype(np.uint8)


@pytest.mark.parametrize(
    "array",
    [
        BYTES,
        ROWS,
        ROWS.astype(np.float64),
        ROWS.astype(np.longdouble),
        ROWS.astype(">f4"),
        np.asfortranarray(BYTES),
        np.flipud(np.flipud(ROWS).copy()),
        np.flipud(np.flipud(BYTES).copy()),
    ],
    ids=[
        "bytes",
        "float32",
        "float64",
        "long",
        "big end first",
        "columns first",
        "floats upside down",
        "bytes upside down",
    ],
)
def test_array(array: np.ndarray) -> None:
    before = array.copy()
    picture = load_image(array)
    assert torch.equal(picture.tensor, IMAGE)
    assert picture.tensor.dtype == torch.float32
    assert picture.tensor.is_contiguous()
    assert (picture.alpha, picture.name, picture.notices) == (None, "", ())
    picture.tensor.zero_()
    assert np.array_equal(array, before), "a copy"


def test_array_of_half_precision() -> None:
    assert torch.equal(load_image(ROWS.astype(np.float16)).tensor, IMAGE.half().float())


def test_array_that_is_read_only() -> None:
    planes = IMAGE[0].numpy().copy()
    planes.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(load_image(planes.transpose(1, 2, 0)).tensor, IMAGE)
        assert torch.equal(load_image(np.asarray(to_pil(IMAGE))).tensor, IMAGE)


def test_bytes_and_floats_of_a_picture_have_one_hash() -> None:
    assert load_image(BYTES).sha256 == load_image(ROWS).sha256 == load_image(IMAGE).sha256


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 8, 8)), r"an array of shape \(3, 8, 8\); give \(height, width, 3\)"),
        (np.zeros((8, 8)), r"an array of shape \(8, 8\); give \(height, width, 3\)"),
        (np.zeros((8, 8, 4)), r"an array of shape \(8, 8, 4\); give \(height, width, 3\)"),
        (np.zeros((1, 8, 8, 3)), r"an array of shape \(1, 8, 8, 3\); give"),
        (np.full((8, 8, 3), np.nan), "a tensor with NaN or Inf"),
        (np.full((8, 8, 3), 255.0), r"a tensor with values from 255 to 255; scale them to \[0, 1\]"),
        (np.zeros((8, 8, 3), np.int64), r"an array of int64; give floats in \[0, 1\], or uint8"),
        (np.zeros((8, 8, 3), np.uint16), r"an array of uint16; give floats in \[0, 1\], or uint8"),
        (np.zeros((8, 8, 3), np.complex64), r"an array of complex64; give floats in \[0, 1\], or uint8"),
        (np.zeros((8, 8, 3), bool), r"an array of bool; give floats in \[0, 1\], or uint8"),
        (np.full((8, 8, 3), "red"), r"an array of <U3; give floats in \[0, 1\], or uint8"),
        (np.full((8, 8, 3), None), r"an array of object; give floats in \[0, 1\], or uint8"),
        (np.zeros((1, 8, 3)), "is only 8 x 1 pixels; give a picture of at least 2 x 2"),
        (np.zeros((0, 8, 3)), "is only 8 x 0 pixels"),
    ],
)
def test_bad_array(bad: np.ndarray, message: str) -> None:
    with pytest.raises(ImpastoError, match=f"^style: {message}"):
        load_image(bad, role="style")


def test_array_beyond_the_limit() -> None:
    for array in (BYTES, ROWS):
        with pytest.raises(ImpastoError, match="image: 11 x 14 pixels are more than the limit of 153"):
            load_image(array, max_pixels=153)


def test_one_or_several() -> None:
    for alone in ("a.png", Path("a.png"), to_pil(IMAGE), IMAGE, BYTES):
        assert len(listed(alone)) == 1
        assert listed(alone)[0] is alone
        assert len(listed([alone, alone])) == len(listed((alone, alone))) == 2
    assert listed([]) == []


def test_bytes_and_open_files(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", IMAGE)
    data = (tmp_path / "a.png").read_bytes()
    with (tmp_path / "a.png").open("rb") as file:
        for source in (data, io.BytesIO(data), file):
            picture = load_image(source)
            assert torch.equal(picture.tensor, IMAGE)
            assert (picture.name, picture.sha256) == ("", hashlib.sha256(data).hexdigest())
            assert listed(source) == [source]


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("gone")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", r"is empty \(0 bytes\); copy or export it again"),
        (b"hello", "is not an image that impasto reads"),
        (io.StringIO("text"), "the file gives str; open it with 'rb'"),
        (Broken(), r"the file cannot be read \(gone\); open it anew"),
    ],
)
def test_bad_bytes_and_files(source: object, message: str) -> None:
    with pytest.raises(ImpastoError, match=f"^style: {message}"):
        load_image(source, role="style")  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["http://example.org/a.jpg", "HTTPS://example.org/a.jpg"])
def test_nothing_is_fetched(address: str) -> None:
    with pytest.raises(ImpastoError, match=f"^{address} is an address, and nothing is fetched; save the picture and"):
        load_image(address)


# --- artist and copyright

CREDIT = {315: "José Ñandú", 33432: "© 2020 J"}


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("credit", [CREDIT, {33432: "me"}, {}])
def test_credit_comes_back(tmp_path: Path, ending: str, credit: dict[int, str]) -> None:
    path = tmp_path / f"a{ending}"
    save_image(path, IMAGE, credit=credit, recipe=RECIPE)
    assert load_image(path).credit == credit
    assert read_recipe_text(path) == RECIPE


def test_credit_of_16_bits(tmp_path: Path) -> None:
    for ending in (".png", ".tif"):
        save_image(tmp_path / f"a{ending}", IMAGE, credit=CREDIT, depth=16)
        assert load_image(tmp_path / f"a{ending}").credit == CREDIT


def test_nothing_else_is_taken_over() -> None:
    exif = Image.Exif()
    exif[315], exif[33432], exif[305], exif[42033] = "A\nB", " ", "software", "serial"
    exif.get_ifd(0x8825)[2] = (48, 51, 30)
    file = io.BytesIO()
    to_pil(IMAGE).save(file, "JPEG", exif=exif.tobytes())
    assert load_image(file.getvalue()).credit == {315: "AB"}


# --- names and hashes


def test_name_and_hash_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_image("a.png", IMAGE)
    picture = load_image("./a.png")
    assert picture.name == "./a.png"
    assert picture.sha256 == hashlib.sha256(Path("a.png").read_bytes()).hexdigest()
    assert load_image(Path("a.png")).name == "a.png"


def test_hash_of_pixels() -> None:
    assert load_image(IMAGE).sha256 == load_image(IMAGE.clone()).sha256 == load_image(to_pil(IMAGE)).sha256
    other = IMAGE.clone()
    other[0, 0, 0, 0] = 1 - other[0, 0, 0, 0]
    images = [IMAGE, other, IMAGE.reshape(1, 3, 11, 14), to_pil(IMAGE, torch.ones_like(ALPHA))]
    assert len({load_image(image).sha256 for image in images}) == 4


# --- PIL out


def test_to_pil_rounds() -> None:
    values = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert np.asarray(to_pil(values))[0, :, 0].tolist() == [0, 0, 1, 255, 255]


def test_to_pil_modes() -> None:
    assert to_pil(IMAGE[0]).mode == "RGB"
    assert to_pil(IMAGE).size == (11, 14)
    image = to_pil(IMAGE, ALPHA)
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), LEVELS8[0].permute(1, 2, 0).numpy())


def test_to_pil_refuses() -> None:
    with pytest.raises(ImpastoError, match=r"^alpha: size \(2, 2\) differs from the image's \(14, 11\)"):
        to_pil(IMAGE, torch.ones(1, 1, 2, 2))
    with pytest.raises(ImpastoError, match=r"^alpha: a tensor of shape"):
        to_pil(IMAGE, IMAGE)
    with pytest.raises(ImpastoError, match=r"^image: a tensor with NaN or Inf"):
        to_pil(IMAGE * float("nan"))


# --- saving


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".PNG"])
def test_8_bit_round_trip_is_exact(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    save_image(path, IMAGE)
    assert torch.equal(load_image(path).tensor, IMAGE)
    save_image(path, IMAGE, alpha=torch.ones_like(ALPHA), force=True)
    assert torch.equal(load_image(path).tensor, IMAGE)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_16_bit_round_trip_is_exact(tmp_path: Path, ending: str) -> None:
    image, opaque = (LEVELS16[:, :3].double() / 65535).float(), torch.ones(1, 1, 14, 11)
    save_image(tmp_path / f"a{ending}", image, depth=16)
    assert torch.equal(load_image(tmp_path / f"a{ending}").tensor, image)
    save_image(tmp_path / f"b{ending}", image, alpha=opaque, depth=16, recipe=RECIPE)
    picture = load_image(tmp_path / f"b{ending}")
    assert torch.equal(picture.tensor, image)
    assert torch.equal(picture.alpha, opaque)
    assert read_recipe_text(tmp_path / f"b{ending}") == RECIPE


@given(
    levels=st.lists(st.integers(0, 65535), min_size=12, max_size=12),
    depth=st.sampled_from([8, 16]),
    ending=st.sampled_from([".png", ".tiff"]),
)
@settings(max_examples=40, deadline=None)
def test_every_level_survives(
    tmp_path_factory: pytest.TempPathFactory, levels: list[int], depth: int, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"level{ending}"
    most = 2**depth - 1
    image = (torch.tensor([level % (most + 1) for level in levels], dtype=torch.float64) / most).float()
    save_image(path, image.reshape(1, 3, 2, 2), depth=depth, force=True)
    assert torch.equal(load_image(path).tensor.flatten(), image)


@pytest.mark.parametrize("ending", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_alpha_comes_back(tmp_path: Path, ending: str, depth: int) -> None:
    if ending == ".webp" and depth == 16:
        pytest.skip("WebP has 8 bits")
    path = tmp_path / f"a{ending}"
    save_image(path, IMAGE, alpha=ALPHA, depth=depth)
    torch.testing.assert_close(load_image(path).alpha, ALPHA, atol=1e-6, rtol=0)


def test_jpeg_is_flattened_onto_white(tmp_path: Path) -> None:
    red = torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1).expand(1, 3, 16, 16)
    alpha = torch.full((1, 1, 16, 16), 0.5)
    save_image(tmp_path / "a.jpg", red, alpha=alpha)
    picture = load_image(tmp_path / "a.jpg")
    assert picture.alpha is None
    torch.testing.assert_close(picture.tensor[0, :, 8, 8], torch.tensor([1.0, 0.5, 0.5]), atol=3 / 255, rtol=0)


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".avif"])
def test_lossy_formats_stay_close(tmp_path: Path, ending: str) -> None:
    smooth = resize(IMAGE[..., :4, :4], (48, 48))
    save_image(tmp_path / f"a{ending}", smooth)
    assert (load_image(tmp_path / f"a{ending}").tensor - smooth).abs().mean() < 0.02


@pytest.mark.parametrize("ending", ENDINGS)
def test_same_arguments_same_bytes(tmp_path: Path, ending: str) -> None:
    for name in "ab":
        save_image(tmp_path / f"{name}{ending}", IMAGE, alpha=ALPHA, recipe=RECIPE)
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_recipe_comes_back(tmp_path: Path, ending: str) -> None:
    save_image(tmp_path / f"with{ending}", IMAGE, recipe=RECIPE)
    save_image(tmp_path / f"without{ending}", IMAGE)
    assert read_recipe_text(tmp_path / f"with{ending}") == RECIPE
    assert read_recipe_text(str(tmp_path / f"without{ending}")) is None
    # The text changes no pixel.
    with_text, without = (load_image(tmp_path / f"{name}{ending}").tensor for name in ("with", "without"))
    assert torch.equal(with_text, without)


def test_recipe_of_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(ImpastoError, match=r"a.png: is not an image that impasto reads"):
        read_recipe_text(tmp_path / "a.png")
    with pytest.raises(ImpastoError, match=r"b.png: no such file"):
        read_recipe_text(tmp_path / "b.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "c.gif")
    assert read_recipe_text(tmp_path / "c.gif") is None


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "avif"])
def test_into_an_open_file(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    save_image(file, IMAGE, kind=kind, recipe=RECIPE)
    save_image(tmp_path / f"a.{kind}", IMAGE, recipe=RECIPE)
    assert file.getvalue() == (tmp_path / f"a.{kind}").read_bytes()


def test_what_an_open_file_becomes(tmp_path: Path) -> None:
    for name, start in (("a.tif", b"II*"), ("a.jpg", b"\xff\xd8"), ("a", b"\x89PNG")):
        with (tmp_path / name).open("wb") as file:
            save_image(file, IMAGE)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(ImpastoError, match="kind: 'gif' is unknown; give one of png, jpeg, webp, tiff, avif"):
        save_image(io.BytesIO(), IMAGE, kind="gif")
    with pytest.raises(ImpastoError, match="the open file: jpeg has no 16 bits a channel"):
        save_image(io.BytesIO(), IMAGE, kind="jpeg", depth=16)


def test_quality() -> None:
    for kind in ("jpeg", "webp", "avif"):
        sizes = []
        for quality in (20, 90):
            file = io.BytesIO()
            save_image(file, resize(IMAGE, (64, 64)), kind=kind, quality=quality)
            sizes.append(len(file.getvalue()))
        assert sizes[0] < sizes[1]


# --- refused outputs


def test_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(ImpastoError) as caught:
        save_image(path, IMAGE)
    assert str(caught.value) == f"{path}: exists already; give force to replace it"
    assert path.read_bytes() == b"precious"
    save_image(path, IMAGE, force=True)
    assert torch.equal(load_image(path).tensor, IMAGE)


@pytest.mark.parametrize(
    ("name", "depth", "message"),
    [
        ("a.bmp", 8, r"'.bmp' is not supported; end the name in one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif"),
        ("a", 8, "'' is not supported; end the name in one of .png"),
        ("a.jpg", 16, "jpeg has no 16 bits a channel; save it as .png or .tiff"),
        ("a.JPEG", 16, "jpeg has no 16 bits a channel"),
        ("a.webp", 16, "webp has no 16 bits a channel"),
        ("a.png", 12, "12 bits are not supported; take 8 or 16"),
        ("no/such/a.png", 8, "the folder .*such does not exist; make it first"),
        (".", 8, r"is a folder; give a file name, such as .*painting.png"),
    ],
)
def test_output_path_is_refused(tmp_path: Path, name: str, depth: int, message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        check_output_path(tmp_path / name, force=True, depth=depth)
    with pytest.raises(ImpastoError, match=message):
        save_image(tmp_path / name, IMAGE, depth=depth)
    assert list(tmp_path.iterdir()) == []


def test_output_path_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ending in ENDINGS:
        check_output_path(f"a{ending}", force=False, depth=8)
    for ending in (".png", ".tif", ".tiff"):
        check_output_path(tmp_path / f"a{ending}", force=False, depth=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
def test_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ImpastoError, match="cannot be written to; choose another"):
        check_output_path(tmp_path / "a.png", force=False, depth=8)


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range(tmp_path: Path, quality: int) -> None:
    with pytest.raises(ImpastoError, match=f"quality: {quality} is not between 1 and 100"):
        save_image(tmp_path / "a.jpg", IMAGE, quality=quality)


@pytest.mark.parametrize(("ending", "limit"), [(".webp", 16383), (".jpg", 65500)])
def test_more_pixels_a_side_than_the_format_has(tmp_path: Path, ending: str, limit: int) -> None:
    save_image(tmp_path / f"fits{ending}", torch.zeros(1, 3, 1, limit))
    with pytest.raises(ImpastoError, match=f"has at most {limit} pixels a side; save it as .png or .tiff"):
        save_image(tmp_path / f"a{ending}", torch.zeros(1, 3, 1, limit + 1))


def test_bad_pixels_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="NaN"):
        save_image(tmp_path / "a.png", IMAGE * float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_failure_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImpastoError, match="No space left on device"):
        save_image(tmp_path / f"a{ending}", IMAGE, recipe=RECIPE)
    assert list(tmp_path.iterdir()) == []


# --- sizes


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((480, 640), 320, (240, 320)),
        ((640, 480), 320, (320, 240)),
        ((100, 100), 7, (7, 7)),
        ((3, 2), 512, (512, 341)),
        ((1000, 3), 100, (100, 1)),
        ((10000, 2), 16, (16, 1)),
        ((5, 4), 0, (5, 4)),
        ((4, 6), 3, (2, 3)),
        ((3, 2), 1, (1, 1)),
    ],
)
def test_fit_size_known_values(size: tuple[int, int], longest: int, expected: tuple[int, int]) -> None:
    assert fit_size(*size, longest) == expected


@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 5000))
def test_fit_size_properties(height: int, width: int, longest: int) -> None:
    h, w = fit_size(height, width, longest)
    assert max(h, w) == longest
    assert min(h, w) >= 1
    # The short side is the nearest whole number, but never 0.
    exact = min(height, width) * longest / max(height, width)
    assert abs(min(h, w) - max(exact, 1)) <= 0.5 + 1e-9
    assert fit_size(width, height, longest) == (w, h)
    assert fit_size(height, width, max(height, width)) == (height, width)


def test_fit_size_refuses_too_many_pixels() -> None:
    assert fit_size(3, 4, 40, 1200) == (30, 40)
    with pytest.raises(
        ImpastoError,
        match="size: 41 makes 41 x 31 pixels, more than the limit of 1200; give a smaller one or a larger max_pixels",
    ):
        fit_size(3, 4, 41, 1200)


def test_fit_size_refuses_negative() -> None:
    with pytest.raises(ImpastoError, match="size: -1 is negative"):
        fit_size(4, 4, -1)


def test_resize_shapes_and_range() -> None:
    edges = torch.zeros(2, 3, 8, 8)
    edges[..., ::2] = 1  # bicubic overshoots here
    for size in ((16, 24), (3, 5), (1, 1)):
        result = resize(edges, size)
        assert result.shape == (2, 3, *size)
        assert result.min() >= 0
        assert result.max() <= 1
    assert torch.equal(resize(edges, (8, 8)), edges)


def test_resize_is_antialiased() -> None:
    # A checkerboard has no detail left at half its size: without antialiasing it would come out black or white.
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float().expand(1, 3, 64, 64)
    inner = resize(board, (24, 24))[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.02, rtol=0)


def test_resize_keeps_constants_and_the_mean() -> None:
    torch.testing.assert_close(resize(torch.full((1, 3, 9, 9), 0.3), (5, 20)), torch.full((1, 3, 5, 20), 0.3))
    assert resize(IMAGE, (7, 5)).mean().item() == pytest.approx(IMAGE.mean().item(), abs=0.02)


def test_resize_takes_an_alpha_channel_and_gradients() -> None:
    alpha = ALPHA.clone().requires_grad_()
    resize(alpha, (7, 6)).sum().backward()
    assert alpha.grad is not None
    assert torch.isfinite(alpha.grad).all()


class TestPlanes:
    def test_alpha_is_the_fourth(self) -> None:
        picture = load_image(to_pil(IMAGE, ALPHA))
        assert torch.equal(picture.planes[:, :3], picture.tensor)
        assert picture.alpha is not None
        assert torch.equal(picture.planes[:, 3:], picture.alpha)
        colors, alpha = split_alpha(picture.planes)
        assert torch.equal(colors, picture.tensor)
        assert alpha is not None
        smaller = picture.with_planes(resize(picture.planes, (5, 4)))
        assert (smaller.tensor.shape, smaller.alpha.shape) == ((1, 3, 5, 4), (1, 1, 5, 4))  # type: ignore[union-attr]

    def test_none_where_nothing_is_transparent(self) -> None:
        picture = load_image(to_pil(IMAGE, torch.ones_like(ALPHA)))
        assert picture.planes is picture.tensor
        assert split_alpha(picture.planes)[1] is None
        assert picture.with_planes(picture.tensor).alpha is picture.alpha, "the file has one all the same"

    @pytest.mark.parametrize(("spread", "gray"), [(0.0, True), (2 / 255, True), (4 / 255, False)])
    def test_gray_but_for_rounding(self, spread: float, gray: bool) -> None:
        image = IMAGE.mean(1, keepdim=True).expand(1, 3, -1, -1).clone() * 0.9
        image[:, 0, 2, 3] += spread
        assert load_image(image).gray == gray
