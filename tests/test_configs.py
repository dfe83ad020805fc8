from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from impasto.configs import AttributesConfig, AutoencoderConfig, ExtractorConfig, FacesConfig
from impasto.errors import ImpastoError
from impasto.settings import check_fields, described

CONFIGS = (AttributesConfig, AutoencoderConfig, ExtractorConfig, FacesConfig)


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_are_within_their_bounds(kind: type[Any]) -> None:
    options = [item.name for item, _, _ in described(kind)]
    assert kind(**check_fields(kind, {name: getattr(kind(), name) for name in options})) == kind()
    assert options == [item.name for item in fields(kind)][: len(options)], "what is no option comes last"


@pytest.mark.parametrize("kind", CONFIGS)
def test_help_is_one_line_that_begins_with_a_noun_or_a_verb(kind: type[Any]) -> None:
    for item, _, facts in described(kind):
        assert facts.help.endswith("."), item.name
        assert facts.help.split()[0] not in ("Of", "The", "A"), item.name
        assert facts.panel in ("The training", "The loss", "The network", "The machine"), item.name


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (AttributesConfig, {"batch": 1}, "batch: 1 is out of range; give a whole number from 2 to 65536"),
        (AttributesConfig, {"side": 40}, "side: 40 is no multiple of 16; give 32"),
        (FacesConfig, {"side": 48}, "side: 48 pixels; give one of 16, 32, 64, 128"),
        (AutoencoderConfig, {"side": 40}, "side: 40 is no multiple of 16; give 32"),
        (AutoencoderConfig, {"precision": "fp8"}, "precision: 'fp8' is unknown; give auto, fp32 or bf16"),
        (ExtractorConfig, {"seed": 2**32}, "seed: 4294967296 is out of range; give a whole number from 0 to"),
        (ExtractorConfig, {"painted": 6}, "painted: 6 of 10 crops, with their styles; give at most half of batch"),
        (ExtractorConfig, {"latent": 6}, "latent: no such setting; there are batch, gap_weight,"),
    ],
)
def test_mistakes(kind: type[Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpastoError) as caught:
        kind(**check_fields(kind, given))
    assert str(caught.value).startswith(message)


def test_the_largest_seed_makes_seeds_of_64_bits() -> None:
    largest = 2**32 - 1
    assert (largest + 1) * 1_000_000_007 + 10**9 < 2**63
