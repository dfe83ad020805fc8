from __future__ import annotations

import os
from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.files.regular import check_regular, open_regular


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"abc"
        assert check_regular(tmp_path / name) == tmp_path / name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_might_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        with pytest.raises(ImpastoError, match=f"{name}: is a device or a pipe; name a file$"):
            open_regular(tmp_path / name)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"is a folder; name a file in it$"):
        check_regular(tmp_path)
    with pytest.raises(ImpastoError, match=r"gone: cannot be read \(No such file or directory\); check the name$"):
        check_regular(tmp_path / "gone")
    with pytest.raises(ImpastoError, match="is no name of a file"):
        check_regular("a\0b")
