"""Refinement against neural-style 0.5.7, side by side: time, memory, and the judge's figures of the saved pictures.

    python benchmarks/refinement.py --peer-python VENV/bin/python --repeats 3

Four runs at each size, each a process of its own: the peer (500 of its default steps), ``impasto stylize`` with its
defaults and VGG-19, the same with the peer's objective, and the same with the compact extractor. Repetitions are
interleaved and their median counts. Results go into OUT/results.json, OUT/table.md and OUT/sheet-SIZE.png; runs that
are there already and are not asked for again stay in the table.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from peers.neural_style import paint
from report import RUNS, report
from runner import (
    CLASSICS,
    VGG19,
    commit,
    default_threads,
    judge,
    machine,
    sha256,
    stylize,
    torch_version,
    write_json,
)
from sheet import contact_sheet

CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}


def literal_options(width: int, height: int) -> list[str]:
    """Neural-style's objective for a picture of this size, in impasto's terms.

    neural-style: 5 / (N M) Σ ΔF² + Σ over layers of 100 / N⁴ Σ Δ(G / M)², for N channels at M positions;
    impasto with ``gatys``: λ / 2 Σ ΔF² + Σ over layers of w / (4 N²) Σ Δ(G / M)².
    Hence λ = 10 / (N M) at relu4_2 and w = 400 / N².
    """
    positions = (height // 8) * (width // 8)
    weights = ",".join(f"{layer}={400 / channels**2!r}" for layer, channels in CHANNELS.items())
    return [
        *("--normalization", "gatys"),
        *("--content-weight", repr(10 / (512 * positions))),
        *("--content-layers", "relu4_2=1"),
        *("--style-layers", weights),
    ]


def fitted(path: Path, longest: int) -> tuple[int, int]:
    """(width, height) of the picture that impasto makes of this photograph."""
    with Image.open(path) as image:
        return tuple(max(1, int(side * longest / max(image.size) + 0.5)) for side in image.size)


def as_peer_reads(path: Path, size: int, output: Path) -> Path:
    """A copy resized as neural-style resizes, so that impasto's targets are those of neural-style's objective."""
    with Image.open(path) as image:
        sides = tuple(int(float(size) / max(image.size) * side) for side in image.size)
        output.parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").resize(sides, Image.Resampling.BILINEAR).save(output)
    return output


def stored_peer(path: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """A result of peers/neural_style.py, if it may stand beside what is measured now."""
    record = json.loads(path.read_text())
    for key, value in expected.items():
        if record[key] != value:
            sys.exit(f"--peer-json: {path} is of another {key}: {record[key]}, and not {value}; run the peer again")
    return {**record, "picture": str(path.with_name(record["picture"]))}


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record of several repetitions: median times, largest memory."""
    return {
        **runs[-1],
        "seconds": median(run["seconds"] for run in runs),
        "seconds_a_step": median(run["seconds_a_step"] for run in runs),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "repeats": [run["seconds"] for run in runs],
        "same_bytes": len({run["sha256"] for run in runs}) == 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--content", type=Path, default=CLASSICS / "contents" / "tubingen.jpg")
    parser.add_argument("--style", type=Path, default=CLASSICS / "styles" / "starry_night.jpg")
    parser.add_argument("--sizes", default="256,512", help="longest sides in pixels")
    parser.add_argument("--only", default=",".join(RUNS), help=f"which of {', '.join(RUNS)}")
    parser.add_argument("--repeats", type=int, default=1, help="of impasto's runs; the peer runs once")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--vgg19", default=str(VGG19), help="what --extractor gets for VGG-19: a file, or vgg19")
    parser.add_argument("--default-options", default="", help="further options for every run of impasto")
    parser.add_argument("--literal-options", default="", help="further options for the run with the peer's objective")
    parser.add_argument(
        "--literal-inputs",
        choices=["peer", "original"],
        default="peer",
        help="for that run: photograph and painting resized as the peer reads them, or as they are",
    )
    parser.add_argument("--peer-python", type=Path, help="python of the environment that peers/setup.sh made")
    parser.add_argument("--peer-json", type=Path, nargs="+", default=[], help="earlier results of the peer, here")
    parser.add_argument("--peer-steps", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("runs/refinement"))
    arguments = parser.parse_args()
    content, style, out, threads = arguments.content, arguments.style, arguments.out, arguments.threads
    wanted = arguments.only.split(",")
    if unknown := set(wanted) - set(RUNS):
        sys.exit(f"--only: {', '.join(unknown)} is none of {', '.join(RUNS)}")
    if "peer" in wanted and not (arguments.peer_python or arguments.peer_json):
        sys.exit("the peer needs --peer-python or --peer-json; or leave it out with --only default,literal,compact")

    pair = {"content_sha256": sha256(content), "style_sha256": sha256(style)}
    here = machine(threads)
    kept = out / "results.json"
    stored = json.loads(kept.read_text()) if kept.exists() else {"pair": pair, "results": {}}
    if stored["pair"] != pair:
        sys.exit(f"--out: {out} holds results of another pair; name another folder")
    results = stored["results"]
    peers = {}
    for path in arguments.peer_json:
        record = stored_peer(path, {**pair, "steps": arguments.peer_steps, "machine": here})
        peers[record["size"]] = record

    for size in map(int, arguments.sizes.split(",")):
        common = shlex.split(arguments.default_options)
        inputs = (content, style)
        literal_inputs = inputs
        if "literal" in wanted and arguments.literal_inputs == "peer":
            literal_inputs = tuple(as_peer_reads(path, size, out / f"{path.stem}-{size}.png") for path in inputs)
        literal = [*literal_options(*fitted(literal_inputs[0], size)), *common, *shlex.split(arguments.literal_options)]
        plans = {
            "default": (inputs, arguments.vgg19, common),
            "literal": (literal_inputs, arguments.vgg19, literal),
            "compact": (inputs, "compact", common),
        }
        runs: dict[str, list[dict[str, Any]]] = {}
        if "peer" in wanted:
            if size not in peers:
                peers[size] = run_peer(arguments, size)
            runs["peer"] = [{**peers[size], "sha256": sha256(Path(peers[size]["picture"]))}]
        for repeat in range(arguments.repeats):
            for name in (name for name in plans if name in wanted):
                say(f"{size} px, {name}, {repeat + 1} of {arguments.repeats}")
                images, extractor, options = plans[name]
                picture = out / f"{name}-{size}.png"
                record = stylize(*images, picture, size=size, threads=threads, extractor=extractor, options=options)
                record |= {"sha256": sha256(picture), "machine": here, "torch": torch_version(), "commit": commit()}
                runs.setdefault(name, []).append(record)
        fresh = {f"{size}/{name}": summary(records) for name, records in runs.items()}
        pictures = [Path(record["picture"]) for record in fresh.values()]
        verdicts = judge(pictures, content, style, threads=threads, objective=True)
        for (key, record), verdict in zip(fresh.items(), verdicts, strict=True):
            results[key] = {**record, "judge": verdict}
        write_json(kept, stored)
        side_by_side(results, size, content, style, out / f"sheet-{size}.png")
    told = report(results, content, style)
    (out / "table.md").write_text(told)
    print(told)


def run_peer(arguments: argparse.Namespace, size: int) -> dict[str, Any]:
    if not arguments.peer_python:
        sys.exit(f"--peer-json: none of them is of {size} px; add --peer-python or another --sizes")
    say(f"{size} px, peer")
    picture = arguments.out / f"peer-{size}.png"
    record = paint(
        arguments.content,
        arguments.style,
        picture,
        size=size,
        steps=arguments.peer_steps,
        threads=arguments.threads,
        python=arguments.peer_python,
    )
    return {**record, "picture": str(picture)}


def side_by_side(results: Mapping[str, Any], size: int, content: Path, style: Path, output: Path) -> None:
    cells = [(content, "content"), (style, "style")]
    for name in RUNS:
        if record := results.get(f"{size}/{name}"):
            verdict = record["judge"]
            told = f"style {verdict['style_share']:.3f}, content {verdict['content_error']:.2f}"
            cells.append((Path(record["picture"]), f"{name}, {record['seconds']:.0f} s\n{told}"))
    contact_sheet([cells], output, cell=384)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
