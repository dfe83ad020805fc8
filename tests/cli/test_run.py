from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from PIL import Image

from impasto.cli.run import run_job, stoppable
from impasto.errors import ImpastoError
from impasto.job import Job
from impasto.recipe import Recipe

from .conftest import painted


def job(**settings: object) -> Job:
    small = {"size": 40, "steps": 2, "extractor": "compact", "threads": 1}
    return Job.check("photo.png", ["painting.png"], "out.png", {**small, **settings})


class TestRunJob:
    def test_says_first_what_there_is_to_say(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run_job(job(), quiet=False, json=False, notices=["made with another torch"])
        out, err = capfd.readouterr()
        assert err.splitlines()[0] == "impasto: made with another torch"
        assert out.startswith("The painting is in out.png (40 x 30 pixels")
        assert painted()

    def test_the_recipe_may_be_another(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run_job(job(), quiet=True, json=False, recorded=lambda recipe: replace(recipe, version="0.0.9"))
        assert Recipe.from_file("out.png").version == "0.0.9"
        assert capfd.readouterr() == ("", "")

    def test_json_is_the_events(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run_job(job(), quiet=False, json=True)
        events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [event["event"] for event in events] == ["planned", "progress", "progress", "saved"]
        assert events[0]["scales"] == [[40, 2]]

    def test_mistakes_go_through(self, folder: Path) -> None:
        with pytest.raises(ImpastoError, match=r"gone\.png"):
            run_job(replace(job(), content="gone.png"), quiet=True, json=False)


class TestStoppable:
    @pytest.mark.parametrize("there", [True, False])
    def test_says_how_to_go_on(self, tmp_path: Path, capfd: pytest.CaptureFixture[str], there: bool) -> None:
        checkpoint = tmp_path / "run"
        if there:
            checkpoint.write_bytes(b"state")
        with pytest.raises(typer.Exit) as stopped, stoppable(checkpoint):
            raise KeyboardInterrupt
        assert stopped.value.exit_code == 130
        told = f"stopped; the same command with --resume goes on from {checkpoint}" if there else "stopped"
        assert capfd.readouterr().err == f"impasto: {told}\n"

    def test_keeps_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(typer.Exit), stoppable(None, tell=False):
            raise KeyboardInterrupt
        assert capfd.readouterr().err == ""


PAINT = (sys.executable, "-m", "impasto", "stylize", "photo.png", "painting.png", "-o", "out.png", "--threads", "1")
REFINE = (*PAINT, "--size", "40", "--steps", "3")  # With a notice: the compact extractor paints.
posix = pytest.mark.skipif(os.name == "nt", reason="the shell of POSIX")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

IN_PYTHON = """
import io, sys
from impasto.cli import main

kind, *command = sys.argv[1:]
closed = io.TextIOWrapper(io.BytesIO())
closed.close()
sys.stdin = sys.stdout = sys.stderr = None if kind == "none" else closed
for number, options in enumerate(([], ["--json"], ["--quiet"])):
    assert main([*command, "-o", f"out{number}.png", *options]) == 0
"""


class TestStreams:
    """A finished painting is saved, whatever has happened to the streams."""

    @posix
    @pytest.mark.parametrize(
        ("options", "streams", "said"),
        [
            pytest.param("--json", ">/dev/full", False, marks=full),
            pytest.param("", "2>/dev/full", True, marks=full),
            pytest.param("--debug", ">/dev/full 2>/dev/full", False, marks=full),
            ("", "2>&-", True),
            ("--json", ">&-", False),
            ("", "<&- >&- 2>&-", False),
        ],
    )
    def test_full_and_closed(self, folder: Path, options: str, streams: str, said: bool) -> None:
        command = [*REFINE, *options.split()]
        done = subprocess.run(["sh", "-c", f'"$@" {streams}', "sh", *command], capture_output=True, text=True)
        assert (done.returncode, painted()) == (0, True), done.stderr
        assert ("The painting is in out.png" in done.stdout) is said
        # Python itself would complain at exit of what it cannot flush.
        assert not [line for line in done.stderr.splitlines() if not line.startswith(("impasto: VGG-19", "step "))]

    @pytest.mark.parametrize("kind", ["none", "closed"])
    def test_no_streams_at_all(self, folder: Path, kind: str) -> None:
        """As under pythonw, or in a program that closed them."""
        done = subprocess.run([sys.executable, "-c", IN_PYTHON, kind, *REFINE[3:]], capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert all(painted(f"out{number}.png") for number in range(3))

    @full
    @posix
    @pytest.mark.parametrize("option", ["--quiet", "--debug"])
    def test_a_mistake_keeps_its_code(self, folder: Path, option: str) -> None:
        command = [*REFINE, "--strength", "1", option]
        done = subprocess.run(["sh", "-c", '"$@" 2>/dev/full', "sh", *command], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_real_signal_of_a_quiet_run(folder: Path, name: str, code: int) -> None:
    """One line, its code, and the checkpoint; nothing else, even with --quiet, and where it comes twice in a row."""
    command = [*PAINT, "--size", "40", "--steps", "100000", "--extractor", "compact", "--quiet"]
    process = subprocess.Popen(
        [*command, "--preview", "way", "--preview-every", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A suite in the background is deaf to Ctrl-C, and would hand that down.
        preexec_fn=lambda: signal.signal(getattr(signal, name), signal.SIG_DFL),
    )
    until = time.monotonic() + 120
    while not Path("way/step-00002.png").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    for _ in range(2):
        process.send_signal(getattr(signal, name))
        time.sleep(0.005)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, "")
    assert err == "impasto: stopped; the same command with --resume goes on from out.png.checkpoint\n"
    assert Path("out.png.checkpoint").stat().st_size > 0
    assert not Path("out.png").exists()
    with Image.open("way/step-00001.png") as preview:
        assert preview.size == (40, 30)
