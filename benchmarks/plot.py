"""The measurements of bench.py as a picture: the time of a step by size, and the time to a picture as good."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import figures as f
from programs import NAMES, PEERS
from store import Store

#: Colors that also a color-blind eye tells apart, and markers for those without any.
LOOKS = {
    "neural-style": ("#8a8f98", "s"),
    "pystiche": ("#b08d57", "D"),
    "vgg19-fp32": ("#56a0d3", "v"),
    "vgg19": ("#1f5fa8", "o"),
    "compact": ("#d1495b", "^"),
}


def draw(store: Store, output: Path) -> str | None:
    """Write the plot; a line instead of it where something is missing."""
    if find_spec("matplotlib") is None:
        return "no plot: it needs matplotlib, which pip install 'impasto[lessons]' brings"
    bars = times_to_the_mark(store)
    widths = [1, 1.25] if bars else [1]
    figure, axes = pyplot().subplots(
        1, len(widths), figsize=(5 * sum(widths), 4.2), gridspec_kw={"width_ratios": widths}, squeeze=False
    )
    if not steps_by_size(store, axes[0][0]) and not bars:
        pyplot().close(figure)
        return "no plot: no step has been measured yet"
    if bars:
        draw_times(axes[0][1], bars)
    save(figure, output)
    return None


def pyplot() -> Any:
    """matplotlib's, without a window; loaded only where something is drawn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as module

    return module


def save(figure: Any, output: Path) -> None:
    """Write a figure of pyplot as WebP, and close it."""
    figure.tight_layout()
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    pyplot().close(figure)
    output.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(drawn) as picture:
        picture.convert("RGB").save(output, quality=90, method=6)


def steps_by_size(store: Store, axes: Any) -> bool:
    """A line for each program; whether there is any."""
    sizes = f.sizes(store, "step")
    for program, (color, marker) in LOOKS.items():
        points = [(size, f.step(store, size, program)) for size in sizes]
        known = [(size, step) for size, step in points if step is not None]
        if not known:
            continue
        places, steps = zip(*known, strict=True)
        milliseconds = [1000 * step.seconds for step in steps]
        reach = [
            [1000 * (step.seconds - step.fastest) for step in steps],
            [1000 * (step.slowest - step.seconds) for step in steps],
        ]
        axes.errorbar(places, milliseconds, reach, color=color, marker=marker, capsize=3, label=NAMES[program])
    axes.set(xscale="log", yscale="log", xlabel="longest side, px", ylabel="ms a step", title="A step at the full size")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if sizes:
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    return bool(sizes)


def times_to_the_mark(store: Store) -> list[tuple[str, str, float, float | None]]:
    """(label, program, seconds, how many times faster than the peer)."""
    bars: list[tuple[str, str, float, float | None]] = []
    for size in f.sizes(store, "reach"):
        for peer in PEERS:
            taken = f.peer_time(store, size, peer)
            if taken is None:
                continue
            steps = store.get(f"peer/{size}/{peer}")[0]["steps"]
            bars.append((f"{NAMES[peer]},\n{steps} steps, {size} px", peer, taken.seconds, None))
            for ours in f.TIME:
                if here := f.reached(store, size, peer, ours):
                    label = f"{NAMES[ours]},\n{here.steps} steps"
                    bars.append((label, ours, here.seconds, taken.seconds / here.seconds))
    return bars


def draw_times(axes: Any, bars: list[tuple[str, str, float, float | None]]) -> None:
    """A line for each program, a peer and below it what is as good."""
    place, places = 0.0, []
    for _, program, seconds, times in bars:
        place += 1.6 if program in PEERS and places else 1
        places.append(place)
        color, marker = LOOKS[program]
        axes.plot([1, seconds], [place, place], color=color, linewidth=4, alpha=0.35, solid_capstyle="butt")
        axes.plot(seconds, place, color=color, marker=marker, markersize=8)
        told = f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
        told += f", 1/{times:.0f}" if times else ""
        axes.annotate(told, (seconds, place), (9, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, [label for label, _, _, _ in bars], fontsize=8)
    axes.margins(y=0.08)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="seconds from the start of the process", title="To a picture as good as the peer's")
    axes.set_xlim(1, 6 * max(seconds for _, _, seconds, _ in bars))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
