"""One photograph and one painting at several content weights, and with more and more style layers.

Figure 3 of Gatys et al. 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576): columns are λ, rows the layers
whose Gram matrices are the style.

The first cell has the largest λ and begins with the photograph, every other one with its neighbor's picture, along
falling λ: a picture that is the best at λ can only give up content for style at a smaller one. docs/features.md says
why, and has the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.errors import ImpastoError
from impasto.images import to_pil
from impasto.job import Event
from impasto.layers import STYLE_LAYERS
from impasto.paint import paint
from impasto.painting import Painting
from impasto.settings import Settings
from impasto.sheets import FAINT, GAP, Cell, beside, empty, fitted, grid, page, text

#: Longest side of a cell's picture on the sheet, in pixels.
LARGEST = 300
#: Least room for the text beside the two images, in pixels; with less it goes below them.
NARROWEST = 220

Layers = tuple[str, ...] | None


@dataclass(frozen=True)
class SweepCell:
    """One picture of the sweep.

    Attributes:
        row: which of the rows.
        column: which of the content weights, rising.
        content_weight: λ.
        layers: the style layers of the row; None for those of the settings.
        neighbor: row and column of the cell whose picture this one began with; None for the photograph.
        painting: the picture, with its losses and its recipe.
        path: where it lies, with its recipe inside; None where cells are not kept.
    """

    row: int
    column: int
    content_weight: float
    layers: Layers
    neighbor: tuple[int, int] | None
    painting: Painting
    path: Path | None


def cumulative_layers() -> tuple[tuple[str, ...], ...]:
    """The rows of the article's figure: relu1_1; relu1_1 and relu2_1; and so on, up to all five."""
    return tuple(STYLE_LAYERS[: count + 1] for count in range(len(STYLE_LAYERS)))


def order(rows: int, columns: int) -> Iterator[tuple[tuple[int, int], tuple[int, int] | None]]:
    """(row, column) of every cell in the order of making, each with the neighbor that it begins with.

    Rows from the top, columns from the last one (the largest λ). A row's first cell begins with the one above it, the
    others with the one to their right; the very first one has none.
    """
    for row in range(rows):
        yield (row, columns - 1), (row - 1, columns - 1) if row else None
        for column in reversed(range(columns - 1)):
            yield (row, column), (row, column + 1)


def sweep(
    content: str | Path,
    style: str | Path,
    content_weights: Sequence[float],
    *,
    folder: Path | None = None,
    rows: Sequence[Layers] = (None,),
    force: bool = False,
    report: Callable[[Event], bool | None] = lambda event: None,
    before: Callable[[int, int], None] = lambda row, column: None,
    **settings: Any,
) -> Iterator[SweepCell]:
    """Paint the cells, one by one as they are asked for; the pictures go into ``folder``, if there is one.

    ``rows`` are the style layers of every row, of equal weight; None for those of the settings. ``report`` receives the
    events of every cell, ``before`` is called with row and column before a cell is begun. ``settings`` are those of
    :func:`impasto.stylize`, for every cell.

    Raises:
        ImpastoError: no λ, one twice, or whatever :func:`impasto.stylize` raises.
    """
    weights = check_weights(content_weights)
    done: dict[tuple[int, int], Path | Image.Image] = {}
    for (row, column), neighbor in order(len(rows), len(weights)):
        before(row, column)
        chosen, layers = {**settings, "content_weight": weights[column]}, rows[row]
        if layers is not None:
            chosen["style_layers"] = {layer: 1 / len(layers) for layer in layers}
        start = None if neighbor is None else done[neighbor]
        if start is not None:
            chosen["init"] = str(start) if isinstance(start, Path) else "picture"
        painting = paint(content, style, Settings.check(chosen), init=start, report=report)
        path = None if folder is None else folder / cell_name(weights[column], layers)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            painting.save(path, force=force)
        done[row, column] = path or painting.image
        yield SweepCell(row, column, weights[column], layers, neighbor, painting, path)


def check_weights(content_weights: Sequence[float]) -> list[float]:
    """The values of λ, rising.

    Raises:
        ImpastoError: there is none, or one twice.
    """
    weights = sorted(content_weights)
    if not weights:
        raise ImpastoError("there is none; write for example 1e-5,1e-4,1e-3,1e-2", setting="content_weights")
    for weight in weights:
        if weights.count(weight) > 1:
            raise ImpastoError(f"{label(weight)} stands there twice; name it once", setting="content_weights")
    return weights


def label(weight: float) -> str:
    """``1e-5``, ``0.5``: as one would type it."""
    short = f"{weight:g}"
    if 0 < weight < 1:
        digits, power = f"{weight:.5e}".split("e")
        short = min(f"{digits.rstrip('0').rstrip('.')}e{int(power)}", short, key=len)
    return short.replace("e-0", "e-").replace("e+0", "e")


def cell_name(weight: float, layers: Layers) -> str:
    """Name of a cell's file: ``lambda-1e-3.png``, with the row's layers ``relu1_1-relu3_1-lambda-1e-3.png``."""
    ends = () if layers is None else layers if len(layers) < 2 else (layers[0], layers[-1])
    return "-".join([*ends, f"lambda-{label(weight)}"]) + ".png"


def figures(cell: SweepCell, cells: dict[tuple[int, int], SweepCell]) -> dict[str, Any]:
    """The numbers of a cell, as plain JSON values; ``cells`` are all so far, by row and column."""
    last = cell.painting.losses[-1]
    return {
        **_place(cell),
        "losses": dict(last.losses),
        "total_loss": last.total_loss,
        "steps": len(cell.painting.losses),
        "seconds": round(cell.painting.seconds, 3),
        "begins_with": None if cell.neighbor is None else _place(cells[cell.neighbor]),
    }


def _place(cell: SweepCell) -> dict[str, Any]:
    layers = None if cell.layers is None else list(cell.layers)
    return {"content_weight": cell.content_weight, "style_layers": layers}


def sweep_sheet(
    content: Image.Image,
    style: Image.Image,
    content_weights: Sequence[float],
    rows: Sequence[Layers],
    cells: dict[tuple[int, int], SweepCell],
) -> Image.Image:
    """The figure: the two images above, a column for each λ, a row for each set of style layers.

    The cells are by row and column; an empty field stands for a missing one.
    """
    weights = check_weights(content_weights)
    some = next(iter(cells.values())).painting
    side = min(LARGEST, max(some.tensor.shape[-2:]))
    shape = fitted(to_pil(some.tensor), side).size

    def drawn(row: int, column: int) -> Cell:
        if (row, column) not in cells:
            return Cell(empty(shape), "not made")
        painting = cells[row, column].painting
        losses = painting.losses[-1].losses
        words = "\n".join(f"{name} {losses[name]:.3g}" for name in ("content", "style"))
        return Cell(fitted(to_pil(painting.tensor), side), words)

    body = grid(
        [[drawn(row, column) for column in range(len(weights))] for row in range(len(rows))],
        columns=[f"lambda = {label(weight)}" for weight in weights],
        heads=["\n+ ".join(layers) for layers in rows if layers is not None],
    )
    inputs = grid([[Cell(_as_high(content, shape[1]), "content"), Cell(_as_high(style, shape[1]), "style")]])
    title = "Content weight"
    words = (
        "lambda weighs the content against the style: where it is small the picture is almost pure texture, where it "
        "is large the photograph stays. Under each picture stand its content loss and its style loss, as "
        f"{some.recipe.extractor} sees them."
    )
    if len(rows) > 1:
        title += " and style layers"
        words += " From row to row one more layer counts as style: what it repeats grows larger."
    room = body.width - inputs.width - 2 * GAP
    about = text(words, 15, color=FAINT, width=room if room >= NARROWEST else body.width)
    above = [beside([inputs, about], gap=2 * GAP)] if room >= NARROWEST else [inputs, about]
    return page([text(title, 26, width=body.width), *above, body])


def _as_high(picture: Image.Image, height: int) -> Image.Image:
    return fitted(picture, round(height * max(picture.size) / picture.height))
