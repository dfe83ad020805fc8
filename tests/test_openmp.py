"""In processes of their own: OpenMP reads the environment once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from impasto.openmp import BRIEFLY, VARIABLES

TELL = """
import json, os
from impasto import openmp
print(json.dumps([openmp.POLICY, {name: os.environ[name] for name in openmp.VARIABLES if name in os.environ}]))
"""
BY_US = ["spins briefly (set by impasto)", BRIEFLY]


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A new Python in which none of the variables is set but those given."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


def test_importing_impasto_sets_the_variables() -> None:
    assert json.loads(python(TELL).stdout) == BY_US


@pytest.mark.parametrize("name", VARIABLES)
def test_who_sets_one_of_them_is_left_alone(name: str) -> None:
    value = {"OMP_WAIT_POLICY": "active", "KMP_LIBRARY": "throughput"}.get(name, "7")
    assert json.loads(python(TELL, **{name: value}).stdout) == [f"{name}={value} (set by you)", {name: value}]


def test_several_of_them() -> None:
    given = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
    told = "OMP_WAIT_POLICY=passive KMP_BLOCKTIME=0 (set by you)"
    assert json.loads(python(TELL, **given).stdout) == [told, given]


def test_after_torch_it_is_too_late() -> None:
    """Nothing is set then: it would only reach the children of this process."""
    told = "spins as it likes (impasto came too late: torch was loaded first)"
    assert json.loads(python("import torch\n" + TELL).stdout) == [told, {}]
    told = "KMP_BLOCKTIME=7 (set by you; in force if before torch was loaded)"
    assert json.loads(python("import torch\n" + TELL, KMP_BLOCKTIME="7").stdout) == [told, {"KMP_BLOCKTIME": "7"}]


@pytest.mark.parametrize("before", ["", "import torch"])
def test_a_child_has_them_from_its_parent(before: str) -> None:
    """It holds there whatever is loaded first."""
    code = f"import subprocess, sys, impasto; subprocess.run([sys.executable, '-c', {before + TELL!r}], check=True)"
    assert json.loads(python(code).stdout) == BY_US


@pytest.mark.parametrize(
    ("variables", "spins", "blocks"), [({}, "3000", "1"), ({"GOMP_SPINCOUNT": "77", "KMP_BLOCKTIME": "5"}, "77", "5")]
)
def test_openmp_has_read_them(variables: dict[str, str], spins: str, blocks: str) -> None:
    """As it says itself when torch loads it; LLVM's and Intel's write the unit too."""
    code = "import impasto, torch; torch.rand(2, 2) @ torch.rand(2, 2)"
    told = python(code, OMP_DISPLAY_ENV="verbose", **variables).stderr
    if "OPENMP DISPLAY ENVIRONMENT" not in told:
        pytest.skip("this OpenMP does not tell")
    found = dict(re.findall(r"(GOMP_SPINCOUNT|KMP_BLOCKTIME) ?= ?'(\d+)", told))
    assert found
    assert found.get("GOMP_SPINCOUNT", spins) == spins
    assert found.get("KMP_BLOCKTIME", blocks) == blocks
