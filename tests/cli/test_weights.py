from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.features import weights

from .conftest import Run, sha256

WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
HOME = Path("home/vgg19.safetensors")
ADD = ("weights", "add", "mine.pth", "--convention", "caffe")


def write_pth(name: str, number: float) -> None:
    """A file of the right shapes that takes no room: every tensor is one number."""
    state = {}
    for index, width, channels in zip(NUMBERS, WIDTHS[:-1], WIDTHS[1:], strict=True):
        state[f"features.{index}.weight"] = torch.full((1,), number, dtype=torch.float16).expand(channels, width, 3, 3)
        state[f"features.{index}.bias"] = torch.full((1,), 0.25, dtype=torch.float16).expand(channels)
    torch.save(state, name)


@pytest.fixture
def mine(folder: Path) -> Path:
    """mine.pth, in the layout of torchvision."""
    write_pth("mine.pth", 0.5)
    return Path("mine.pth")


@pytest.fixture
def added(run: Run, mine: Path) -> Path:
    """mine.pth is kept."""
    assert run(*ADD, "--quiet").code == 0
    return kept()


def kept() -> Path:
    return Path.cwd() / HOME


def facts(out: str) -> dict[str, dict[str, object]]:
    """The lines of ``--json`` by name."""
    return {line["name"]: line for line in map(json.loads, out.splitlines())}


class TestList:
    def test_where_there_are_none(self, run: Run, folder: Path) -> None:
        result = run("weights", "list")
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines()[0] == (
            "vgg19: not on this machine: 'impasto weights get vgg19' fetches it, "
            "'impasto weights add FILE' takes one of yours"
        )
        assert not (folder / "home").exists()

    def test_what_is_there(self, run: Run, added: Path) -> None:
        assert run("weights", "list").out.splitlines()[:4] == [
            "vgg19: on this machine",
            f"  {added} ({added.stat().st_size / 1e6:.1f} MB)",
            "  made from mine.pth",
            f"  SHA-256 {weights.listing()[0].sha256}",
        ]

    def test_json(self, run: Run, folder: Path) -> None:
        """A line for each of them."""
        listed = facts(run("weights", "list", "--json").out)
        assert list(listed) == ["vgg19", "compact", "autoencoder"]
        assert listed["vgg19"]["path"] == str(folder / HOME)
        assert listed["vgg19"]["exists"] is False
        assert listed["compact"]["exists"] is True
        assert not (folder / "home").exists()


class TestGet:
    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch, mine: Path) -> list[bool]:
        """In place of the network, mine.pth comes; whether somebody looked on, for every time."""
        fetched = []

        def download(progress: Callable[[int, int | None], None] | None) -> Path:
            fetched.append(progress is not None)
            if progress:
                for here in range(4_000_000, 24_000_001, 4_000_000):
                    progress(here, 24_000_000)
            return weights.add(mine, "caffe")

        monkeypatch.setattr(weights, "download_vgg19", download)
        return fetched

    def test_fetches(self, run: Run, fetched: list[bool]) -> None:
        result = run("weights", "get", "vgg19")
        assert result.code == 0
        assert result.err.splitlines() == ["impasto: 12 MB of 24 MB", "impasto: 24 MB of 24 MB"]
        assert result.out.startswith("vgg19: on this machine\n")
        assert "compact" not in result.out

    def test_not_twice(self, run: Run, fetched: list[bool], added: Path) -> None:
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
        assert facts(result.out)["vgg19"]["origin"] == "mine.pth"
        assert result.err == ""

    def test_no_network(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")  # Where nobody listens.
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        result = run("weights", "get", "vgg19")
        assert result.code == 2
        assert result.error.startswith("impasto: error: https://storage.googleapis.com/")
        assert "impasto weights add FILE" in result.error
        assert not HOME.exists()


class TestAdd:
    def test_keeps_it(self, run: Run, mine: Path) -> None:
        result = run(*ADD)
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines()[0] == "vgg19: on this machine"
        assert "  made from mine.pth" in result.out.splitlines()
        assert HOME.is_file()

    def test_a_file_that_does_not_tell_needs_the_convention(self, run: Run, mine: Path) -> None:
        result = run("weights", "add", "mine.pth")
        assert result.code == 2
        assert "--convention" in result.error
        assert not HOME.exists()

    def test_the_same_again(self, run: Run, added: Path) -> None:
        before = sha256(HOME)
        assert run(*ADD).code == 0
        assert sha256(HOME) == before

    def test_others_are_kept(self, run: Run, added: Path) -> None:
        before = sha256(HOME)
        write_pth("mine.pth", 0.125)
        result = run(*ADD)
        assert result.code == 2
        assert result.error == (
            f"impasto: error: {added}: other weights are there already; add --force to replace them"
        )
        assert sha256(HOME) == before
        assert run(*ADD, "--force").code == 0
        assert sha256(HOME) != before

    def test_json_and_quiet(self, run: Run, mine: Path) -> None:
        assert facts(run(*ADD, "--json").out)["vgg19"]["path"] == str(kept())
        result = run(*ADD, "--quiet")
        assert (result.code, result.out, result.err) == (0, "", "")

    def test_no_weights_at_all(self, run: Run, folder: Path) -> None:
        """The reader refuses, and nothing is left in the home."""
        result = run("weights", "add", "photo.png")
        assert result.code == 2
        assert "photo.png" in result.error
        assert list(folder.rglob("*.safetensors")) == []

    def test_missing(self, run: Run, folder: Path) -> None:
        assert run("weights", "add", "gone.pth").error == "impasto: error: gone.pth is not there; check the name"


class TestVerify:
    def test_intact(self, run: Run, added: Path) -> None:
        result = run("weights", "verify")
        assert (result.code, result.err) == (0, "")
        assert [line for line in result.out.splitlines() if not line.startswith(" ")] == [
            "vgg19: intact",
            "compact: intact",
            "autoencoder: intact",
        ]

    def test_none_there(self, run: Run, folder: Path) -> None:
        result = run("weights", "verify")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("vgg19: not on this machine")

    def test_damaged(self, run: Run, added: Path) -> None:
        with HOME.open("r+b") as file:
            file.seek(-1000, 2)
            file.write(b"x" * 500)
        result = run("weights", "verify")
        assert result.code == 2
        assert result.out.startswith("vgg19: ")
        assert "vgg19: intact" not in result.out
        assert result.err == (
            f"impasto: error: {added}: is damaged; "
            "'impasto weights get vgg19 --force' fetches it anew, 'impasto weights add FILE --force' takes yours\n"
        )

    def test_quiet(self, run: Run, folder: Path) -> None:
        result = run("weights", "verify", "--quiet")
        assert (result.code, result.out, result.err) == (0, "", "")
