from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.files.atomic import check_no_input, check_writable, claimed, discard, write_atomically


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_takes_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"x")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImpastoError) as caught:
        write_atomically(path, b"new" * 1000)
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); choose another folder or make room"
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupt_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_appears_only_when_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen, fsync = tmp_path / "a.bin", [], os.fsync

    def watch(descriptor: int) -> None:
        fsync(descriptor)
        seen.append((path.exists(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", watch)
    write_atomically(path, b"12345")
    assert seen == [(False, 5)]


posix = pytest.mark.skipif(os.name != "posix", reason="permissions, pipes and links of POSIX")


@posix
def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.touch(mode=0o600)
    write_atomically(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)


def test_a_file_made_in_the_meantime_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"

    def parts() -> Iterator[bytes]:
        yield b"ours"
        path.write_bytes(b"theirs")

    with pytest.raises(ImpastoError, match=r"a\.bin: exists already; give force to replace it"):
        write_atomically(path, parts(), replace=False)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]
    write_atomically(tmp_path / "b.bin", b"new", replace=False)
    assert (tmp_path / "b.bin").read_bytes() == b"new"


@posix
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "link to nowhere", "folder", "no folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to nowhere":
        path.symlink_to(tmp_path / "gone" / "out.png")
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "gone" / "out.png"
    wanted = (
        "gone does not exist; make it first" if path.parent.name == "gone" or kind == "link to nowhere" else "is a "
    )
    before = [(entry.name, entry.lstat().st_ino) for entry in tmp_path.iterdir()]
    for refuse in (check_writable, lambda path: write_atomically(path, b"new")):
        with pytest.raises(ImpastoError, match=wanted):
            refuse(path)
    assert [(entry.name, entry.lstat().st_ino) for entry in tmp_path.iterdir()] == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_killed_process_leaves_what_the_next_one_uses(tmp_path: Path) -> None:
    """Also where all it had left to do was removing it."""
    for name in ("a.bin", "b.bin"):
        code = (
            "import os, pathlib, sys; from impasto.files.atomic import write_atomically\n"
            "def parts():\n    yield b'half'\n    os._exit(9)\n"
            "write_atomically(pathlib.Path(sys.argv[1]), parts())"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / name)]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    write_atomically(tmp_path / "a.bin", b"whole")
    discard(tmp_path / "b.bin")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.bin", b"whole")]


@posix
def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path, values = tmp_path / "a.bin", [bytes([number]) * 300_000 for number in range(8)]

    def write(value: bytes) -> None:
        for _ in range(5):
            write_atomically(path, [value[:100_000], value[100_000:]])
            assert path.read_bytes() in values

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, values))
    assert list(tmp_path.iterdir()) == [path]


class TestClaims:
    @posix
    def test_one_at_a_time(self, tmp_path: Path) -> None:
        (tmp_path / "link.png").symlink_to("out.png")
        with claimed(tmp_path / "out.png"):
            for name in ("out.png", "link.png"):
                wanted = rf"{name}: another run is writing it; wait for it, or name another file"
                with pytest.raises(ImpastoError, match=wanted), claimed(tmp_path / name):
                    raise AssertionError
            with claimed(tmp_path / "other.png"):
                pass
        with claimed(tmp_path / "out.png"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["link.png"]

    @posix
    def test_the_dead_claim_nothing(self, tmp_path: Path) -> None:
        code = (
            "import os, sys; from impasto.files.atomic import claimed\n"
            "with claimed(sys.argv[1]):\n    os.kill(os.getpid(), 9)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.png")]).returncode == -9
        with claimed(tmp_path / "out.png"):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_a_mistake_ends_it(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), claimed(tmp_path / "out.png"):
            raise KeyError
        assert list(tmp_path.iterdir()) == []


def test_no_output_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "a.png")
    check_no_input(tmp_path / "new.png", tmp_path / "a.png")
    check_no_input(tmp_path / "a.png", "gallery:wave", "content", None, tmp_path / "gone.png")
    for output in ("a.png", "hard.png"):
        with pytest.raises(ImpastoError, match=rf"{output} is one of the inputs; name another file"):
            check_no_input(tmp_path / output, None, tmp_path / "a.png")
