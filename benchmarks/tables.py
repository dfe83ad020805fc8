"""The measurements of bench.py as Markdown, and the files that it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import figures as f
from plot import draw
from programs import NAMES, PEERS
from store import Store

#: Between these two lines of docs/performance.md the tables stand.
BEGIN, END = "<!-- make bench -->", "<!-- end of make bench -->"
PAGE, PICTURE = "performance.md", "performance.webp"


def write(store: Store, out: Path, docs: Path | None) -> str:
    """OUT/table.md and OUT/plot.webp, and both in ``docs`` if given. Returns the tables."""
    text = report(store)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(text)
    missing = draw(store, out / "plot.webp")
    if missing:
        text += f"\n{missing}\n"
    if docs:
        page = docs / PAGE
        before, begin, rest = page.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}, between which the tables are to stand")
        shown = "" if draw(store, docs / PICTURE) else f"![time of a step, and time to the mark]({PICTURE})\n\n"
        page.write_text(f"{before}{BEGIN}\n\n{shown}{report(store, level=3, goals=False)}\n{END}{after}")
    return text


def report(store: Store, level: int = 2, *, goals: bool = True) -> str:
    """Everything that has been measured, and with ``goals`` what was to be reached."""
    parts = [about(store)]
    for title, table in (
        ("A step", step_table(store)),
        ("As good as the peer", mark_table(store)),
        ("From the start to the first picture", start_table(store)),
        ("impasto's defaults", default_table(store)),
        ("Figures to reach", figure_table(store) if goals else ""),
    ):
        if table:
            parts.append(f"{'#' * level} {title}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def about(store: Store) -> str:
    """What the figures depend on."""
    machine = store.about["machine"]
    commits = sorted({record["commit"] for records in store.records.values() for record in records})
    lines = [
        f"{store.about['content']['name']} × {store.about['style']['name']}",
        "",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; torch {store.about['torch']}",
        f"- impasto {', '.join(commits)}",
    ]
    if store.get("limits"):
        best = f.rates(store)
        lines.append(
            f"- the machine's best: matrix products {best['fp32']:.0f} GFLOP/s in float32, {best['bf16']:.0f} in "
            f"bfloat16; copying {best['copy']:.1f} GB/s, read and written"
        )
    return "\n".join(lines)


def step_table(store: Store) -> str:
    rows = []
    for size in f.sizes(store, "step"):
        theirs = f.step(store, size, "neural-style")
        for program in f.programs(store, "step", size):
            step, peak = f.step(store, size, program), f.peak_mb(store, size, program)
            assert step is not None
            rows.append(
                (
                    f"{size} px",
                    NAMES[program],
                    f"{1000 * step.seconds:.0f}",
                    f"{1000 * step.fastest:.0f}–{1000 * step.slowest:.0f}",
                    f"{step.seconds / theirs.seconds:.2f}" if theirs else "",
                    f"{step.gflops:.0f}" if step.gflops else "",
                    f"{step.share:.0%} of {step.precision}" if step.share else "",
                    f"{peak:.0f}" if peak else "",
                )
            )
    head = ("", "", "ms", "from–to", "over neural-style's", "GFLOP/s", "share of the product rate", "peak MB")
    return table(head, rows)


def mark_table(store: Store) -> str:
    rows = []
    for size in f.sizes(store, "peer"):
        for peer in PEERS:
            pictures, taken = store.get(f"peer/{size}/{peer}"), f.peer_time(store, size, peer)
            if not pictures:
                continue
            picture = pictures[0]
            if "failed" in picture:
                rows.append((f"{size} px", f"**{NAMES[peer]}**", f"failed: {picture['failed']}", "", "", "", "", ""))
                continue
            quality = (f"{picture['style_share']:.3f}", f"{picture['content_error']:.3f}")
            seconds = taken.seconds if taken else picture["seconds"]
            rows.append((f"{size} px", f"**{NAMES[peer]}**", str(picture["steps"]), "", *quality, f"{seconds:.0f}", ""))
            for ours in f.TIME:
                here = f.reached(store, size, peer, ours)
                if here:
                    own = (f"{here.style_share:.3f}", f"{here.content_error:.3f}", f"{here.seconds:.1f}")
                    times = f"{taken.seconds / here.seconds:.1f}" if taken else ""
                    rows.append(("", NAMES[ours], str(here.steps), f"{here.weight:.3g}", *own, times))
                elif store.get(f"found/{size}/{peer}/{ours}"):
                    rows.append(("", NAMES[ours], "not reached", "", "", "", "", ""))
    return table(("", "", "steps", "λ", "style share", "content error", "seconds", "peer's time over it"), rows)


def start_table(store: Store) -> str:
    rows = []
    for size in f.sizes(store, "start"):
        for program in f.programs(store, "start", size):
            rows.append((f"{size} px", NAMES[program], f"{f.start_seconds(store, size, program):.1f}"))
    return table(("", "", "seconds"), rows)


def default_table(store: Store) -> str:
    rows = []
    for size in f.sizes(store, "memory"):
        for program in f.programs(store, "memory", size):
            run = store.get(f"memory/{size}/{program}")[0]
            judged = [f"{run[name]:.3f}" if name in run else "" for name in ("style_share", "content_error")]
            cost = (f"{run['seconds']:.1f}", f"{run['peak_mb']:.0f}")
            rows.append((f"{size} px", NAMES[program], str(run["steps"]), *judged, *cost))
    return table(("", "", "steps", "style share", "content error", "seconds", "peak MB"), rows)


def figure_table(store: Store) -> str:
    rows = [(one.what, one.wanted, one.measured, "held" if one.held else "MISSED") for one in f.figures(store)]
    return table(("", "wanted", "measured", ""), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; nothing without rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "| --- " * len(head) + "|", *lines]) if lines else ""
