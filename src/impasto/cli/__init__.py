"""The command line: one file per command. Nothing but this package prints."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from impasto import __version__
from impasto.cli.options import Command, Debug, spell
from impasto.cli.report import complain, flush, note, say
from impasto.errors import ImpastoError

#: Every command and what it does, as the first sentence of its own help has it.
COMMANDS = {
    "stylize": "Paint CONTENT, a photograph, in the style of one painting or several.",
    "measure": "Measure OUT: content, style and total loss, style share, content error, leak, chroma noise, SSIM.",
    "features": "Draw what a CNN sees in IMAGE: the maps of its most active channels, layer by layer, or one channel "
    "closely.",
    "sweep": "Paint CONTENT in the style of STYLE at several content weights, as the figure of Gatys et al., 2015.",
    "rerun": "Make OUT again: same inputs, same settings, same machine, the same bytes.",
    "adapt": "Teach the network one painting or one artist, in minutes: leaves a small file for --model, and a sheet.",
    "weights": "The weights on this machine: list, get, add, verify.",
    "gallery": "List the pictures that come with impasto, tell all about one, or write it to a file.",
    "demo": "Paint a photograph of the gallery: leaves content.png, style.png and painting.png in DIR.",
    "doctor": "Show versions, devices, threads, bf16 support, and which weights are there.",
    "export": "Write a network for other programs.",
    "train": "Make the weights that ship with the package again, or networks of your own.",
    "predict": "Ask a network that was trained here.",
    "generate": "Paint from nothing but random numbers, with a network that was trained here.",
}


class Group(TyperGroup):
    """A command with commands of its own. Alone, it shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As any group, but that nothing typed is no mistake."""
        return super().parse_args(ctx, args or ["--help"])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each with the whole of its first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in self.commands.items()])


class Commands(Mapping[str, Any]):
    """The commands by name; the module of the same name is imported when one is asked for, so that help is quick.

    The module has a function of that name, or an ``app`` with commands of its own.
    """

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        module = import_module(f"impasto.cli.{name}")
        holder = typer.Typer(rich_markup_mode=None, add_completion=False)
        if hasattr(module, "app"):
            for command in module.app.registered_commands:
                command.cls = Command
            holder.add_typer(module.app, name=name, cls=Group)
        else:
            holder.command(name, cls=Command)(getattr(module, name))
        return typer.main.get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Program(Group):
    """The program itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands()

    def invoke(self, ctx: Any) -> Any:
        """Ctrl-C is told by :func:`main`; some versions of typer would end in silence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """From the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


# Without rich: it takes longer to load than all the rest, and [train] in a help text would be markup for it.
app = typer.Typer(
    cls=Program,
    name="impasto",
    help="Paint a photograph in the style of a painting.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"impasto {__version__}")
        raise typer.Exit


@app.callback()
def _impasto(
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; ``sys.argv`` if left out.

    Returns:
        The exit code: 0; 2 for a mistake that the user can mend; 1 for a failure of ours; 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    _open_standard_streams()
    # A file name that the terminal's encoding cannot show is no reason to fail.
    if hasattr(sys.stdout, "reconfigure"):
        with suppress(ValueError):  # It was closed.
            sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Not app(): that would install an exception hook of its own and print usage errors as boxes.
        result = typer.main.get_command(app).main(args=arguments, prog_name="impasto", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except (KeyboardInterrupt, typer.Abort):
        note("stopped")
        code = 130
    except Exception as error:
        code = _explain(error, debug=debug)
    flush(sys.stdout)
    flush(sys.stderr)
    return code


def _open_standard_streams() -> None:
    """Put nothing where a standard stream is closed: else the next file that is opened takes its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _explain(error: Exception, *, debug: bool) -> int:
    """One line about ``error`` on stderr, after its traceback if that was asked for; returns the exit code."""
    if debug:
        complain("".join(traceback.format_exception(error)))
    if isinstance(error, ImpastoError):
        note(f"error: {error.spelled(spell)}")
        return 2
    if _is_usage_error(error):
        message: str = error.format_message()  # type: ignore[attr-defined]
        note(f"error: {message.replace(': Value error, ', ': ')}")  # Some versions of typer ask pydantic.
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        # A disk that is full, a folder that may not be written: the user's to mend, though no check of ours named it.
        note(f"error: {os.fsdecode(error.filename)}: {error.strerror}")
        return 2
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        note("error: there is not enough memory; lower the size, or what is done at once")
        return 2
    hint = "" if debug else " (the same command with --debug shows where)"
    note(f"failed: {type(error).__name__}: {error}{hint}")
    return 1


def _is_usage_error(error: Exception) -> bool:
    # typer took its parser from click and later made it its own; the class above BadParameter is right in both.
    usage_error = typer.BadParameter.__base__
    return usage_error is not None and isinstance(error, usage_error)
