from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import ImpastoError
from impasto.features import convert, weights
from impasto.features.weights import WeightFile

from .conftest import Run


@pytest.fixture
def vgg19(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., None]:
    """Says what there is of VGG-19."""
    missing = WeightFile("vgg19", Path("home/vgg19.safetensors"), status="not on this machine: get it")
    there = replace(missing, exists=True, sha256="ab12", origin="mine.pth", size=80_134_624, status="on this machine")

    def be(exists: bool, **changes: Any) -> None:
        file = replace(there if exists else missing, **changes)
        monkeypatch.setattr(weights, "listing", lambda: [file])
        monkeypatch.setattr(weights, "verify", lambda: [file])
        monkeypatch.setattr(weights, "find_vgg19", lambda: file.path if file.exists else None)

    be(False)
    return be


def test_list_where_there_are_none(run: Run, vgg19: Callable[..., None]) -> None:
    result = run("weights", "list")
    assert (result.code, result.out, result.err) == (0, "vgg19: not on this machine: get it\n", "")


def test_list(run: Run, vgg19: Callable[..., None]) -> None:
    vgg19(True)
    assert run("weights", "list").out.splitlines() == [
        "vgg19: on this machine",
        f"  {Path('home/vgg19.safetensors')} (80.1 MB)",
        "  made from mine.pth",
        "  SHA-256 ab12",
    ]


def test_list_json(run: Run, folder: Path) -> None:
    """The real listing, of an empty home: a line for each of them."""
    lines = [json.loads(line) for line in run("weights", "list", "--json").out.splitlines()]
    assert [line["name"] for line in lines] == ["vgg19", "compact", "autoencoder"]
    assert lines[0]["path"] == str(folder / "home" / "vgg19.safetensors")
    assert lines[0]["exists"] is False
    assert not (folder / "home").exists()


class TestGet:
    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch, vgg19: Callable[..., None]) -> list[bool]:
        fetched = []

        def download(progress: Callable[[int, int | None], None] | None) -> Path:
            fetched.append(progress is not None)
            if progress:
                for here in range(4_000_000, 24_000_001, 4_000_000):
                    progress(here, 24_000_000)
            vgg19(True)
            return Path("home/vgg19.safetensors")

        monkeypatch.setattr(weights, "download_vgg19", download)
        return fetched

    def test_fetches(self, run: Run, fetched: list[bool]) -> None:
        result = run("weights", "get", "vgg19")
        assert result.code == 0
        assert result.err.splitlines() == ["impasto: 12 MB of 24 MB", "impasto: 24 MB of 24 MB"]
        assert result.out.startswith("vgg19: on this machine\n")

    def test_not_twice(self, run: Run, fetched: list[bool], vgg19: Callable[..., None]) -> None:
        vgg19(True)
        result = run("weights", "get", "vgg19")
        assert result.code == 0
        assert result.err == "impasto: vgg19: its weights are here already; --force fetches them again\n"
        assert fetched == []
        assert run("weights", "get", "vgg19", "--force").code == 0
        assert fetched == [True]

    def test_quiet(self, run: Run, fetched: list[bool]) -> None:
        result = run("weights", "get", "vgg19", "--quiet")
        assert (result.code, result.out, result.err) == (0, "", "")
        assert fetched == [False]

    def test_json(self, run: Run, fetched: list[bool]) -> None:
        result = run("weights", "get", "vgg19", "--json")
        assert json.loads(result.out)["sha256"] == "ab12"
        assert result.err == ""

    def test_no_network(self, run: Run, monkeypatch: pytest.MonkeyPatch, vgg19: Callable[..., None]) -> None:
        def download(progress: object) -> Path:
            raise ImpastoError("the server cannot be reached; go online")

        monkeypatch.setattr(weights, "download_vgg19", download)
        result = run("weights", "get", "vgg19")
        assert result.code == 2
        assert result.error == "impasto: error: the server cannot be reached; go online"


class TestAdd:
    @pytest.fixture
    def added(self, monkeypatch: pytest.MonkeyPatch, vgg19: Callable[..., None]) -> list[tuple[str, str | None]]:
        added = []

        def add(path: str, convention: str | None) -> Path:
            added.append((path, convention))
            vgg19(True)
            return Path("home/vgg19.safetensors")

        monkeypatch.setattr(weights, "add", add)
        Path("mine.pth").write_bytes(b"")
        return added

    def test_keeps_it(self, run: Run, added: list[tuple[str, str | None]]) -> None:
        result = run("weights", "add", "mine.pth", "--convention", "caffe")
        assert result.code == 0
        assert result.out.startswith("vgg19: on this machine\n")
        assert added == [("mine.pth", "caffe")]

    @pytest.mark.parametrize(("sha256", "code"), [("ab12", 0), ("cd34", 2)])
    def test_others_are_kept(
        self,
        run: Run,
        added: list[tuple[str, str | None]],
        vgg19: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        sha256: str,
        code: int,
    ) -> None:
        vgg19(True)
        other = WeightFile("vgg19", Path("mine.pth"), sha256=sha256)
        monkeypatch.setattr(convert, "read_weights", lambda path, convention: other)
        result = run("weights", "add", "mine.pth")
        assert result.code == code
        assert added == []
        if code:
            assert result.error == (
                f"impasto: error: {Path('home/vgg19.safetensors')}: other weights are there already; "
                "add --force to replace them"
            )
        assert run("weights", "add", "mine.pth", "--force").code == 0
        assert added == [("mine.pth", None)]

    def test_no_weights_at_all(self, run: Run, folder: Path) -> None:
        """The real reader refuses, and nothing is left in the home."""
        result = run("weights", "add", "photo.png")
        assert result.code == 2
        assert "photo.png" in result.error
        assert list(folder.rglob("*.safetensors")) == []

    def test_missing(self, run: Run, folder: Path) -> None:
        assert run("weights", "add", "gone.pth").error == "impasto: error: gone.pth is not there; check the name"


class TestVerify:
    def test_intact(self, run: Run, vgg19: Callable[..., None]) -> None:
        vgg19(True, intact=True, status="intact")
        result = run("weights", "verify")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("vgg19: intact\n")

    def test_none_there(self, run: Run, vgg19: Callable[..., None]) -> None:
        assert run("weights", "verify").code == 0

    def test_damaged(self, run: Run, vgg19: Callable[..., None]) -> None:
        vgg19(True, intact=False, status="cut short")
        result = run("weights", "verify")
        assert result.code == 2
        assert "vgg19: cut short" in result.out
        assert result.err == (
            f"impasto: error: {Path('home/vgg19.safetensors')}: is damaged; "
            "'impasto weights get vgg19 --force' fetches it anew, 'impasto weights add FILE --force' takes yours\n"
        )
