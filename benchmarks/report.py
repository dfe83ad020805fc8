"""Results of refinement.py as tables: what was measured, and the figures to reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNS = ("peer", "default", "literal", "compact")
NAMES = {
    "peer": "neural-style 0.5.7, {steps} steps",
    "default": "impasto, VGG-19",
    "literal": "impasto, VGG-19, neural-style's objective",
    "compact": "impasto, compact",
}
#: The figures to reach, by size.
STYLE_SHARE = {256: 0.045, 512: 0.03}
CONTENT_ERROR = {256: 0.46, 512: 0.55}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "| size | run | seconds | peer's time over it | ms a step | steps | peak MB | style share | content error "
        "| neural-style's objective |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for size in sizes_of(results):
        peer = results.get(f"{size}/peer")
        for run in RUNS:
            record = results.get(f"{size}/{run}")
            if record is None:
                continue
            verdict = record["judge"]
            times = f"{peer['seconds'] / record['seconds']:.1f}" if peer and comparable(peer, record) else ""
            lines.append(
                f"| {size} | {NAMES[run].format(**record)} | {record['seconds']:.1f} | {times} "
                f"| {1000 * record['seconds_a_step']:.0f} | {record['steps']} | {record['peak_mb']:.0f} "
                f"| {verdict['style_share']:.4f} | {verdict['content_error']:.3f} "
                f"| {verdict['objective']['total']:.4g} |"
            )
    return "\n".join(lines)


def filter_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    filters = list(next(iter(results.values()))["judge"]["by_filter"])
    lines = ["| size | run | " + " | ".join(filters) + " |", "| --- | --- " + "| --- " * len(filters) + "|"]
    for size in sizes_of(results):
        for run in RUNS:
            if record := results.get(f"{size}/{run}"):
                found = record["judge"]["by_filter"].values()
                cells = " | ".join(f"{one['style_share']:.4f}, {one['content_error']:.3f}" for one in found)
                lines.append(f"| {size} | {NAMES[run].format(**record)} | {cells} |")
    return "\n".join(lines)


def figures(results: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, bool]]:
    """(what is asked for, what was measured, whether it holds) for everything that has been run."""
    found: list[tuple[str, str, bool]] = []

    def at_most(what: str, value: float, limit: float, unit: str = "") -> None:
        found.append((f"{what} at most {limit:.4g}{unit}", f"{value:.4g}{unit}", value <= limit))

    for size in sizes_of(results):
        peer, default, literal, compact = (results.get(f"{size}/{run}") for run in RUNS)
        if default and size in STYLE_SHARE:
            at_most(f"{size} px, defaults: style share", default["judge"]["style_share"], STYLE_SHARE[size])
            at_most(f"{size} px, defaults: content error", default["judge"]["content_error"], CONTENT_ERROR[size])
        if default:
            at_most(f"{size} px, defaults: peak memory", default["peak_mb"], 1500, " MB")
        if peer and default and comparable(peer, default):
            limit = peer["seconds"] / 7
            at_most(f"{size} px, defaults: time (a seventh of the peer's)", default["seconds"], limit, " s")
        if peer and literal and comparable(peer, literal):
            limit = peer["judge"]["objective"]["total"]
            value = literal["judge"]["objective"]["total"]
            found.append((f"{size} px, peer's objective: below {limit:.4g}", f"{value:.4g}", value < limit))
            limit = peer["seconds"] / 3
            at_most(f"{size} px, peer's objective: time (a third of the peer's)", literal["seconds"], limit, " s")
        if default and compact:
            limit = default["judge"]["style_share"] + 0.12
            at_most(f"{size} px, compact: style share (VGG-19's + 0.12)", compact["judge"]["style_share"], limit)
            faster = default["seconds_a_step"] / compact["seconds_a_step"]
            scales = ", ".join(
                f"{scale} px {default['scales'][scale]['seconds_a_step'] / other['seconds_a_step']:.1f}"
                for scale, other in compact["scales"].items()
                if scale in default["scales"] and other["seconds_a_step"]
            )
            found.append(
                (f"{size} px, compact: at least 4 times faster a step", f"{faster:.1f} ({scales})", faster >= 4)
            )
    return found


def comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["machine"] == other["machine"]


def sizes_of(results: Mapping[str, Any]) -> list[int]:
    return sorted({int(key.partition("/")[0]) for key in results})


def report(results: Mapping[str, Mapping[str, Any]], content: Path, style: Path) -> str:
    machines = {json.dumps(record["machine"], sort_keys=True): record["machine"] for record in results.values()}
    lines = [f"{content.stem} × {style.stem}", ""]
    lines += [f"- {m['cpu']}, {m['cores']} cores, {m['threads']} threads" for m in machines.values()]
    lines += [f"- torch {version}" for version in sorted({record["torch"] for record in results.values()})]
    lines += [f"- impasto {version}" for version in sorted({r["commit"] for r in results.values() if "commit" in r})]
    lines += ["", table(results), "", "| asked for | measured | |", "| --- | --- | --- |"]
    lines += [f"| {what} | {value} | {'held' if held else 'MISSED'} |" for what, value, held in figures(results)]
    lines += ["", "Style share and content error by the filter with which the judge reads photograph and painting:", ""]
    return "\n".join([*lines, filter_table(results)]) + "\n"
