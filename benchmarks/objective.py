"""How low impasto brings neural-style's own objective, beside neural-style itself.

    python benchmarks/objective.py runs/bench/pictures/neural-style-512.json

The file is the peer's record, of bench.py or peers/neural_style.py, with its picture beside it. impasto gets
photograph and painting resized as the peer reads them, so that its targets are those of the peer's objective; the judge
tells the loss of both saved pictures. Leaves OUT/table.md and impasto's picture.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from impasto.layers import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS
from runner import WEIGHTS, command_line, judge, machine, sha256, stylize
from store import Record
from tables import table


def objective_options(width: int, height: int) -> list[str]:
    """Neural-style's objective for a picture of this size, in impasto's terms.

    neural-style: 5 / (N M) Σ ΔF² + Σ over layers of 100 / N⁴ Σ Δ(G / M)², for N channels at M positions;
    impasto with ``gatys``: λ / 2 Σ ΔF² + Σ over layers of w / (4 N²) Σ Δ(G / M)².
    Hence λ = 10 / (N M) at relu4_2 and w = 400 / N².
    """
    numbers = VGG19_CHANNELS[CONTENT_LAYER] * (width // 8) * (height // 8)
    weights = ",".join(f"{layer}={400 / VGG19_CHANNELS[layer] ** 2!r}" for layer in STYLE_LAYERS)
    return [
        *("--normalization", "gatys"),
        *("--content-weight", repr(10 / numbers)),
        *("--content-layers", f"{CONTENT_LAYER}=1"),
        *("--style-layers", weights),
    ]


def as_peer_reads(path: Path, size: int, folder: Path) -> Path:
    """A copy resized as neural-style resizes: bilinear, and sides that are not whole are cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{path.stem}-{size}.png"
    with Image.open(path) as image:
        sides = [int(size / max(image.size) * side) for side in image.size]
        image.convert("RGB").resize(sides, Image.Resampling.BILINEAR).save(copy)
    return copy


def report(peer: Record, ours: Record) -> str:
    """Both as Markdown."""
    rows = [
        (name, str(record["steps"]), f"{record['loss']:.4g}", f"{record['seconds']:.0f}")
        for name, record in ((peer["package"], peer), ("impasto, VGG-19", ours))
    ]
    return table(("", "steps", "neural-style's loss", "seconds"), rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_line(__doc__, "objective", pair=True)
    parser.add_argument("peer", type=Path, metavar="PEER.json")
    parser.add_argument("--options", default="--steps 443 --detail 1", help="further ones of impasto (%(default)s)")
    arguments = parser.parse_args(argv)
    content, style, out, threads = arguments.content, arguments.style, arguments.out, arguments.threads
    peer = json.loads(arguments.peer.read_text())
    wanted = {"content_sha256": sha256(content), "style_sha256": sha256(style), "machine": machine(threads)}
    for name, value in wanted.items():
        if peer[name] != value:
            sys.exit(f"{arguments.peer} is of another {name}: {peer[name]}, and not {value}; run the peer again")
    size, picture = peer["size"], out / f"impasto-{peer['size']}.png"
    inputs = [as_peer_reads(path, size, out) for path in (content, style)]
    with Image.open(inputs[0]) as photograph:
        options = [*objective_options(*photograph.size), *shlex.split(arguments.options)]
    ours = stylize(*inputs, picture, size=size, threads=threads, extractor=WEIGHTS, options=options)
    verdicts = judge(
        [arguments.peer.with_name(peer["picture"]), picture], content, style, threads=threads, objective=True
    )
    for record, verdict in zip((peer, ours), verdicts, strict=True):
        record["loss"] = verdict["objective"]["total"]
    text = report(peer, ours)
    (out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
