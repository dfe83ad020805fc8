"""Accuracy, F1 and average precision of attributes, for a network and for two baselines."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import ImpastoError

#: The linear model's ridges to choose from, in units of the pixels' mean variance, and its largest side in pixels.
RIDGES, LINEAR_SIDE = (1e-3, 1e-2, 1e-1, 1.0, 10.0), 32
MEASURES = ("accuracy", "f1", "average_precision")


@dataclass(frozen=True)
class Scores:
    """What was measured on the test split: :data:`MEASURES` of each model."""

    faces: int
    rows: dict[str, dict[str, Any]]  # for every attribute its share, and each model's measures; None if it is constant
    means: dict[str, dict[str, float]]  # of each model, over the attributes that are not constant
    averaged: int  # how many attributes those are

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def to_text(self) -> str:
        """A table, a line for each attribute, the rarest first."""

        def figures(told: Mapping[str, float] | None) -> str:
            return " ".join(f"{'-':>6}" if told is None else f"{told[measure]:6.3f}" for measure in MEASURES)

        lines = [("", "share", [f"{model:^20}" for model in self.means])]
        lines.append(("", "", [f"{'acc':>6} {'F1':>6} {'AP':>6}"] * len(self.means)))
        for name, row in sorted(self.rows.items(), key=lambda item: item[1]["share"]):
            lines.append((name, f"{row['share']:.1%}", [figures(row[model]) for model in self.means]))
        lines.append((f"mean of {self.averaged}", "", [figures(told) for told in self.means.values()]))
        return "".join(f"{name:<20} {share:>6}  {'  '.join(cells)}".rstrip() + "\n" for name, share, cells in lines)

    def to_png(self) -> bytes:
        """A chart: average precision and accuracy, a line for each attribute, a mark for each model."""
        # Not pyplot, which looks for a screen.
        from matplotlib.figure import Figure

        names = [name for name, row in self.rows.items() if row["network"] is not None]
        names.sort(key=lambda name: self.rows[name]["network"]["average_precision"])
        figure = Figure(figsize=(10, 1.5 + 0.22 * len(names)), layout="constrained")
        for axes, measure in zip(figure.subplots(1, 2, sharey=True), ("average_precision", "accuracy"), strict=True):
            for model, mark in zip(self.means, ("o", "x", "|"), strict=True):
                values = [self.rows[name][model][measure] for name in names]
                label = f"{model} ({self.means[model][measure]:.3f})"
                axes.plot(values, range(len(names)), mark, label=label)
            axes.set_title(f"{measure.replace('_', ' ')}, {self.faces} faces of the test split")
            axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
            axes.grid(alpha=0.3)
            axes.legend(title="mean", loc="lower left" if measure == "accuracy" else "lower right")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
        return buffer.getvalue()


def score(attributes: Sequence[str], predictions: Mapping[str, Tensor], labels: Tensor) -> Scores:
    """Compare the models' predictions, (N, A) in [0, 1] each, with labels (N, A) bool; above 0.5 counts as yes.

    Raises:
        ImpastoError: all faces have the same labels.
    """
    from torchmetrics.functional.classification import multilabel_accuracy, multilabel_f1_score

    shares = labels.float().mean(dim=0)
    varies = (shares > 0) & (shares < 1)
    if not varies.any():
        raise ImpastoError(f"all {len(labels)} faces of the test split have the same labels; more faces are needed")
    named = zip(attributes, shares.tolist(), strict=True)
    rows: dict[str, dict[str, Any]] = {name: {"share": round(share, 4)} for name, share in named}
    means = {}
    truth, count = labels.long(), labels.shape[1]
    for model, values in predictions.items():
        measured = {
            "accuracy": multilabel_accuracy(values, truth, count, average=None),
            "f1": multilabel_f1_score(values, truth, count, average=None),
            "average_precision": _precisions(values, labels),
        }
        means[model] = {name: round(float(of_all[varies].mean()), 4) for name, of_all in measured.items()}
        for index, name in enumerate(attributes):
            of_one = {measure: round(float(of_all[index]), 4) for measure, of_all in measured.items()}
            rows[name][model] = of_one if varies[index] else None
    return Scores(len(labels), rows, means, int(varies.sum()))


def average_precision(values: Tensor, labels: Tensor) -> float:
    """Mean over the attributes that are not constant, or 0, of values (N, A) in [0, 1] and labels (N, A) bool."""
    varies = labels.any(dim=0) & ~labels.all(dim=0)
    return float(_precisions(values, labels)[varies].mean()) if varies.any() else 0.0


def majority(labels: Tensor, count: int) -> Tensor:
    """The baseline that does not look: the share in the training for each of ``count`` faces, (count, A)."""
    return labels.float().mean(dim=0).expand(count, -1)


def linear_on_pixels(faces: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
    """The baseline without layers: least squares from pixels to labels, with a ridge that the validation chooses.

    By split, faces are (N, 3, side, side) uint8, mirrored as well in training, and labels (N, A) bool. The answers for
    the test split, (N, A), are squeezed into (0, 1), keeping 0.5 and the order.
    """
    parts = faces["train"].split(2048)
    small = torch.stack([_small(part).sum(dim=0) for part in parts]).sum(dim=0) / len(faces["train"])
    mean, offset = ((small + small.flip(-1)) / 2).flatten(), labels["train"].double().mean(dim=0)
    gram = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    target = torch.zeros(len(mean), len(offset), dtype=torch.float64)
    for part, truth in zip(parts, labels["train"].split(2048), strict=True):
        for shown in (part, part.flip(-1)):
            pixels = _small(shown).flatten(1) - mean
            gram += (pixels.T @ pixels).double()
            target += pixels.T.double() @ (truth.double() - offset)
    unit = gram.diagonal().mean().clamp_min(1e-12)
    best, chosen = -1.0, target
    for strength in RIDGES:
        ridged = gram + strength * unit * torch.eye(len(gram), dtype=torch.float64)
        weights = torch.cholesky_solve(target, torch.linalg.cholesky(ridged))
        reached = average_precision(_line(faces["validation"], mean, weights, offset), labels["validation"])
        if reached > best:
            best, chosen = reached, weights
    return _line(faces["test"], mean, chosen, offset)


def _line(faces: Tensor, mean: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
    values = torch.cat([(_small(part).flatten(1) - mean).double() @ weights + offset for part in faces.split(2048)])
    # Not clamped: the order below zero counts in the average precision.
    return torch.sigmoid(4 * values - 2).float()


def _small(faces: Tensor) -> Tensor:
    side = min(LINEAR_SIDE, faces.shape[-1])
    return F.interpolate(faces.float() / 255, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def _precisions(values: Tensor, labels: Tensor) -> Tensor:
    """(A,); NaN where no face has the attribute."""
    from torchmetrics.functional.classification import multilabel_average_precision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns of attributes that no face has.
        return multilabel_average_precision(values, labels.long(), labels.shape[1], average=None)
