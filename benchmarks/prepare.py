"""What bench.py needs before it can measure: images, weights, and an environment of the peers' own."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from programs import Bench
from runner import CLASSICS, CONTENT, HERE, STYLE, measure, say, torch_version

ENVIRONMENT = HERE.parent / ".bench"


def prepare(arguments: argparse.Namespace) -> Bench:
    """Images, weights and the environment of the peers, or a line that says what is left out for want of them."""
    content, style = arguments.content, arguments.style
    if CLASSICS.is_dir():
        content, style = content or CONTENT, style or STYLE
    elif not (content and style):
        folder = arguments.out / "pictures"
        measure([sys.executable, HERE / "pictures.py", folder], threads=arguments.threads)
        content, style = content or folder / "content.png", style or folder / "style.png"
    weights = arguments.weights if arguments.weights.is_file() else None
    python = arguments.peer_python
    if weights is None:
        say(f"no VGG-19 at {arguments.weights} (--weights): the compact extractor alone, no peers and no judge")
    elif not arguments.no_peers and python is None:
        python = environment()
    bench = Bench(
        content=content,
        style=style,
        out=arguments.out / "pictures",
        threads=arguments.threads,
        weights=weights,
        peer_python=None if arguments.no_peers else python,
        options=shlex.split(arguments.options),
    )
    bench.out.mkdir(parents=True, exist_ok=True)
    return bench


def environment() -> Path | None:
    """Python of the peers' own environment, made if it is not there; None, with a line, if it cannot be made."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    if not ready.exists() or ready.stat().st_mtime < (HERE / "peers" / "setup.sh").stat().st_mtime:
        say(f"making {ENVIRONMENT} for the peers (the first time downloads torch)")
        # The part after + names a build, which an index may not have.
        torch = f"torch=={torch_version().partition('+')[0]}"
        made = subprocess.run(
            ["env", f"PYTHON={sys.executable}", "bash", HERE / "peers" / "setup.sh", ENVIRONMENT, torch],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            say(f"the environment of the peers could not be made, so impasto is measured alone: {last}")
            return None
        ready.touch()
    return python
