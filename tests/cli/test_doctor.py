from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import impasto
from impasto.cli import doctor
from impasto.machine import whose_openmp
from impasto.openmp import VARIABLES

from .conftest import Run


def test_table(run: Run, folder: Path) -> None:
    result = run("doctor")
    assert (result.code, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == ["versions", "devices", "weights"]
    assert f"impasto {impasto.__version__}" in lines
    assert f"torch {version('torch')}" in lines
    assert f"python {platform.python_version()}" in lines
    assert f"cpu threads {torch.get_num_threads()}" in lines
    assert f"folder {folder / 'home'}" in lines
    assert any(line.startswith("vgg19 not on this machine") for line in lines)
    assert not (folder / "home").exists()


def test_json(run: Run, folder: Path) -> None:
    findings = json.loads(run("doctor", "--json").out)
    assert findings["devices"]["cpu threads"] == torch.get_num_threads()
    assert findings["devices"]["mps"] is torch.backends.mps.is_available()
    assert isinstance(findings["devices"]["cpu bf16"], bool)
    assert findings["weights"]["vgg19"]["exists"] is False


@pytest.mark.parametrize(
    ("before", "variables", "policy"),
    [
        ("", {}, "spins briefly (set by impasto)"),
        ("", {"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active (set by you)"),
        ("import torch", {}, "spins as it likes (impasto came too late: torch was loaded first)"),
    ],
)
def test_how_threads_wait(before: str, variables: dict[str, str], policy: str) -> None:
    """In a process of its own, as OpenMP reads the environment once."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    code = f"{before}\nfrom impasto.cli import main\nmain(['doctor', '--json'])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(told.stdout)["devices"]["cpu openmp"] == f"{whose_openmp()}, {policy}"


def test_a_package_that_is_missing(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    assert ["no-such-package", "none"] in [line.split() for line in run("doctor").out.splitlines()]
