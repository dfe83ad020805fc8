from __future__ import annotations

import io
from pathlib import Path

from impasto.files.hashing import file_sha256, stream_sha256

#: SHA-256 of the three bytes "abc", from FIPS 180-2, appendix B.1.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_known_value(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == ABC


def test_a_stream_is_read_from_its_beginning() -> None:
    stream = io.BytesIO(b"abc")
    stream.read()
    assert stream_sha256(stream) == ABC


def test_longer_than_a_block() -> None:
    assert stream_sha256(io.BytesIO(b"x" * 3_000_000)) != stream_sha256(io.BytesIO(b"x" * 3_000_001))
