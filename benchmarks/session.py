"""One run of bench.py: the order of its measurements, each made once and kept."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from figures import TIME
from marks import Quality, fewest_steps, ladder
from programs import PEERS, Bench
from runner import commit, say
from store import Record, Store

#: A picture with more of the photograph's own style than this is no mark: the descent has failed.
UNPAINTED = 0.9


class Session:
    """Measures what is wanted and not in the store yet.

    Args:
        arguments: of bench.py.
        bench: the programs and what they have in common.
        store: where the records go.
    """

    def __init__(self, arguments: argparse.Namespace, bench: Bench, store: Store) -> None:
        self.arguments, self.bench, self.store = arguments, bench, store
        self.repeats: int = arguments.repeats
        self.commit = commit()
        self.programs: list[str] = []

    def run(self) -> None:
        """Everything that --only names; what has repetitions is interleaved."""
        # Which programs there are depends on the processor.
        self.limits(0)
        self.programs = self.bench.programs(self.store.get("limits")[0]["fast_bf16"])
        for turn in range(self.repeats):
            for name, measurement in (("limits", self.limits), ("step", self.step), ("start", self.start)):
                if name in self.arguments.only:
                    measurement(turn)
        for name, once in (("memory", self.memory), ("peer", self.peer), ("mark", self.mark)):
            if name in self.arguments.only:
                once()

    def once(self, key: str, turn: int, action: Callable[[], Record]) -> None:
        """Measure, unless that repetition has been kept."""
        if len(self.store.get(key)) > turn:
            return
        say(f"{datetime.now():%H:%M}  {key.replace('/', '  ')}  {turn + 1}")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.store.add(key, {**action(), "commit": self.commit, "at": at})

    def limits(self, turn: int) -> None:
        """The machine's own."""
        self.once("limits", turn, partial(self.bench.limits, self.arguments.quick))

    def step(self, turn: int) -> None:
        """A few steps at the full size."""
        for size in self.arguments.sizes:
            for program in self.programs:
                action = partial(self.bench.steps, program, size, self.arguments.steps)
                self.once(f"step/{size}/{program}", turn, action)

    def start(self, turn: int) -> None:
        """One step and a picture."""
        for size in self.arguments.mark_sizes:
            for program in self.programs:
                self.once(f"start/{size}/{program}", turn, partial(self.bench.steps, program, size, 1))

    def memory(self) -> None:
        """Whole runs of impasto; once, as memory does not vary."""
        for size in self.arguments.sizes:
            for program in self.programs:
                if program not in PEERS:
                    action = partial(self.bench.painting, program, size, f"default-{program}-{size}")
                    self.once(f"memory/{size}/{program}", 0, action)

    def peer(self) -> None:
        """The peers' own pictures."""
        for size in self.arguments.mark_sizes:
            for peer in self.bench.peers():
                self.once(f"peer/{size}/{peer}", 0, partial(self.peer_picture, peer, size))

    def mark(self) -> None:
        """What it takes to be as good: first the settings, then the time, with the peer's step beside it."""
        marks = {
            (size, peer): quality
            for size in self.arguments.mark_sizes
            for peer in self.bench.peers()
            if (quality := self.mark_of(peer, size))
        }
        for (size, peer), quality in marks.items():
            for ours in TIME:
                self.once(f"found/{size}/{peer}/{ours}", 0, partial(self.search, ours, size, quality))
        for turn in range(self.repeats):
            for size, peer in marks:
                action = partial(self.bench.steps, peer, size, self.arguments.steps)
                self.once(f"reach/{size}/{peer}/{peer}", turn, action)
                for ours in TIME:
                    self.reach(turn, size, peer, ours)

    def peer_picture(self, peer: str, size: int) -> Record:
        """The peer's picture, painted now or, if --peer-json names one, by an earlier run."""
        earlier = next((path for path in self.arguments.peer_json if is_of(path, peer, size)), None)
        if earlier is None:
            record = self.bench.peer_picture(peer, size, self.arguments.peer_steps)
        else:
            record = json.loads(earlier.read_text())
            about = self.store.about
            for name, value in (
                ("steps", self.arguments.peer_steps),
                ("content_sha256", about["content"]["sha256"]),
                ("style_sha256", about["style"]["sha256"]),
            ):
                if record[name] != value:
                    sys.exit(f"--peer-json: {earlier} is of another {name}: {record[name]}, and not {value}")
            picture = earlier.with_name(record["picture"])
            record |= {"picture": str(picture), "earlier": True, **self.bench.judged(picture)}
        if reason := failure(record):
            say(f"{peer} at {size} px has painted nothing to compare with: {reason}")
            record["failed"] = reason
        return record

    def mark_of(self, peer: str, size: int) -> Quality | None:
        """What the judge says of the peer's picture; None if the peer failed."""
        records = self.store.get(f"peer/{size}/{peer}")
        if not records:
            sys.exit(f"there is no picture of {peer} at {size} px to be as good as: add peer to --only")
        if "failed" in records[0]:
            return None
        return Quality(records[0]["style_share"], records[0]["content_error"])

    def search(self, ours: str, size: int, mark: Quality) -> Record:
        """The fewest steps, and λ, for a picture as good; every picture on the way is kept as a record."""

        def probe(steps: int, weight: float) -> Quality:
            key = f"probe/{size}/{ours}/{steps}/{weight:g}"
            action = partial(self.bench.painting, ours, size, f"probe-{ours}-{size}", steps=steps, weight=weight)
            self.once(key, 0, action)
            record = self.store.get(key)[0]
            return Quality(record["style_share"], record["content_error"])

        found = fewest_steps(probe, mark, ladder())
        return {"steps": found.steps, "weight": found.weight} if found else {"steps": None}

    def reach(self, turn: int, size: int, peer: str, ours: str) -> None:
        """A whole run of impasto with the settings that were found, if any were."""
        found: dict[str, Any] = self.store.get(f"found/{size}/{peer}/{ours}")[0]
        if found["steps"] is not None:
            name = f"as-good-as-{peer}-{ours}-{size}"
            action = partial(self.bench.painting, ours, size, name, steps=found["steps"], weight=found["weight"])
            self.once(f"reach/{size}/{peer}/{ours}", turn, action)


def is_of(path: Path, peer: str, size: int) -> bool:
    """Whether a record of a peer's run is of this peer and size."""
    record = json.loads(path.read_text())
    return record["package"].startswith(peer + " ") and record["size"] == size


def failure(record: Record) -> str | None:
    """Why a peer's picture cannot be a mark."""
    for number, loss in record["losses"].items():
        if not math.isfinite(loss):
            return f"its loss is not a number at step {number}"
    if record["style_share"] > UNPAINTED:
        return f"a style share of {record['style_share']:.2f}"
    return None
