"""Options that several commands share, and those that are made from a dataclass of settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from impasto.errors import ImpastoError
from impasto.files.atomic import check_writable
from impasto.settings import DESCENT, LOOK, MACHINE, OUTPUT, About, described

# main() looks for --debug itself: it counts wherever it stands. Declared, it shows in the help.
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that exist.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=OUTPUT)]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object a line, instead of text.", rich_help_panel=OUTPUT)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on from the checkpoint beside the output, if there is one.", rich_help_panel=OUTPUT
    ),
]


def written(metavar: str = "OUT", what: str = "The picture: .png, .jpg, .webp or .tif.") -> Any:
    """The option that says where a file goes."""
    return typer.Option("--output", "-o", metavar=metavar, help=what, show_default=False, rich_help_panel=OUTPUT)


class Command(TyperCommand):
    """A command whose help has its options by panel, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, the panels of the settings, what else there is."""
        last = (MACHINE, OUTPUT, "Options")
        panels: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", LOOK, DESCENT)}
        for item in self.get_params(ctx):
            record = item.get_help_record(ctx)
            if record is not None:
                plain = "Arguments" if item.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(item, "rich_help_panel", None) or plain, []).append(record)
        for name, records in sorted(panels.items(), key=lambda item: last.index(item[0]) if item[0] in last else -1):
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def spell(name: str, value: str | None = None) -> str:
    """A setting as the command line has it: ``--content-weight``, ``--method instant``."""
    option = f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {value}"


def options_of(
    kind: type[Any],
    into: str,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: gives a command one option for each field of a dataclass of settings.

    The command's parameter ``into`` receives a dictionary with ``defaults`` and the fields that were typed; values are
    read here and checked where the settings are made.

    Args:
        kind: the dataclass, see :mod:`impasto.settings`.
        into: the parameter, which then is no option itself.
        only: the fields to take; all if empty.
        without: fields to leave out.
        defaults: of this command, where they differ from the fields'.
    """
    chosen = [
        field for field in described(kind) if field[0].name not in without and (not only or field[0].name in only)
    ]
    defaults = dict(defaults or {})
    added = [_option(*field, defaults) for field in chosen]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            item.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, item in inspect.signature(command).parameters.items()
            if name != into
        ]

        @functools.wraps(command)
        def run(*, context: typer.Context, **values: Any) -> None:
            settings = dict(defaults)
            for item, hint, _ in chosen:
                value, read = values.pop(item.name), _readable(hint)[1]
                if is_typed(context, item.name):
                    settings[item.name] = value if read is None else read(value, item.name)
            # Of a command that is decorated twice, the other decorator has use for the context, too.
            passed = {"context": context} if "context" in hints else {}
            command(**values, **passed, **{into: settings})

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [*own, *added] if "context" in hints else [context, *own, *added]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        del run.__wrapped__
        return run

    return decorate


def _option(item: Field[Any], hint: Any, facts: About, defaults: Mapping[str, Any]) -> inspect.Parameter:
    """A field as a parameter that typer makes an option of."""
    base, read = _readable(hint)
    default, flag = defaults.get(item.name, item.default), spell(item.name)
    if base == (bool | None):  # Neither yes nor no: left to the library.
        flag += f"/{spell('no_' + item.name)}"
    number = "INTEGER" if read is _read_whole else "FLOAT" if read is _read_number else None
    option = typer.Option(
        *(name for name in (facts.short, flag) if name),
        help=ImpastoError(facts.help).spelled(spell),
        rich_help_panel=facts.panel,
        metavar=facts.metavar or number,
        show_default=default is not None,
    )
    shown = str(default) if number and default is not None else default if read is None else None
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=Annotated[base, option]
    )


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether the option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _readable(hint: Any) -> tuple[Any, Callable[[str, str], Any] | None]:
    """A type that the command line can read, and what makes a value of the text where it cannot."""
    optional = False
    while get_origin(hint) in (Annotated, Union, UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        optional = optional or type(None) in get_args(hint)
        hint = parts[0]
    read: Callable[[str, str], Any] | None = None
    if hint in (int, float):
        read, hint = (_read_whole if hint is int else _read_number), str
    elif get_origin(hint) not in (None, Literal):
        read, hint = (_read_layers if issubclass(get_origin(hint), Mapping) else _read_weights), str
        optional = True
    return (hint | None if optional else hint), read


def _read_whole(text: str, setting: str) -> int | str:
    """``512``; what is no number is left to the check of the settings, which knows the bounds."""
    try:
        return int(text)
    except ValueError:
        return text


def _read_number(text: str, setting: str) -> float | str:
    """``1e-3``, likewise."""
    try:
        return float(text)
    except ValueError:
        return text


def _read_weights(text: str, setting: str) -> tuple[float, ...]:
    """``0.7,0.3``."""
    return tuple(_number(part, setting) for part in text.split(","))


def _read_layers(text: str, setting: str) -> dict[str, float]:
    """``relu1_1=1,relu2_1=0.5``: layers and their weights; a layer alone weighs 1."""
    layers: dict[str, float] = {}
    for part in text.split(","):
        layer, separator, weight = part.strip().partition("=")
        if layer in layers:
            raise ImpastoError(f"{layer} stands there twice; name it once", setting=setting)
        layers[layer] = _number(weight, setting) if separator else 1.0
    return layers


def _number(text: str, setting: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ImpastoError(f"{text.strip()!r} is not a number; write for example 0.7", setting=setting) from None


def check_files(*paths: str | Path) -> None:
    """Refuse names of files that are not there, before anything slow is loaded.

    Raises:
        ImpastoError: one is missing, a folder, a device or a pipe.
    """
    from impasto import gallery

    for path in paths:
        file = gallery.resolve(path)
        if file.is_dir():
            raise ImpastoError(f"{path} is a folder; name a file in it")
        if not file.exists():
            raise ImpastoError(f"{path} is not there; check the name")
        if not file.is_file():
            raise ImpastoError(f"{path} is a device or a pipe; name a file")


def check_word_or_file(value: str, words: tuple[str, ...], setting: str) -> None:
    """Refuse a value that is neither one of a few words nor a file.

    Raises:
        ImpastoError: such a value.
    """
    if value not in words and not Path(value).is_file():
        raise ImpastoError(f"{value!r} is neither a file nor one of {', '.join(words)}", setting=setting)


def check_weights_out(
    out: Path, *others: Path, force: bool, setting: str | None = "out", ending: str = ".safetensors"
) -> None:
    """Refuse, before any work, a file of weights that cannot be written, or that would replace another.

    Args:
        out: the file.
        others: what comes beside it.
        force: replace what is there.
        setting: what errors begin with; None for an argument.
        ending: that the file has to have.

    Raises:
        ImpastoError: another ending, no such folder, or one of them exists and ``force`` is not set.
    """
    if out.suffix != ending:
        raise ImpastoError(f"{out} has to end in {ending}", setting=setting)
    if not out.parent.is_dir():
        raise ImpastoError(f"there is no folder {out.parent}; make it first", setting=setting)
    check_writable(out)
    taken = next((path for path in (out, *others) if path.exists()), None)
    if taken is not None and not force:
        raise ImpastoError(f"{taken} exists; name another file or add `force`", setting=setting)


def one_voice(*, quiet: bool, json: bool) -> None:
    """``--quiet`` and ``--json`` at once contradict each other.

    Raises:
        ImpastoError: both are given.
    """
    if quiet and json:
        raise ImpastoError("--quiet and --json: the one prints nothing, the other a line a step; give one of them")
