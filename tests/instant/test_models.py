from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from impasto import gallery, stylize
from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.instant import models
from impasto.instant.models import TorchPainter, find_model, load_painter
from impasto.networks.adapted import adapted_card
from impasto.recipe import Input


def test_a_file(model: Path) -> None:
    found = find_model(str(model))
    assert found.path == model
    assert found.input == Input(str(model), file_sha256(model))


def test_the_packages_own_has_no_name() -> None:
    shipped = models.shipped_path()
    assert find_model(None).path == shipped
    assert find_model(None).input == Input("", file_sha256(shipped))


def test_none_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "shipped_path", lambda: tmp_path / "autoencoder.safetensors")
    with pytest.raises(ImpastoError, match=r"^model: no network comes with this installation; name a file"):
        find_model(None)
    with pytest.raises(ImpastoError, match=r"gone: cannot be read .*; check the name"):
        find_model(str(tmp_path / "gone"))
    with pytest.raises(ImpastoError, match=r"is a folder; name a file in it"):
        find_model(str(tmp_path))


def test_what_cannot_be(model: Path, tmp_path: Path) -> None:
    exported = tmp_path / "a.onnx"
    exported.write_bytes(b"")
    with pytest.raises(ImpastoError, match=r"a\.onnx is an ONNX file; add runtime='onnx'$"):
        load_painter(find_model(str(exported)))
    with pytest.raises(
        ImpastoError, match=r"^device: runtime='onnx' computes on the CPU, not on cuda; leave one of the two out$"
    ):
        load_painter(find_model(str(model)), "onnx", "cuda")


def test_torch_on_the_cpu(model: Path) -> None:
    painter, device = load_painter(find_model(str(model)), "torch", "cpu")
    assert isinstance(painter, TorchPainter)
    assert device == "cpu"


class TestTheGallery:
    """What the package has learned of its paintings."""

    @pytest.mark.parametrize("name", gallery.names("painting"))
    def test_every_painting_has_been_learned_with_this_network(self, name: str) -> None:
        path = models.adapted_path(name)
        assert path.stat().st_size < 100_000
        card = adapted_card(path)
        assert card is not None
        assert card["base"] == file_sha256(models.shipped_path())
        assert [painting["sha256"] for painting in card["paintings"]] == [file_sha256(gallery.path(name))]

    def test_it_is_taken_for_the_painting_whatever_its_name(self, tmp_path: Path) -> None:
        copy = tmp_path / "mine.webp"
        shutil.copy(gallery.path("wave"), copy)
        for style in ("gallery:wave", str(copy), copy):
            assert find_model(None, style).path == models.adapted_path("wave")
        assert find_model(None, "gallery:wave").input == Input("", file_sha256(models.adapted_path("wave")))

    def test_it_is_not_taken_for_others(self, model: Path, tmp_path: Path) -> None:
        base = models.shipped_path()
        assert find_model(None, gallery.path("astronaut")).path == base
        assert find_model(None, tmp_path / "gone.png").path == base
        assert find_model("base", "gallery:wave").path == base
        assert find_model("base").input == Input("", file_sha256(base))
        assert find_model(str(model), "gallery:wave").path == model

    def test_one_painting_in_its_own_colors(self, files: tuple[Path, Path]) -> None:
        """Two paintings, or one in the photograph's colors, are what the base is for."""

        def network(*styles: str, **settings: str) -> str:
            painting = stylize(files[0], styles, method="instant", size=64, device="cpu", **settings)
            assert painting.recipe.model is not None
            return painting.recipe.model.sha256

        base, learned = (file_sha256(path) for path in (models.shipped_path(), models.adapted_path("wave")))
        assert network("gallery:wave") == learned
        assert network("gallery:wave", model="base") == base
        assert network("gallery:wave", "gallery:udnie") == base
        assert network("gallery:wave", preserve_color="histogram") == base
