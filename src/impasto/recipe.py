"""What made a picture: everything needed to make it again, as a line of JSON inside the file."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from impasto import gallery
from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.settings import Settings, about

#: What only some recipes have: of pictures that a network had part in, and of runs that were stopped.
_OPTIONAL = {"model", "stopped"}
#: Bytes of the largest file that is looked at for a recipe.
LARGEST = 2**32
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Settings that may be a file.
_FILES = ("init", "extractor", "model")


@dataclass(frozen=True)
class Input:
    """One file that went in.

    Attributes:
        name: its path, or ``gallery:NAME``, as the user typed it; empty for an image that was given in Python without a
            file, and for the network that comes with the package.
        sha256: of the file's bytes (of the pixels, where there was no file), 64 hexadecimal digits.
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
        settings: every keyword of :func:`impasto.stylize` that determines the picture, resolved (no "auto" is left).
            Plain JSON values; tuples become lists. Without a ``method`` it is ``refine``.
        extractor: name of the CNN that looked; None where nothing was refined.
        extractor_sha256: hash of its weights.
        torch: the version that computed it.
        threads: CPU threads used. Sums are split by thread, so the last bits depend on it.
        init_image: the picture that the run began with, where it was a file of its own.
        model: the network that painted, or that began the picture; None where there was none.
        stopped: the step that the run was stopped after, by its callback; None where it was not.
    """

    version: str
    content: Input
    styles: tuple[Input, ...]
    settings: dict[str, Any]
    extractor: str | None
    extractor_sha256: str | None
    torch: str
    threads: int
    init_image: Input | None = None
    model: Input | None = None
    stopped: int | None = None

    def __post_init__(self) -> None:
        # The same plain values as in a recipe that has been through JSON, with which it is compared.
        object.__setattr__(self, "settings", json.loads(_dump(self.settings)))
        object.__setattr__(self, "styles", tuple(self.styles))

    def to_json(self) -> str:
        """One line of ASCII, keys sorted: equal recipes give equal text."""
        parts = asdict(self)
        return _dump({name: value for name, value in parts.items() if name not in _OPTIONAL or value is not None})

    def without_folders(self) -> Recipe:
        """With the names of files alone, as it stands in a picture that others may get to see."""

        def bare(file: Input) -> Input:
            return replace(file, name=_base_name(file.name))

        paths = {name: value for name in _FILES if isinstance(value := self.settings.get(name), str)}
        return replace(
            self,
            content=bare(self.content),
            styles=tuple(map(bare, self.styles)),
            init_image=self.init_image and bare(self.init_image),
            model=self.model and bare(self.model),
            settings={**self.settings, **{name: _base_name(path) for name, path in paths.items()}},
        )

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that :meth:`to_json` wrote.

        Raises:
            ImpastoError: the text is not a recipe; the message says which part is wrong.
        """
        try:
            data = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            raise ImpastoError("the recipe is damaged: it is not JSON") from error
        there = _OPTIONAL & data.keys() if isinstance(data, dict) else set()
        fields = _object(data, "it", set(cls.__dataclass_fields__) - _OPTIONAL | there)
        styles, threads, stopped, painted = fields["styles"], fields["threads"], fields.get("stopped"), "model" in there
        _need(isinstance(styles, list) and bool(styles), "styles has to be a list of at least one image")
        _need(isinstance(fields["settings"], dict), "settings has to be an object")
        _need(type(threads) is int and threads > 0, "threads has to be a number from 1 up")
        _need("stopped" not in there or (type(stopped) is int and stopped > 0), "stopped has to be a number from 1 up")
        _vouched(fields)
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
            stopped=stopped,
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """The recipe inside a picture that impasto saved.

        Raises:
            ImpastoError: the file cannot be read, carries no recipe, or a damaged one.
        """
        from impasto.images import read_recipe_text  # With torch, which a recipe alone does not need.

        text = read_recipe_text(path)
        if text is None:
            mend = "give a picture as impasto saved it (other programs drop the recipe)"
            raise ImpastoError(f"{path} carries no recipe: {mend}")
        try:
            return cls.from_json(text)
        except ImpastoError as error:
            raise ImpastoError(f"{path}: {error}") from error


def _base_name(path: str) -> str:
    """The last part of a path, be it one of this system or of another; ``gallery:NAME`` stays."""
    return re.split(r"[/\\]", path)[-1]


def locate(input: Input, *, beside: str | Path, override: str | Path | None = None, option: str = "content") -> Path:
    """The file that a recipe calls ``input``: in the folder of ``beside``, the picture with the recipe, or the gallery.

    A recipe comes from anybody: no other file is looked at, whatever path it names.

    Args:
        input: its name and hash.
        beside: the picture, or the folder.
        override: a file of the user's to take instead.
        option: the setting that gives it.

    Raises:
        ImpastoError: there is no such file, or it has another hash.
    """
    if override is None and not input.name:
        what = "the picture was made in Python from an image without a file"
        raise ImpastoError(f"{what}: make it again there, with impasto.stylize")
    if override is not None or input.name.startswith(gallery.PREFIX):
        path = gallery.resolve(input.name if override is None else override)
    else:
        folder = Path(beside) if Path(beside).is_dir() else Path(beside).parent
        path = folder / Path(input.name).name
    if not path.is_file():
        raise ImpastoError(f"{path} is not there: say where it lies now with `{option}`")
    if path.stat().st_size > LARGEST or file_sha256(path) != input.sha256:
        what = "is not the file the picture was made from (its SHA-256 differs)"
        raise ImpastoError(f"{path} {what}: give that one with `{option}`")
    return path


def _dump(value: Any) -> str:
    # ASCII, so that any text chunk can carry it; file names that are not UTF-8 survive as lone surrogates.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _need(right: bool, what: str) -> None:
    if not right:
        raise ImpastoError(f"the recipe is damaged: {what}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # Such as 1e999.
        raise ValueError(text)
    return number


def _object(value: Any, name: str, keys: set[str]) -> dict[str, Any]:
    _need(isinstance(value, dict), f"{name} has to be an object")
    missing, unknown = sorted(keys - value.keys()), sorted(value.keys() - keys)
    _need(not missing, f"{name} lacks {', '.join(missing)}")
    _need(not unknown, f"{name} has unknown parts ({', '.join(unknown)}); a newer impasto may read it")
    return dict(value)


def _text(fields: dict[str, Any], key: str) -> str:
    _need(isinstance(fields[key], str), f"{key} has to be text")
    return str(fields[key])


def _hash(fields: dict[str, Any], key: str) -> str:
    value = _text(fields, key)
    _need(_SHA256.fullmatch(value) is not None, f"{key} has to be 64 hexadecimal digits")
    return value


def _vouched(fields: dict[str, Any]) -> None:
    """Every file that the settings name has its hash: others a recipe may not have read."""
    settings = fields["settings"]
    for name, part in (("init", "init_image"), ("model", "model"), ("extractor", "extractor_sha256")):
        word = settings.get(name) is None or settings[name] in about(Settings)[name].words
        _need(word or fields.get(part) is not None, f"its settings name a file for {name}, and it has no hash of it")


def _input(value: Any, name: str) -> Input:
    fields = _object(value, name, {"name", "sha256"})
    return Input(name=_text(fields, "name"), sha256=_hash(fields, "sha256"))
