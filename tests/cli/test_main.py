"""What holds for every command: help, errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import impasto
from impasto.cli import doctor
from impasto.errors import ImpastoError

from .conftest import Run

COMMANDS = [
    ["stylize"],
    ["measure"],
    ["features"],
    ["sweep"],
    ["rerun"],
    ["weights"],
    ["weights", "list"],
    ["weights", "get"],
    ["weights", "add"],
    ["weights", "verify"],
    ["gallery"],
    ["demo"],
    ["doctor"],
    ["train"],
    ["train", "extractor"],
    ["train", "attributes"],
    ["train", "faces"],
    ["train", "autoencoder"],
    ["predict", "attributes"],
    ["generate"],
    ["generate", "faces"],
    ["export"],
    ["export", "onnx"],
]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_waits_with_heavy_imports() -> None:
    loaded = python(
        "import sys\n"
        "from impasto.cli import main\n"
        f"for command in {[[], *COMMANDS]!r}: assert main([*command, '--help']) == 0\n"
        "print('\\nloaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    ).splitlines()[-1]
    assert "typer" in loaded.split()
    for heavy in ("torch", "numpy", "PIL", "kornia", "h5py", "tifffile", "safetensors"):
        assert heavy not in loaded.split()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(run: Run, command: list[str], flag: str) -> None:
    result = run(*command, flag)
    assert result.code == 0
    assert f"impasto {' '.join(command)}" in " ".join(result.out.split())
    assert result.err == ""


@pytest.mark.parametrize("command", [[], ["weights"], ["train"], ["generate"], ["export"]])
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
        (["stylise"], "No such command 'stylise'"),
        (["--sise", "3"], "No such option: --sise"),
        (["stylize", "photo.png"], "Missing argument 'STYLE...'"),
        (["stylize", "photo.png", "painting.png"], "Missing option '--output'"),
        (["stylize", "photo.png", "painting.png", "-o"], "-o"),
        (["doctor", "now"], "unexpected extra argument"),
        (["weights", "get"], "Missing argument"),
        (["weights", "get", "vgg16"], "'vgg16' is not"),
        (["train", "extractor"], "Missing option '--data'"),
    ],
)
def test_a_usage_error_is_one_line(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert result.error.startswith("impasto: error: ")
    assert message in result.error


def fail(error: BaseException) -> object:
    def examine() -> None:
        raise error

    return examine


def test_a_mistake_of_the_user(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", fail(ImpastoError("photo.jpg: is no\n  image; give one")))
    result = run("doctor")
    assert result.code == 2
    assert result.error == "impasto: error: photo.jpg: is no image; give one"


def test_a_failure_of_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", fail(KeyError("lost")))
    result = run("doctor")
    assert result.code == 1
    assert result.error == "impasto: failed: KeyError: 'lost' (the same command with --debug shows where)"


def test_a_full_disk_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", fail(OSError(28, "No space left on device", "out.png")))
    result = run("doctor")
    assert result.code == 2
    assert result.error == "impasto: error: out.png: No space left on device"


@pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
@pytest.mark.parametrize(("error", "code"), [(ImpastoError("give one"), 2), (KeyError("lost"), 1)])
def test_debug_shows_where(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: Exception, code: int
) -> None:
    monkeypatch.setattr(doctor, "examine", fail(error))
    result = run(*arguments)
    assert result.code == code
    assert result.err.startswith("Traceback (most recent call last)")
    assert "in examine" in result.err
    assert str(error) in result.err.splitlines()[-1]


def test_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", fail(KeyboardInterrupt()))
    result = run("doctor")
    assert result.code == 130
    assert "Traceback" not in result.err


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
