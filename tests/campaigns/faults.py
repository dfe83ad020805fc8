"""Signals, files that appear and folders that go while a picture is painted, and disks that are full.

    cd tests && python -m campaigns.faults 200

No finished painting may be lost, no file of somebody else be replaced, and a run that was stopped goes on to the bytes
of an undisturbed one.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from .ground import Ended, contents, keep_always, make_ground, run, start, wait

STYLIZE = "stylize ../photo.png ../painting.png -o made/out.png --extractor ../tiny.safetensors --size 64"
COMMAND = f"{STYLIZE} --steps 40 --threads 1 --quiet".split()
OUT = "made/out.png"


def signals(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """Ctrl-C, SIGTERM or SIGHUP at a random moment, once or several times in a row."""
    number = dice.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    moment, times = dice.uniform(0, seconds), dice.choice((1, 2, 2, 5))

    def send(child: int) -> None:
        time.sleep(moment)
        for _ in range(times):
            if over(child):
                return
            os.kill(child, number)
            time.sleep(dice.uniform(0, 0.01))

    ended = disturbed(folder, send, lambda: None)
    # In its first moments, before Python itself is ready, the process is the system's.
    if ended.code not in (0, 128 + number, -number) or "Traceback" in ended.text:
        return f"{number.name}: exit code {ended.code}: {ended.text[-300:]}"
    if ended.code == 0:
        return check(folder, whole)
    if "goes on from" not in ended.text and (folder / f"{OUT}.checkpoint").exists():
        return f"{number.name}: the checkpoint is not told of: {ended.text[-300:]}"
    again = run(folder, [*COMMAND, "--resume"])
    return again.text[-300:] if again.code else check(folder, whole)


def appears(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """Somebody makes a file of the output's name in the meantime: both are kept."""

    def make(child: int) -> None:
        await_claim(child, folder)
        time.sleep(dice.uniform(0, seconds / 2))
        (folder / OUT).write_bytes(b"precious")

    ended = disturbed(folder, make, lambda: None)
    if (folder / OUT).read_bytes() != b"precious":
        return "" if ended.code == 0 else "it was replaced"  # It had been finished before.
    return rescued(folder, ended, whole, "made/out-1.png")


def goes(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """The output's folder is removed in the meantime."""

    def remove(child: int) -> None:
        await_claim(child, folder)
        time.sleep(dice.uniform(0, seconds / 2))
        shutil.rmtree(folder / "made", ignore_errors=True)

    ended = disturbed(folder, remove, keep_always if dice.random() < 0.5 else lambda: None)
    if ended.code == 0:
        return ""
    return rescued(folder, ended, whole, "out-1.png")


def small_disk(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """There is room for the picture, and none for its checkpoints."""
    most = len(whole) + dice.randrange(1000)

    def prepare() -> None:
        keep_always()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    ended = disturbed(folder, lambda child: None, prepare)
    return ended.text[-300:] if ended.code else check(folder, whole)


def full_disk(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """There is no room at all: one line, and nothing is left."""
    most = dice.randrange(len(whole))
    ended = disturbed(
        folder, lambda child: None, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)), quiet=True
    )
    left = [name for name in contents(folder) if not name.endswith(".said")]
    return "" if ended.code == 2 and not left else f"exit code {ended.code}, {left}: {ended.text[-300:]}"


def second_run(folder: Path, whole: bytes, seconds: float, dice: random.Random) -> str:
    """Another run of the same output is told so at once, and the first one goes on."""
    heard: list[Ended] = []

    def begin(child: int) -> None:
        await_claim(child, folder)
        time.sleep(dice.uniform(0, seconds / 2))
        other = folder.with_name(f"{folder.name}-other")
        other.symlink_to(folder)
        if not over(child):
            heard.append(run(other, COMMAND))
        other.unlink()

    ended = disturbed(folder, begin, keep_always)
    if ended.code:
        return ended.text[-300:]
    if heard and not heard[0].plain:
        return f"the second: exit code {heard[0].code}: {heard[0].text[-300:]}"
    return check(folder, whole)


KINDS: dict[str, Callable[[Path, bytes, float, random.Random], str]] = {
    item.__name__: item for item in (signals, appears, goes, small_disk, full_disk, second_run)
}


def disturbed(
    folder: Path, disturb: Callable[[int], None], prepare: Callable[[], None], *, quiet: bool = False
) -> Ended:
    """A run, and what happens meanwhile."""
    (folder / "made").mkdir()
    began = time.monotonic()
    # A second of leeway before a run is found to take too long.
    child = start(folder, COMMAND, prepare)
    disturb(child)
    return wait(child, folder, began)


def await_claim(child: int, folder: Path) -> None:
    """Wait until the run has checked its command and begins: what happens before that is told at its start."""
    while not any((folder / "made").glob(".impasto-*.lock")) and not over(child):
        time.sleep(0.002)


def over(child: int) -> bool:
    """Whether a process has ended; it can still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def check(folder: Path, whole: bytes) -> str:
    """Whether the picture is there, and nothing else."""
    found = contents(folder)
    if found.get(OUT) != whole:
        return "another picture" if OUT in found else "no picture"
    return "" if list(found) == [OUT] else f"{sorted(found)} are left"


def rescued(folder: Path, ended: Ended, whole: bytes, place: str) -> str:
    """Whether the painting lies where the error says."""
    found = folder / place
    if ended.code != 2 or "the painting is in" not in ended.text or not found.exists():
        return f"exit code {ended.code}: {ended.text[-300:]}"
    Image.open(found).load()
    return "" if found.read_bytes() == whole else "another picture"


def campaign(folder: Path, count: int, dice: random.Random, kind: str) -> list[str]:
    """So many faults of a kind; what went wrong."""
    ground, bad = make_ground(folder), []
    (ground / "whole" / "made").mkdir(parents=True)
    ended = run(ground / "whole", COMMAND)
    whole = (ground / "whole" / OUT).read_bytes()
    for number in range(count):
        place = ground / f"{kind}-{number}"
        place.mkdir()
        problem = KINDS[kind](place, whole, ended.seconds, dice)
        bad += [f"{kind}: {problem}"] if problem else []
        shutil.rmtree(place)
    return bad


def main() -> None:
    """Try so many, and tell what came of it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4 * len(KINDS)
    for kind in sys.argv[2:] or list(KINDS):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            bad = campaign(Path(folder), count // len(KINDS), random.Random(0), kind)
        print(f"{kind:12} {count // len(KINDS)} wrong {len(bad)} {time.monotonic() - began:.0f} s", flush=True)
        for line in bad[:12]:
            print("   ", line)


if __name__ == "__main__":
    main()
