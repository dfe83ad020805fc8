from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.cli.options import read_layers, read_weights
from impasto.errors import ImpastoError


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5))
def test_weights_are_read_as_written(weights: list[float]) -> None:
    assert read_weights(",".join(map(repr, weights))) == tuple(weights)


def test_no_weights_no_layers() -> None:
    assert read_weights(None) is None
    assert read_layers(None, "--style-layers") is None


@pytest.mark.parametrize(("text", "part"), [("1,", ""), ("a;b", "a;b"), ("0.7 0.3", "0.7 0.3")])
def test_wrong_weights(text: str, part: str) -> None:
    with pytest.raises(ImpastoError, match=f"^--style-weights: '{part}' is not a number; write for example 0.7$"):
        read_weights(text)


def test_layers() -> None:
    assert read_layers("relu1_1=1, relu2_1=0.5,relu4_2", "--style-layers") == {
        "relu1_1": 1.0,
        "relu2_1": 0.5,
        "relu4_2": 1.0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv4_2", "'conv4_2' is no layer; write for example relu1_1=1"),
        ("", "'' is no layer"),
        ("relu4_2=1,relu4_2=2", "relu4_2 stands there twice"),
        ("relu4_2=", "'' is not a number"),
    ],
)
def test_wrong_layers(text: str, message: str) -> None:
    with pytest.raises(ImpastoError, match=f"^--content-layers: {message}"):
        read_layers(text, "--content-layers")
