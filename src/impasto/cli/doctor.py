"""``impasto doctor``: what is installed, and what this machine can do."""

from __future__ import annotations

from typing import Any

from impasto import __version__
from impasto.cli.options import Debug, Json
from impasto.cli.report import say, say_json
from impasto.cli.weights import facts

PACKAGES = ("torch", "numpy", "pillow", "tifffile", "kornia", "safetensors", "h5py", "pydantic", "typer", "rich")


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Show versions, devices, threads, bf16 support, and which weights are there."""
    findings = examine()
    if json:
        say_json(findings)
        return
    for title, rows in findings.items():
        say(title)
        width = max((len(name) for name in rows), default=0)
        for name, value in rows.items():
            say(f"  {name:<{width}}  {_plain(value)}")


def examine() -> dict[str, dict[str, Any]]:
    """What there is, in groups: versions, devices, weights."""
    return {"versions": _versions(), "devices": _devices(), "weights": _weights()}


def _versions() -> dict[str, Any]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {"impasto": __version__, "python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _devices() -> dict[str, Any]:
    import platform

    import torch

    from impasto.machine import has_fast_bf16, whose_openmp
    from impasto.openmp import POLICY

    runtime = whose_openmp()
    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "cpu": platform.processor() or platform.machine(),
        "cpu threads": torch.get_num_threads(),
        "cpu openmp": f"{runtime}, {POLICY}" if runtime else None,
        "cpu instructions": torch.backends.cpu.get_cpu_capability(),
        "cpu bf16": has_fast_bf16("cpu"),
        "cuda": ", ".join(cuda) or None,
        "cuda bf16": bool(cuda) and has_fast_bf16("cuda"),
        "mps": torch.backends.mps.is_available(),
    }


def _weights() -> dict[str, Any]:
    from impasto.features import weights

    return {"folder": str(weights.home()), **{file.name: facts(file) for file in weights.listing()}}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['status']} ({value['path']})" if value["exists"] else str(value["status"])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
