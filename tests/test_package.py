from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import pytest

import impasto

HEAVY = ("torch", "numpy", "PIL", "kornia", "h5py", "pydantic", "typer", "rich")


def in_a_new_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_costs_nothing() -> None:
    loaded = in_a_new_python("import sys, impasto; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert "impasto" in loaded
    assert not set(HEAVY) & set(loaded)


@pytest.mark.parametrize("name", sorted(set(impasto.__all__) - {"__version__"}))
def test_each_public_name_is_there(name: str) -> None:
    value = getattr(impasto, name)
    assert isinstance(value, ModuleType) if name == "gallery" else callable(value)


def test_a_dozen_names_at_most() -> None:
    assert len(impasto.__all__) <= 12
    assert dir(impasto) == sorted(impasto.__all__)


def test_unknown_names_are_told() -> None:
    with pytest.raises(AttributeError, match="module 'impasto' has no attribute 'stylise'"):
        _ = impasto.stylise


def test_the_version_is_the_projects() -> None:
    try:
        installed = version("impasto")
    except PackageNotFoundError:
        pytest.skip("impasto is not installed here, only on the path")
    assert impasto.__version__ == installed
