"""SIGKILL at random moments, over all methods and trainings.

    cd tests && python -m campaigns.kills 200

A run that was killed, and resumed until it comes to its end, has to leave the bytes of an undisturbed one, and the same
files, none more. Every run writes a checkpoint after each step.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .ground import Ended, contents, keep_always, make_ground, run, start, wait

PAINT = "../photo.png ../painting.png -o out.png --threads 1 --quiet"
REFINE = f"{PAINT} --extractor ../tiny.safetensors --size 64"
TRAIN = "--out net.safetensors --threads 1 --quiet --batch 4"
FACES = f"--data ../faces {TRAIN} --side 16 --width 2"
SIDE = "--side 32 --precision fp32"


@dataclass(frozen=True)
class Work:
    """A command, what begins it again after a kill, and what comes before it in its process."""

    command: str
    again: str = "--resume"
    prepare: Callable[[], None] = keep_always
    #: Files of which a resumed run leaves others: logs that tell of both.
    apart: str = "/"


def quick_teacher() -> None:
    """The compact extractor learns from random convolutions, as VGG-19 takes too long."""
    from impasto import features
    from impasto.training import distil

    sys.path.append(str(Path(__file__).parents[1] / "training"))
    from teacher import NARROW, Teacher

    keep_always()
    train: Any = distil.train
    distil.train = partial(train, architecture=NARROW)
    features.load_extractor = lambda *_, **__: Teacher()


WORKS = {
    "lbfgs": Work(f"stylize {REFINE} --steps 12"),
    "adam": Work(f"stylize {REFINE} --steps 12 --optimizer adam --init noise"),
    "previews": Work(f"stylize {REFINE} --steps 8 --preview way --preview-every 2"),
    "tiles": Work(f"stylize {REFINE} --steps 6 --size 512 --max-memory 260M"),
    "hybrid": Work(f"stylize {REFINE} --steps 8 --method hybrid --model ../net.safetensors"),
    "instant": Work(f"stylize {PAINT} --size 64 --method instant --model ../net.safetensors", "--force"),
    "sweep": Work(f"sweep {REFINE} --steps 4 --content-weights 1e-4,1e-2 --cells cells", "--force"),
    "attributes": Work(f"train attributes {FACES} --epochs 3"),
    "faces": Work(f"train faces {FACES} --steps 6 --sample-every 2"),
    "autoencoder": Work(
        f"train autoencoder {TRAIN} --content ../photos --style ../paintings {SIDE} --steps 4 "
        "--extractor ../tiny.safetensors --judge ../tiny.safetensors",
        apart="events.out",
    ),
    "extractor": Work(
        f"train extractor {TRAIN} --data ../photos --teacher vgg19 {SIDE} --steps 5 "
        "--memory 8 --painted 1 --paint-every 2",
        prepare=quick_teacher,
    ),
}


@dataclass
class Tally:
    """What came of the kills of one work."""

    kills: int = 0
    runs: int = 0
    same: int = 0
    leftovers: list[str] = field(default_factory=list)
    failed: list[Ended] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether all was as it should be."""
        return self.same == self.runs and not self.leftovers and not self.failed


def campaign(ground: Path, name: str, kills: int, dice: random.Random) -> Tally:
    """Kill the runs of one work that often."""
    work, tally = WORKS[name], Tally()
    folder = ground / f"{name}-whole"
    folder.mkdir()
    whole = run(folder, work.command.split(), work.prepare)
    assert whole.code == 0, whole.text
    wanted = kept(folder, work)
    while tally.kills < kills:
        folder = ground / f"{name}-{tally.runs}"
        folder.mkdir()
        command, moment = work.command, dice.uniform(0, whole.seconds)
        while True:  # Some are killed twice and more.
            ended = killed(folder, command.split(), work, moment)
            command, moment = f"{work.command} {work.again}", dice.uniform(0, 3 * whole.seconds)
            if ended.code != -signal.SIGKILL:
                break
            tally.kills += 1
        if ended.code == 0 and not (folder / "out.png").exists() and not (folder / "net.safetensors").exists():
            ended = Ended(70, "nothing was written", 0.0, 0)
        tally.runs += 1
        if ended.code != 0:
            tally.failed.append(ended)
        found = kept(folder, work)
        tally.same += all(found.get(path) == data for path, data in wanted.items())
        tally.leftovers += [path for path in found if path not in wanted]
        shutil.rmtree(folder)
    return tally


def killed(folder: Path, command: list[str], work: Work, moment: float) -> Ended:
    """Begin a command, and kill it after so many seconds, unless it is at its end."""
    began = time.monotonic()
    child = start(folder, command, work.prepare)
    while (left := began + moment - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(min(left, 0.002))
    os.kill(child, signal.SIGKILL)
    return wait(child, folder, began)


def kept(folder: Path, work: Work) -> dict[str, bytes]:
    """What a run has left."""
    return {path: data for path, data in contents(folder).items() if work.apart not in f" {path}"}


def main() -> None:
    """Kill so many runs, and tell what came of it."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 2 * len(WORKS)
    chosen = sys.argv[2:] or list(WORKS)
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        ground = make_ground(Path(folder))
        for index, name in enumerate(chosen):
            share = kills * (index + 1) // len(chosen) - kills * index // len(chosen)
            began = time.monotonic()
            tally = campaign(ground, name, share, dice)
            took = time.monotonic() - began
            counts = f"{tally.kills:4} kills {tally.runs:4} runs {tally.same:4} the same"
            wrong = f"{len(tally.leftovers):4} leftovers {len(tally.failed):4} failed"
            print(f"{name:12} {counts} {wrong} {took:6.0f} s", flush=True)
            for line in [*tally.leftovers[:5], *(ended.text[-500:] for ended in tally.failed[:3])]:
                print("   ", line)


if __name__ == "__main__":
    main()
