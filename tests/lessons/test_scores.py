from __future__ import annotations

import json

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.lessons.scores import average_precision, linear_on_pixels, majority, score


class TestScores:
    # Two attributes that vary and one that does not; the faces are the rows.
    LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]).bool()
    VALUES = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.6, 0.4, 0.1], [0.1, 0.3, 0.1]])

    def test_values_by_hand(self) -> None:
        scores = score("abc", {"network": self.VALUES}, self.LABELS)
        # a: yes, yes, yes, no against 1, 0, 1, 0: three right; F1 = 2·2/(2·2 + 1); ranked 1, 0, 1, 0: (1 + 2/3)/2.
        assert scores.rows["a"]["network"] == {"accuracy": 0.75, "f1": 0.8, "average_precision": 0.8333}
        # b: no, yes, no, no against 0, 1, 1, 0: three right; F1 = 2/(2 + 1); ranked 1, 1, 0, 0.
        assert scores.rows["b"]["network"] == {"accuracy": 0.75, "f1": 0.6667, "average_precision": 1.0}
        assert scores.rows["c"] == {"share": 0.0, "network": None}
        assert scores.means["network"] == {"accuracy": 0.75, "f1": 0.7333, "average_precision": 0.9167}
        assert (scores.faces, scores.averaged) == (4, 2)
        assert average_precision(self.VALUES, self.LABELS) == pytest.approx((5 / 6 + 1) / 2, abs=1e-6)

    def test_majority(self) -> None:
        labels = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 0]]).bool()
        guesses = majority(labels, 4)
        assert torch.equal(guesses, torch.tensor([[0.75, 0.25]]).expand(4, 2))
        scores = score("ab", {"majority": guesses}, labels)
        assert scores.means["majority"]["accuracy"] == 0.75
        assert scores.rows["b"]["majority"] == {"accuracy": 0.75, "f1": 0.0, "average_precision": 0.25}

    def test_the_linear_model_finds_what_is_linear(self) -> None:
        """Whether the upper half is brighter than the lower; a mirror image says the same."""
        generator = torch.Generator().manual_seed(0)

        def part(count: int) -> tuple[torch.Tensor, torch.Tensor]:
            faces = torch.randint(0, 120, (count, 3, 8, 8), generator=generator)
            bright = torch.rand(count, 2, generator=generator) < torch.tensor([0.5, 0.1])
            faces[:, :, :4] += 60 * bright[:, :1, None, None]
            faces[:, :, 4:] += 60 * bright[:, 1:, None, None]
            return faces.to(torch.uint8), bright

        parts = {name: part(count) for name, count in (("train", 300), ("validation", 60), ("test", 60))}
        told = linear_on_pixels({k: v[0] for k, v in parts.items()}, {k: v[1] for k, v in parts.items()})
        assert ((told > 0.5) == parts["test"][1]).float().mean() > 0.97
        assert average_precision(told, parts["test"][1]) > 0.99

    def test_the_table(self) -> None:
        scores = score("abc", {"network": self.VALUES, "majority": majority(self.LABELS, 4)}, self.LABELS)
        lines = scores.to_text().splitlines()
        assert lines[0].split() == ["share", "network", "majority"]
        assert lines[2].split() == ["c", "0.0%"] + ["-"] * 6
        assert lines[-1].split() == ["mean", "of", "2", "0.750", "0.733", "0.917", "0.500", "0.000", "0.500"]
        assert json.loads(json.dumps(scores.to_json()))["rows"]["a"]["network"]["f1"] == 0.8

    def test_the_chart(self) -> None:
        guesses = majority(self.LABELS, 4)
        scores = score("abc", {"network": self.VALUES, "linear": guesses, "majority": guesses}, self.LABELS)
        png = scores.to_png()
        assert png.startswith(b"\x89PNG")
        assert png == scores.to_png()

    def test_nothing_to_tell(self) -> None:
        with pytest.raises(ImpastoError, match="all 4 faces of the test split have the same labels"):
            score("abc", {"network": self.VALUES}, torch.zeros(4, 3).bool())
