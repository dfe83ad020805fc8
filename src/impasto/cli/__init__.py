"""The command line: one file per command. Nothing but this package prints."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from impasto import __version__
from impasto.cli import (
    demo,
    doctor,
    export,
    features,
    gallery,
    measure,
    rerun,
    stylize,
    sweep,
    weights,
)
from impasto.cli.options import Debug, spell
from impasto.cli.report import flush, note, say
from impasto.errors import ImpastoError

__all__ = ["app", "main"]

app = typer.Typer(
    name="impasto",
    help="Paint a photograph in the style of a painting.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.command("stylize")(stylize.stylize)
app.command("measure")(measure.measure)
app.command("features")(features.features)
app.command("sweep")(sweep.sweep)
app.command("rerun")(rerun.rerun)
app.add_typer(weights.app, name="weights")
app.command("gallery")(gallery.gallery)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(export.app, name="export")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"impasto {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _impasto(
    context: typer.Context,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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
        traceback.print_exception(error)
    if isinstance(error, ImpastoError):
        note(f"error: {error.spelled(spell)}")
        return 2
    if _is_usage_error(error):
        message: str = error.format_message()  # type: ignore[attr-defined]
        note(f"error: {message}")
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        # A disk that is full, a folder that may not be written: the user's to mend, though no check of ours named it.
        note(f"error: {os.fsdecode(error.filename)}: {error.strerror}")
        return 2
    hint = "" if debug else " (the same command with --debug shows where)"
    note(f"failed: {type(error).__name__}: {error}{hint}")
    return 1


def _is_usage_error(error: Exception) -> bool:
    # typer took its parser from click and later made it its own; the class above BadParameter is right in both.
    usage_error = typer.BadParameter.__base__
    return usage_error is not None and isinstance(error, usage_error)
