"""The weights on this machine: where they lie, how they get there, and whether they are intact.

torch is only imported to read weights: finding and listing them is quick.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from impasto.errors import ImpastoError
from impasto.features.download import KERAS_MD5, KERAS_URL, Progress, fetch
from impasto.files.hashing import file_sha256
from impasto.files.shipped import shipped

GET_IT = "'impasto weights get vgg19' fetches it, 'impasto weights add FILE' takes one of yours"


@dataclass(frozen=True)
class WeightFile:
    """One file of weights, for people to read.

    Attributes:
        name: of the extractor or network that uses it, ``vgg19``, ``compact`` or ``autoencoder``.
        path: where it lies, or would lie.
        exists: whether it is there.
        sha256: the hash that recipes record; "" if it cannot be read.
        origin: the file it was made from.
        size: bytes.
        intact: whether it was read and found whole; None if nobody looked.
        status: all of this in a few words.
    """

    name: str
    path: Path
    exists: bool = False
    sha256: str = ""
    origin: str = ""
    size: int = 0
    intact: bool | None = None
    status: str = ""


def home() -> Path:
    """The folder of the weights: ``$IMPASTO_HOME``, or impasto's folder in the platform's cache."""
    chosen = os.environ.get("IMPASTO_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("impasto", appauthor=False)


def find_vgg19() -> Path | None:
    """The file of VGG-19's weights, if it is there."""
    path = _vgg19_path()
    return path if path.is_file() else None


def add(path: str | Path, convention: str | None = None) -> Path:
    """Convert a file of VGG-19's weights, keep it in :func:`home` in place of one that is there, and return its path.

    The arguments are those of :func:`impasto.features.convert.read_weights`.

    Raises:
        ImpastoError: the file was refused, or cannot be kept; what was there before is still there.
    """
    from impasto.features.convert import read_weights, write_weights

    weights = read_weights(path, convention)
    _make_home()
    write_weights(weights, _vgg19_path())
    return _vgg19_path()


def download_vgg19(progress: Progress | None = None, url: str = KERAS_URL, md5: str = KERAS_MD5) -> Path:
    """Fetch Keras' file (80 MB), check it, convert it, keep it in :func:`home` and return its path.

    What came before the connection broke is kept, and the next call resumes there; for ``progress`` see
    :func:`impasto.features.download.fetch`.

    Raises:
        ImpastoError: no connection, no such file, a broken transfer, a wrong hash, or no room on the disk.
    """
    from impasto.features.convert import read_weights, write_weights

    name = url.rsplit("/", 1)[-1]
    _make_home()
    downloaded = fetch(url, home() / f"{name}.part", md5=md5, progress=progress)
    write_weights(read_weights(downloaded, name=name), _vgg19_path())
    downloaded.unlink()
    return _vgg19_path()


def listing() -> list[WeightFile]:
    """VGG-19, the compact extractor and the auto-encoder, by the headers of their files."""
    return [_look_at_vgg19(), _look_at_shipped("compact"), _look_at_shipped("autoencoder")]


def verify() -> list[WeightFile]:
    """As :func:`listing`, with every file that is there read and checked from end to end."""
    return [_read_through(file) if file.exists else file for file in listing()]


def _vgg19_path() -> Path:
    return home() / "vgg19.safetensors"


def _make_home() -> None:
    try:
        home().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be made ({error.strerror}); set IMPASTO_HOME to another one"
        raise ImpastoError(f"{home()}: {what}") from error


def _look_at_vgg19() -> WeightFile:
    path = _vgg19_path()
    if not path.is_file():
        return WeightFile("vgg19", path, status=f"not on this machine: {GET_IT}")
    from impasto.features.layouts import read_metadata

    found = WeightFile("vgg19", path, True, size=path.stat().st_size, status="on this machine")
    try:
        metadata = read_metadata(path)
    except ImpastoError as error:
        return replace(found, intact=False, status=str(error))
    return replace(found, sha256=metadata.get("sha256", ""), origin=metadata.get("origin", ""))


def _look_at_shipped(name: str) -> WeightFile:
    path = shipped(name)
    if not path.is_file():
        return WeightFile(name, path, status="missing: install impasto again")
    return WeightFile(name, path, True, file_sha256(path), "impasto", path.stat().st_size, status="in the package")


def _read_through(file: WeightFile) -> WeightFile:
    try:
        if file.name == "vgg19":
            from impasto.features.convert import read_weights

            file = replace(file, sha256=read_weights(file.path).sha256)
        elif file.name == "compact":
            from impasto.features.compact import Compact

            Compact.from_file(file.path)
        else:
            from impasto.networks.autoencoder import AutoEncoder

            AutoEncoder.from_file(file.path)
    except ImpastoError as error:
        return replace(file, intact=False, status=str(error))
    return replace(file, intact=True, status="intact")
