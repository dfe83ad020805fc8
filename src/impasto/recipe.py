"""What made this picture: everything needed to make it again, as a line of JSON inside the file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from impasto import gallery
from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Input:
    """One file that went in.

    Attributes:
        name: its path, or ``gallery:NAME``, as the user typed it; empty for an image that was given in Python, not as a
            file, and for the network that comes with the package.
        sha256: hash of the file's bytes (of the pixels, where there was no file), 64 hexadecimal digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """Inputs by hash, settings, seed, weights by hash, versions.

    Same recipe, same machine, same thread count: the same bytes.

    Attributes:
        version: impasto's.
        content: the photograph.
        styles: the paintings, in the order of their weights.
        init_image: the picture that the run began with, where it was a file of its own.
        settings: every keyword of :func:`impasto.stylize` that determines the picture, resolved (no "auto" is left).
            Plain JSON values; tuples become lists. Without a ``method`` it is ``refine``.
        extractor: name of the CNN that looked; None where nothing was refined.
        extractor_sha256: hash of its weights.
        torch: the version that computed it.
        threads: how many CPU threads it used. Sums are split by thread, so the last bits depend on it.
        model: the network that painted, or that began the picture; None where there was none.
    """

    version: str
    content: Input
    styles: tuple[Input, ...]
    settings: dict[str, Any]
    extractor: str | None
    extractor_sha256: str | None
    torch: str
    threads: int
    init_image: Input | None = field(default=None)
    model: Input | None = field(default=None)

    def __post_init__(self) -> None:
        # The recipe is compared with one that has been through JSON: both hold the same plain values.
        object.__setattr__(self, "settings", json.loads(_dump(self.settings)))
        object.__setattr__(self, "styles", tuple(self.styles))

    def to_json(self) -> str:
        """One line of ASCII, keys sorted: equal recipes give equal text."""
        parts = asdict(self)
        if self.model is None:
            del parts["model"]
        return _dump(parts)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that :meth:`to_json` wrote.

        Raises:
            ImpastoError: the text is not a recipe; the message says which part is wrong.
        """
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ImpastoError("the recipe is damaged: it is not JSON") from error
        # Only recipes of pictures that a network had part in have a model.
        painted = isinstance(data, dict) and "model" in data
        fields = _object(data, "it", set(cls.__dataclass_fields__) - ({"model"} if not painted else set()))
        styles = fields["styles"]
        if not isinstance(styles, list) or not styles:
            _damaged("styles has to be a list of at least one image")
        if not isinstance(fields["settings"], dict):
            _damaged("settings has to be an object")
        threads = fields["threads"]
        if type(threads) is not int or threads < 1:
            _damaged("threads has to be a number from 1 up")
        instant = painted and fields["extractor"] is None and fields["extractor_sha256"] is None
        return cls(
            version=_text(fields, "version"),
            content=_input(fields["content"], "content"),
            styles=tuple(_input(style, "styles") for style in styles),
            settings=fields["settings"],
            extractor=None if instant else _text(fields, "extractor"),
            extractor_sha256=None if instant else _hash(fields, "extractor_sha256"),
            torch=_text(fields, "torch"),
            threads=threads,
            init_image=None if fields["init_image"] is None else _input(fields["init_image"], "init_image"),
            model=_input(fields["model"], "model") if painted else None,
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """The recipe inside a picture that impasto saved.

        Raises:
            ImpastoError: the file cannot be read, carries no recipe, or a damaged one.
        """
        # Reading pictures needs torch, which a recipe alone does not.
        from impasto.images import read_recipe_text

        text = read_recipe_text(path)
        if text is None:
            raise ImpastoError(
                f"{path} carries no recipe: give a picture as impasto saved it (other programs drop the recipe)"
            )
        try:
            return cls.from_json(text)
        except ImpastoError as error:
            raise ImpastoError(f"{path}: {error}") from error


def locate(input: Input, *, beside: str | Path, override: str | Path | None = None, option: str = "content") -> Path:
    """The file that a recipe calls ``input``: as typed, or else in the folder of the picture.

    Args:
        input: what to find.
        beside: the picture that carries the recipe, or its folder.
        override: the file to take instead, given by the user.
        option: the setting with which the user gives it, for the message.

    Raises:
        ImpastoError: there is no such file, or the ones there are differ from the recipe's by hash.
    """
    if override is None and not input.name:
        raise ImpastoError(
            "the picture was made in Python from an image without a file: make it again there, with impasto.stylize"
        )
    folder = Path(beside) if Path(beside).is_dir() else Path(beside).parent
    candidates = (
        [gallery.resolve(input.name), folder / input.name, folder / Path(input.name).name]
        if override is None
        else [gallery.resolve(override)]
    )
    found = [path for path in dict.fromkeys(candidates) if path.is_file()]
    for path in found:
        if _sha256(path) == input.sha256:
            return path
    if found:
        raise ImpastoError(
            f"{found[0]} is not the file the picture was made from (its SHA-256 differs): give that one with `{option}`"
        )
    missing = input.name if override is None else override
    raise ImpastoError(f"{missing} is not there: say where it lies now with `{option}`")


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ImpastoError(f"{path} cannot be read: {error.strerror}") from error


def _dump(value: Any) -> str:
    # ASCII, so that any text chunk can carry it; file names that are not UTF-8 survive as lone surrogates.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _damaged(what: str) -> NoReturn:
    raise ImpastoError(f"the recipe is damaged: {what}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _object(value: Any, name: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        _damaged(f"{name} has to be an object")
    if missing := sorted(keys - value.keys()):
        _damaged(f"{name} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - keys):
        _damaged(f"{name} has unknown parts ({', '.join(unknown)}); a newer impasto may read it")
    return value


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str):
        _damaged(f"{key} has to be text")
    return value


def _hash(fields: dict[str, Any], key: str) -> str:
    value = _text(fields, key)
    if not _SHA256.fullmatch(value):
        _damaged(f"{key} has to be 64 hexadecimal digits")
    return value


def _input(value: Any, name: str) -> Input:
    fields = _object(value, name, {"name", "sha256"})
    return Input(name=_text(fields, "name"), sha256=_hash(fields, "sha256"))
