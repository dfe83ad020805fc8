"""Auto-encoders, plain and residual, over the weight of the content: how the drawing pays for the style.

    python benchmarks/tradeoff.py runs/*/network.safetensors [--docs]

Each file is one of impasto train autoencoder, which has judged it on pairs that training never saw: nothing is computed
here. Networks that are compared should have the same judge and have been trained for as long. Leaves OUT/table.md and
OUT/plot.webp; --docs copies the plot to docs/tradeoff.webp.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from impasto.files.cards import read_card
from impasto.networks.autoencoder import AutoEncoder
from plot import pyplot, save
from runner import HERE, command_line
from tables import table

LOOKS = {"plain": ("#8a8f98", "s"), "residual": ("#1f5fa8", "o"), "residual, with a critic": ("#d1495b", "^")}


class Judged(NamedTuple):
    """A network.

    Attributes:
        kind: of :data:`LOOKS`.
        content_weight: λ.
        style_share: median over the pairs.
        content_error: the same.
        judge: the extractor that it was judged by.
    """

    kind: str
    content_weight: float
    style_share: float
    content_error: float
    judge: str


def read(path: Path) -> Judged:
    """What a file says of itself."""
    try:
        card = read_card(path, AutoEncoder.form)
    except (SafetensorError, OSError, ValueError):
        card = None
    if card is None or "scores" not in card:
        sys.exit(f"{path}: no auto-encoder with its scores; give files of impasto train autoencoder")
    config, scores = card["config"], card["scores"]
    kind = "residual" if config["residual"] else "plain"
    kind += ", with a critic" * (config["adversarial"] and config["adversarial_weight"] > 0)
    return Judged(kind, config["content_weight"], scores["style_share"], scores["content_error"], str(scores["judge"]))


def draw(networks: list[Judged], output: Path) -> None:
    """Content error over style share: a line for each kind, with λ at every point."""
    figure, axes = pyplot().subplots(figsize=(5.6, 4.2))
    for kind, (color, marker) in LOOKS.items():
        points = [network for network in networks if network.kind == kind]
        if not points:
            continue
        axes.plot(
            [point.style_share for point in points],
            [point.content_error for point in points],
            color=color,
            marker=marker,
            label=kind,
        )
        for point in points:
            place = point.style_share, point.content_error
            axes.annotate(
                f"{point.content_weight:g}", place, (6, 4), textcoords="offset points", fontsize=7, color=color
            )
    axes.set(xlabel="style share", ylabel="content error", title="Painted in one pass, over λ")
    axes.margins(0.1)  # Room for the last label.
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    save(figure, output)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_line(__doc__, "tradeoff")
    parser.add_argument("networks", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--docs", action="store_true", help="write the plot into docs/ too")
    arguments = parser.parse_args(argv)
    networks = sorted(read(path) for path in arguments.networks)
    if len({network.judge for network in networks}) > 1:
        sys.exit("these networks were judged by different extractors; train them with the same --judge")
    draw(networks, arguments.out / "plot.webp")
    if arguments.docs:
        shutil.copyfile(arguments.out / "plot.webp", HERE.parent / "docs" / "tradeoff.webp")
    cells = [
        (network.kind, f"{network.content_weight:g}", f"{network.style_share:.3f}", f"{network.content_error:.2f}")
        for network in networks
    ]
    text = table(("", "λ", "style share", "content error"), cells)
    (arguments.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
