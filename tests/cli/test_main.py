"""What holds for every command: help, errors, exit codes."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import impasto
from impasto import cli
from impasto.cli import COMMANDS, doctor
from impasto.errors import ImpastoError

from .conftest import Run

SUBCOMMANDS = {
    "weights": ("list", "get", "add", "verify"),
    "export": ("onnx",),
    "train": ("extractor", "attributes", "faces", "autoencoder"),
    "predict": ("attributes",),
    "generate": ("faces",),
}
GROUPS = [[name] for name in SUBCOMMANDS if name in COMMANDS]
ALL = [[name] for name in COMMANDS] + [[group, name] for [group] in GROUPS for name in SUBCOMMANDS[group]]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def modules_after(*commands: list[str]) -> set[str]:
    return set(
        python(
            "import sys\n"
            "from impasto.cli import main\n"
            f"for command in {list(commands)!r}: assert main([*command, '--help']) == 0\n"
            "print('\\nloaded', *sys.modules)"
        )
        .splitlines()[-1]
        .split()
    )


def test_the_first_help_loads_no_command_and_nothing_heavy() -> None:
    loaded = modules_after([])
    assert "typer" in loaded
    assert not {"torch", "numpy", "pydantic", "rich", "tomllib"} & loaded
    assert not {f"impasto.cli.{name}" for name in COMMANDS} & loaded


def test_the_help_of_a_command_loads_no_other_and_nothing_heavy() -> None:
    loaded = modules_after(["stylize"])
    assert not {f"impasto.cli.{name}" for name in COMMANDS if name != "stylize"} & loaded
    every = {name.partition(".")[0] for name in modules_after([], *ALL)}
    assert not {"torch", "numpy", "PIL", "kornia", "h5py", "tifffile", "skimage", "safetensors", "rich"} & every


@pytest.mark.parametrize("command", ALL, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(run: Run, command: list[str], flag: str) -> None:
    result = run(*command, flag)
    assert result.code == 0
    assert result.out.startswith(f"Usage: impasto {' '.join(command)} ")
    assert result.err == ""


def test_the_table_says_what_each_command_says(run: Run) -> None:
    program = typer.main.get_command(cli.app)
    shown = " ".join(run("--help").out.split())
    for name, does in COMMANDS.items():
        assert program.commands[name].get_short_help_str(300) == does
        assert f"{name} {does}" in shown


def test_the_help_of_a_group_has_whole_sentences(run: Run) -> None:
    assert not [group for group in GROUPS if "..." in run(*group, "--help").out.partition("Commands:")[2]]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_square_brackets_survive_in_help(run: Run, command: list[str]) -> None:
    """``pip install 'impasto[train]'``: what the source says in brackets is there, and not taken for markup."""
    shown = " ".join(run(*command, "--help").out.split())
    assert "impasto'" not in shown
    for extra in re.findall(r"'impasto\[\w+\]'", inspect.getdoc(function(command)) or ""):
        assert extra in shown


def function(command: list[str]) -> object:
    """What a command calls."""
    found = typer.main.get_command(cli.app)
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]
    return found.callback


def test_square_brackets_as_they_were_written() -> None:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.command(cls=cli.Command)
    def train(data: str = typer.Option("x", help="As of pip install 'impasto[train]'.")) -> None:
        """Needs pip install 'impasto[train]'."""

    command = typer.main.get_command(app)
    shown = command.get_help(command.context_class(command))
    assert shown.count("'impasto[train]'") == 2


@pytest.mark.parametrize("command", [[], *GROUPS])
def test_a_command_that_is_none_yet_helps(run: Run, command: list[str]) -> None:
    result = run(*command)
    assert result.code == 0
    assert "Commands" in result.out


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.out) == (0, f"impasto {impasto.__version__}\n")


def test_module_runs() -> None:
    output = subprocess.run([sys.executable, "-m", "impasto", "--version"], capture_output=True, text=True, check=True)
    assert output.stdout == f"impasto {impasto.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stylise"], "No such command 'stylise'. Did you mean 'stylize'?"),
        (["--sise", "3"], "No such option: --sise"),
        (["stylize", "photo.png"], "Missing argument 'STYLE'"),
        (["stylize", "photo.png", "painting.png"], "Missing option '--output'"),
        (["stylize", "photo.png", "painting.png", "-o"], "-o"),
        (["doctor", "now"], "unexpected extra argument"),
        (["weights", "get"], "Missing argument"),
        (["weights", "get", "vgg16"], "'vgg16' is not"),
        (["weights", "got"], "No such command 'got'"),
    ],
)
def test_a_usage_error_is_one_line(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert result.error.startswith("impasto: error: ")
    assert message in result.error


class TestErrors:
    """That come out of a command, here of ``doctor``."""

    @pytest.fixture
    def error(self) -> BaseException:
        return ImpastoError("photo.jpg: is no\n  image; give one")

    @pytest.fixture(autouse=True)
    def failing(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        def examine() -> None:
            raise error

        monkeypatch.setattr(doctor, "examine", examine)

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (ImpastoError("photo.jpg: is no\n  image; give one"), 2, "error: photo.jpg: is no image; give one"),
            (ImpastoError("3 is too much", setting="tv_weight"), 2, "error: --tv-weight: 3 is too much"),
            (
                ImpastoError("means nothing with `method=instant`; lower `max_pixels`", setting="steps"),
                2,
                "error: --steps: means nothing with --method instant; lower --max-pixels",
            ),
            (OSError(28, "No space left on device", "out.png"), 2, "error: out.png: No space left on device"),
            (KeyError("lost"), 1, "failed: KeyError: 'lost' (the same command with --debug shows where)"),
            (OSError("nowhere"), 1, "failed: OSError: nowhere (the same command with --debug shows where)"),
        ],
        ids=["user", "setting", "settings", "full disk", "ours", "no file"],
    )
    def test_one_line_and_a_code(self, run: Run, code: int, message: str) -> None:
        result = run("doctor")
        assert (result.code, result.error) == (code, f"impasto: {message}")

    @pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
    @pytest.mark.parametrize(("error", "code"), [(ImpastoError("give one"), 2), (KeyError("lost"), 1)])
    def test_debug_shows_where(self, run: Run, error: Exception, arguments: list[str], code: int) -> None:
        result = run(*arguments)
        assert result.code == code
        assert result.err.startswith("Traceback (most recent call last)")
        assert "in examine" in result.err
        assert str(error) in result.err.splitlines()[-1]

    @pytest.mark.parametrize("error", [KeyboardInterrupt()])
    def test_ctrl_c(self, run: Run) -> None:
        result = run("doctor")
        assert (result.code, result.error) == (130, "impasto: stopped")


@pytest.mark.parametrize("arguments", ["--help", "doctor", "doctor --json", "weights list"])
@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another matter there")
def test_a_reader_that_leaves_is_no_error(arguments: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        output = subprocess.run(
            [sys.executable, "-m", "impasto", *arguments.split()],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "IMPASTO_HOME": str(tmp_path)},
        )
    finally:
        os.close(writer)
    assert output.stderr == ""
    assert output.returncode in (0, 1)
