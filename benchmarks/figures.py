"""What follows from the measurements of bench.py: medians, shares, ratios. Pure functions of the records."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import flops
from programs import NAMES, PEERS
from store import Record, Store

#: Pairs of pictures that torch's L-BFGS remembers by default; both peers leave that as it is.
PEER_HISTORY = 100
#: Figures to reach: impasto's time over the peer's until the picture is as good, by extractor.
TIME = {"vgg19": 1 / 25, "compact": 1 / 60}
STEP, BF16_SHARE, MEMORY = 0.85, 0.85, 1 / 3


@dataclass(frozen=True)
class Step:
    """A step at the full size."""

    seconds: float
    fastest: float
    slowest: float
    precision: str
    #: Of the convolutions of VGG-19, a second; None for another extractor.
    gflops: float | None
    #: Of the machine's best matrix product in this precision.
    share: float | None


@dataclass(frozen=True)
class PeerTime:
    """A peer's default steps."""

    #: Start and steps, by the time of a step right beside impasto's runs.
    reckoned: float
    #: Of the run that made the picture; None if that was an earlier one.
    measured: float | None

    @property
    def seconds(self) -> float:
        """The lower of the two, so that no doubt speaks for impasto."""
        return min(self.reckoned, self.measured or self.reckoned)


@dataclass(frozen=True)
class Reached:
    """A picture as good as the mark."""

    steps: int
    weight: float
    seconds: float
    style_share: float
    content_error: float


def sizes(store: Store, first: str) -> list[int]:
    """Of what has been measured under this first part of the key, rising."""
    return sorted({int(rest.partition("/")[0]) for rest in store.under(first)})


def programs(store: Store, first: str, size: int) -> list[str]:
    """Those with a measurement, in the order in which they ran."""
    return list(store.under(first, size))


def rates(store: Store) -> Record:
    """The best of all repetitions: GFLOP/s by precision, and GB/s."""
    runs = store.get("limits")
    return {
        "fp32": max(run["gflops"]["fp32"] for run in runs),
        "bf16": max(run["gflops"]["bf16"] for run in runs),
        "copy": max(run["copy_gb_s"] for run in runs),
    }


def step(store: Store, size: int, program: str) -> Step | None:
    """The median of the repetitions."""
    runs = store.get(f"step/{size}/{program}")
    if not runs:
        return None
    times = [run["seconds_a_step"] for run in runs]
    precision = runs[0].get("precision", "fp32")
    gflops = share = None
    if program != "compact":
        gflops = flops.step(runs[0]["width"], runs[0]["height"]) / median(times) / 1e9
        share = gflops / rates(store)[precision]
    return Step(median(times), min(times), max(times), precision, gflops, share)


def peak_mb(store: Store, size: int, program: str) -> float | None:
    """Peak resident memory of a whole run, in 10^6 bytes.

    A peer's few steps do not fill its optimizer's memory. Without a run of all steps, two pictures in float32 for each
    pair that is still missing are added.
    """
    if program not in PEERS:
        runs = store.get(f"memory/{size}/{program}") or store.get(f"step/{size}/{program}")
        return max((run["peak_mb"] for run in runs), default=None)
    whole = store.get(f"peer/{size}/{program}")
    if whole and whole[0]["steps"] > PEER_HISTORY:
        return whole[0]["peak_mb"]
    runs = store.get(f"step/{size}/{program}")
    return max((run["peak_mb"] + missing_mb(run) for run in runs), default=None)


def missing_mb(run: Record) -> float:
    """What the optimizer's memory grows by once it is full: from a peer's record of few steps."""
    pairs = max(0, PEER_HISTORY - (run["steps"] - 1))
    return pairs * 2 * 4 * 3 * run["width"] * run["height"] / 1e6


def start_seconds(store: Store, size: int, program: str) -> float | None:
    """From the start of the process until the first picture is saved."""
    runs = store.get(f"start/{size}/{program}")
    return median(run["picture_seconds"] for run in runs) if runs else None


def peer_time(store: Store, size: int, peer: str) -> PeerTime | None:
    """How long the peer takes for its default steps."""
    runs = store.get(f"reach/{size}/{peer}/{peer}")
    pictures = store.get(f"peer/{size}/{peer}")
    if not (runs and pictures):
        return None
    steps = pictures[0]["steps"]
    reckoned = median(run["startup_seconds"] + steps * run["seconds_a_step"] for run in runs)
    return PeerTime(reckoned, None if pictures[0].get("earlier") else pictures[0]["seconds"])


def reached(store: Store, size: int, peer: str, ours: str) -> Reached | None:
    """A picture of impasto as good as the peer's; None if none was found."""
    runs = store.get(f"reach/{size}/{peer}/{ours}")
    if not runs:
        return None
    last = runs[-1]
    return Reached(
        last["steps"],
        last["content_weight"],
        median(run["seconds"] for run in runs),
        max(run["style_share"] for run in runs),
        max(run["content_error"] for run in runs),
    )


@dataclass(frozen=True)
class Figure:
    """A figure to reach, what was measured, and whether it holds."""

    what: str
    wanted: str
    measured: str
    held: bool


def figures(store: Store, mark_size: int = 512, step_size: int = 512, memory_size: int = 1024) -> list[Figure]:
    """All that the measurements so far decide."""
    found: list[Figure] = []
    for peer in PEERS:
        seconds = peer_time(store, mark_size, peer)
        for ours, limit in TIME.items():
            what = f"{mark_size} px: time of {NAMES[ours]}, to a picture as good as {peer}'s, over {peer}'s"
            here = reached(store, mark_size, peer, ours)
            if seconds and here:
                share = here.seconds / seconds.seconds
                found.append(Figure(what, f"≤ 1/{1 / limit:.0f}", f"1/{1 / share:.1f}", share <= limit))
            elif any(record["steps"] is None for record in store.get(f"found/{mark_size}/{peer}/{ours}")):
                found.append(Figure(what, f"≤ 1/{1 / limit:.0f}", "not reached", False))
    float32 = "vgg19-fp32" if store.get(f"step/{step_size}/vgg19-fp32") else "vgg19"
    theirs, own = step(store, step_size, "neural-style"), step(store, step_size, float32)
    if theirs and own:
        ratio = own.seconds / theirs.seconds
        what = f"{step_size} px: a step in float32, over neural-style's"
        found.append(Figure(what, f"≤ {STEP}", f"{ratio:.2f}", ratio <= STEP))
    own = step(store, step_size, "vgg19")
    if own and own.share and own.precision == "bf16":
        what = f"{step_size} px: a step in bfloat16, share of the product rate"
        found.append(Figure(what, f"≥ {BF16_SHARE:.0%}", f"{own.share:.0%}", own.share >= BF16_SHARE))
    theirs_mb, own_mb = peak_mb(store, memory_size, "neural-style"), peak_mb(store, memory_size, "vgg19")
    if theirs_mb and own_mb:
        ratio = own_mb / theirs_mb
        what = f"{memory_size} px: peak memory, over neural-style's"
        found.append(Figure(what, "≤ 1/3", f"1/{1 / ratio:.1f}", ratio <= MEMORY))
    return found
