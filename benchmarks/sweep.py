"""The λ sweep: from almost pure texture to a clearly recognizable scene.

    python benchmarks/sweep.py

Three pairs at λ = 1e-5, 1e-4, 1e-3, 1e-2. Along λ the judge's content error must fall and its style share must rise,
strictly; ends with 1 where it does not. Leaves OUT/results.json and the contact sheet OUT/sweep.png.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from itertools import pairwise
from pathlib import Path

from runner import CLASSICS, VGG19, commit, default_threads, judge, machine, stylize, torch_version, write_json
from sheet import contact_sheet

PAIRS = "tubingen:starry_night,golden_gate:the_scream,lion:wave"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", default=PAIRS, help="content:style,... of the classics")
    parser.add_argument("--weights", default="1e-5,1e-4,1e-3,1e-2", help="the values of λ, rising")
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels")
    parser.add_argument("--extractor", default=str(VGG19), help="what --extractor gets: a file, vgg19 or compact")
    parser.add_argument("--options", default="", help="further options, as in --options='--normalization gatys'")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--classics", type=Path, default=CLASSICS)
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    arguments = parser.parse_args()
    threads, out, weights = arguments.threads, arguments.out, arguments.weights.split(",")
    options = shlex.split(arguments.options)
    results, rows, monotone = [], [], True
    print("| pair | " + " | ".join(f"λ = {weight}" for weight in weights) + " | content falls, style rises |")
    print("| --- " * (len(weights) + 2) + "|")
    for pair in arguments.pairs.split(","):
        names = pair.split(":")
        content = arguments.classics / "contents" / f"{names[0]}.jpg"
        style = arguments.classics / "styles" / f"{names[1]}.jpg"
        pictures = [out / f"{names[0]}-{names[1]}-{weight}.png" for weight in weights]
        runs = [
            stylize(
                content,
                style,
                picture,
                size=arguments.size,
                threads=threads,
                extractor=arguments.extractor,
                options=["--content-weight", weight, *options],
            )
            for weight, picture in zip(weights, pictures, strict=True)
        ]
        verdicts = judge(pictures, content, style, threads=threads)
        falls = all(a["content_error"] > b["content_error"] for a, b in pairwise(verdicts))
        rises = all(a["style_share"] < b["style_share"] for a, b in pairwise(verdicts))
        monotone = monotone and falls and rises
        told = [f"content {v['content_error']:.3f}, style {v['style_share']:.4f}" for v in verdicts]
        print(f"| {' × '.join(names)} | {' | '.join(told)} | {'both' if falls and rises else 'NO'} |", flush=True)
        rows.append(
            [(content, names[0]), (style, names[1])]
            + [
                (picture, f"content weight {weight}\n{line}")
                for picture, weight, line in zip(pictures, weights, told, strict=True)
            ]
        )
        results += [
            {"pair": pair, "content_weight": float(weight), "run": run, "judge": verdict}
            for weight, run, verdict in zip(weights, runs, verdicts, strict=True)
        ]
        about = {"machine": machine(threads), "torch": torch_version(), "commit": commit(), "monotone": monotone}
        write_json(out / "results.json", {**about, "results": results})
        contact_sheet(rows, out / "sweep.png", cell=320)
    if not monotone:
        sys.exit("the sweep is not strictly monotone")


if __name__ == "__main__":
    main()
