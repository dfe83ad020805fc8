"""VGG-19's weights get onto this machine whole, or not at all."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import platformdirs
import pytest
import torch

from impasto.errors import ImpastoError
from impasto.features import download
from impasto.features.vgg19 import VGG19
from impasto.features.weights import add, download_vgg19, find_vgg19, home, listing, verify

WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
NAMES = [f"block{stage}_conv{i + 1}" for stage, depth in enumerate((2, 2, 4, 4, 4), start=1) for i in range(depth)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    """A file of the right shapes that takes no room: every tensor is one number."""
    state = {}
    for number, width, channels in zip(NUMBERS, WIDTHS[:-1], WIDTHS[1:], strict=True):
        state[f"features.{number}.weight"] = torch.full((1,), 0.5, dtype=torch.float16).expand(channels, width, 3, 3)
        state[f"features.{number}.bias"] = torch.full((1,), 0.25, dtype=torch.float16).expand(channels)
    torch.save(state, tmp_path / "vgg19-torchvision.pth")
    return tmp_path / "vgg19-torchvision.pth"


# The folder


def test_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert home() == folder
    monkeypatch.setenv("IMPASTO_HOME", "~/weights")
    assert home() == Path.home() / "weights"
    for unset in (lambda: monkeypatch.setenv("IMPASTO_HOME", ""), lambda: monkeypatch.delenv("IMPASTO_HOME")):
        unset()
        assert home() == Path(platformdirs.user_cache_dir("impasto", appauthor=False))


def test_add_and_find(pth: Path, folder: Path) -> None:
    assert find_vgg19() is None
    assert not folder.exists()
    path = add(pth)
    assert path == find_vgg19() == folder / "vgg19.safetensors"
    assert [found.name for found in folder.iterdir()] == ["vgg19.safetensors"]
    extractor = VGG19.from_file(path)
    assert extractor.sha256 == VGG19.from_file(pth).sha256
    # Its own file, brought from another machine, can be added like any other, and remembers where it came from.
    moved = path.rename(pth.with_name("elsewhere.safetensors"))
    assert VGG19.from_file(add(moved)).sha256 == extractor.sha256
    assert listing()[0].origin == "vgg19-torchvision.pth"


def test_a_refused_file_changes_nothing(pth: Path, folder: Path) -> None:
    bad = pth.with_name("vgg19-dcbb9e9d.pth")
    bad.write_bytes(pth.read_bytes())
    with pytest.raises(ImpastoError, match="tampered"):
        add(bad)
    assert not folder.exists()
    before = add(pth).read_bytes()
    bad.write_bytes(pth.read_bytes()[:-100])
    with pytest.raises(ImpastoError, match="cut or"):
        add(bad)
    assert [found.name for found in folder.iterdir()] == ["vgg19.safetensors"]
    assert (folder / "vgg19.safetensors").read_bytes() == before


def test_the_convention_is_passed_on(pth: Path) -> None:
    neutral = pth.rename(pth.with_name("mine.pth"))
    with pytest.raises(ImpastoError, match=r"mine\.pth: cannot tell .* --convention torchvision"):
        add(neutral)
    assert VGG19.from_file(add(neutral, "caffe")).mean.flatten().tolist() == pytest.approx(
        [123.68 / 255, 116.779 / 255, 103.939 / 255]
    )


def test_a_home_that_cannot_be_made(pth: Path, folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(ImpastoError, match=r"home: the folder cannot be made \(.*\); set IMPASTO_HOME to another one$"):
        add(pth)


# Lists


def test_listing_and_verify_without_weights(folder: Path) -> None:
    for lines in (listing(), verify()):
        vgg19, compact, autoencoder = lines
        assert (vgg19.name, vgg19.path, vgg19.exists, vgg19.size) == ("vgg19", folder / "vgg19.safetensors", False, 0)
        assert vgg19.intact is None
        assert "'impasto weights get vgg19'" in vgg19.status
        for shipped, name in ((compact, "compact"), (autoencoder, "autoencoder")):
            assert shipped.name == name
            assert shipped.exists
            assert shipped.size == shipped.path.stat().st_size
            assert shipped.sha256 == hashlib.sha256(shipped.path.read_bytes()).hexdigest()
        assert [file.intact for file in lines[1:]] == [None if lines[1].status == "in the package" else True] * 2


def test_listing_and_verify(pth: Path) -> None:
    path = add(pth)
    listed, verified = listing()[0], verify()[0]
    assert listed.exists
    assert listed.intact is None
    assert listed.sha256 == verified.sha256 == VGG19.from_file(path).sha256
    assert listed.origin == verified.origin == "vgg19-torchvision.pth"
    assert listed.size == verified.size == path.stat().st_size
    assert (verified.intact, verified.status) == (True, "intact")


def test_verify_finds_what_listing_does_not(pth: Path) -> None:
    path = add(pth)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert listing()[0].intact is None
    assert verify()[0].intact is False
    assert verify()[0].status.startswith(f"{path}: tampered with or damaged")
    path.write_bytes(content[:1000])
    assert listing()[0].intact is False
    assert listing()[0].status.startswith(f"{path}: cut or damaged")
    assert verify()[0].intact is False


# The download


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file in Keras' layout; repeated numbers are stored in little room."""
    path = tmp_path_factory.mktemp("keras") / "file.h5"
    with h5py.File(path, "w") as file:
        for name, width, channels in zip(NAMES, WIDTHS[:-1], WIDTHS[1:], strict=True):
            kernel = np.full((3, 3, width, channels), 0.5, np.float16)
            file.create_dataset(f"{name}/{name}_W_1:0", data=kernel, compression="gzip", compression_opts=1)
            file[f"{name}/{name}_b_1:0"] = np.zeros(channels, np.float16)
    return path.read_bytes()


class Server(ThreadingHTTPServer):
    """Serves ``content`` at ``/vgg19.h5`` the way ``manner`` says, and remembers which ranges it was asked for."""

    content = b""
    manner = "ranges"
    asked: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/vgg19.h5"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content, wanted = self.server.content, self.headers["Range"]
        self.server.asked.append(wanted)
        if self.path != "/vgg19.h5":
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.manner == "ranges":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.manner != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) // 2 if self.server.manner == "breaks" else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(keras: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.content, server.asked = keras, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_fetched() -> None:
    assert download.KERAS_MD5 == "253f8cb515780f3b799900260a226db6"
    assert download.KERAS_URL.startswith("https://")
    assert download.KERAS_URL.endswith("/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")


@pytest.mark.parametrize("manner", ["ranges", "no length"])
def test_a_download(server: Server, folder: Path, manner: str) -> None:
    server.manner = manner
    seen: list[tuple[int, int | None]] = []
    path = download_vgg19(lambda *state: seen.append(state), server.url, md5(server.content))
    assert path == find_vgg19()
    assert names(folder) == ["vgg19.safetensors"]
    assert verify()[0].intact
    assert listing()[0].origin == "vgg19.h5"
    total = len(server.content) if manner == "ranges" else None
    assert seen[-1] == (len(server.content), total)
    assert [received for received, _ in seen] == sorted({received for received, _ in seen})


def test_a_wrong_md5(server: Server, folder: Path) -> None:
    with pytest.raises(ImpastoError) as caught:
        download_vgg19(url=server.url)
    assert str(caught.value) == (
        f"{server.url}: what came is not the file that was published: its MD5 is {md5(server.content)}, "
        "not 253f8cb515780f3b799900260a226db6. It was thrown away; try again, or give a file of yours to "
        "'impasto weights add FILE'"
    )
    assert names(folder) == []


def test_a_broken_download_goes_on(server: Server, folder: Path) -> None:
    server.manner = "breaks"
    half, whole = len(server.content) // 2, len(server.content)
    with pytest.raises(ImpastoError, match=r"the connection broke .*; the same command again goes on from there$"):
        download_vgg19(url=server.url, md5=md5(server.content))
    assert names(folder) == ["vgg19.h5.part"]
    assert 0 < (folder / "vgg19.h5.part").stat().st_size <= half
    here = (folder / "vgg19.h5.part").stat().st_size
    server.manner = "ranges"
    seen: list[tuple[int, int | None]] = []
    download_vgg19(lambda *state: seen.append(state), server.url, md5(server.content))
    assert server.asked == [None, f"bytes={here}-"]
    assert seen[0][0] > here
    assert seen[-1] == (whole, whole)
    assert names(folder) == ["vgg19.safetensors"]
    assert verify()[0].intact


def test_a_server_that_always_starts_at_the_beginning(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "vgg19.h5.part").write_bytes(server.content[:100])
    server.manner = "no ranges"
    download_vgg19(url=server.url, md5=md5(server.content))
    assert server.asked == ["bytes=100-"]
    assert verify()[0].intact


def test_a_beginning_of_something_longer(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "vgg19.h5.part").write_bytes(server.content + b"and more")
    download_vgg19(url=server.url, md5=md5(server.content))
    assert server.asked == [f"bytes={len(server.content) + 8}-", None]
    assert verify()[0].intact


def test_a_whole_file_is_not_fetched_again(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "vgg19.h5.part").write_bytes(server.content)
    download_vgg19(url=server.url, md5=md5(server.content))
    assert server.asked == []
    assert names(folder) == ["vgg19.safetensors"]


def test_no_such_file(server: Server, folder: Path) -> None:
    url = server.url.replace("vgg19.h5", "other.h5")
    with pytest.raises(
        ImpastoError, match=r"other\.h5: the server answers 404 \(Not Found\); give a file of yours to "
    ):
        download_vgg19(url=url)
    assert names(folder) == []


def test_no_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # Bound, but nobody listens.
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/vgg19.h5"
        with pytest.raises(ImpastoError, match=r"vgg19\.h5: no connection \(.*refused.*\); go online, or give a file"):
            download_vgg19(url=url)
    assert names(folder) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "vgg19.h5.part").symlink_to("/dev/full")
    with pytest.raises(ImpastoError, match=r"part: cannot be written \(No space left on device\); make room, or set "):
        download_vgg19(url=server.url)
    assert find_vgg19() is None


def test_published_content_that_is_no_vgg19(server: Server, folder: Path) -> None:
    server.content = b"\x89HDF\r\n\x1a\n but not really"
    with pytest.raises(ImpastoError, match=r"cut or damaged"):
        download_vgg19(url=server.url, md5=md5(server.content))
    assert find_vgg19() is None
