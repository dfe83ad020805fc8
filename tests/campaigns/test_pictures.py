"""A few of each campaign, in a second or two; by hand they run whole."""

from __future__ import annotations

from pathlib import Path

from . import matrix, pictures


def test_valid_pictures_are_right_or_refused_by_what_they_are() -> None:
    for number, kind in enumerate(matrix.chosen(120, seed=1)):
        said = matrix.verdict(kind, number)
        signed = kind.sample_format == matrix.SIGNED
        assert said == ("refused: holds signed or complex samples; save it with 8 or 16 bits" if signed else "right"), (
            kind
        )


def test_fuzzed_pictures_are_one_line(tmp_path: Path) -> None:
    assert pictures.attack(pictures.fuzzed(120, seed=0), tmp_path) == {}


def test_hostile_pictures_are_one_line(tmp_path: Path) -> None:
    assert pictures.attack(pictures.by_hand(size=5), tmp_path) == {}
