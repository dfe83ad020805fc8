"""The library works whatever the caller has set torch to, and leaves it so."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import impasto
from impasto import ImpastoError, Progress
from impasto.engine import run
from impasto.files.shipped import shipped
from impasto.job import Job
from impasto.machine import own_torch
from impasto.networks.autoencoder import AutoEncoder


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.rand(17)
        yield


@contextmanager
def all_at_once() -> Iterator[None]:
    with ExitStack() as stack:
        for state in (
            seeded(99),
            threads(2),
            default_dtype(torch.float64),
            default_device("meta"),
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16),
        ):
            stack.enter_context(state)
        yield


STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "autocast": partial(torch.autocast, "cpu", torch.bfloat16),
    "float64": partial(default_dtype, torch.float64),
    "bfloat16": partial(default_dtype, torch.bfloat16),
    "set_default_device": partial(default_device, "meta"),
    "with torch.device": partial(torch.device, "meta"),
    "random numbers": partial(seeded, 99),
    "threads": partial(threads, 2),
    "all at once": all_at_once,
}


def state_of_torch() -> dict[str, Any]:
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast type": torch.get_autocast_dtype("cpu"),
        "type": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().numpy().tobytes(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "python's random": random.getstate(),
        "numpy's random": np.random.get_state()[1].tobytes(),  # type: ignore[index, union-attr]
        "a tensor": (torch.ones(1).dtype, torch.ones(1).device),
    }


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A narrow network that paints something, though it never trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8)
        torch.nn.init.normal_(made.last.kernel.weight)
    path = tmp_path_factory.mktemp("network") / "net.safetensors"
    made.to_file(path)
    return str(path)


@pytest.fixture
def calls(
    files: tuple[Path, Path], pair: tuple[Tensor, Tensor], tiny_file: str, network: str, tmp_path: Path
) -> dict[str, Callable[[], bytes]]:
    """Calls of the library, each as the bytes of what it gives. One thread: sums depend on their number."""
    fixed = {"size": 64, "threads": 1}

    def painted(content: Any, style: Any, **settings: Any) -> bytes:
        painting = impasto.stylize(content, style, **fixed, **settings)
        assert (painting.tensor.dtype, painting.tensor.device.type) == (torch.float32, "cpu")
        assert not painting.tensor.is_inference()
        assert not painting.tensor.requires_grad
        return painting.tensor.detach().numpy().tobytes() + painting.recipe.to_json().encode()

    def job() -> bytes:
        settings = {**fixed, "steps": 2, "extractor": tiny_file}
        made = Job.check(str(files[0]), [str(files[1])], str(tmp_path / "out.png"), settings, force=True)
        return Path(run(made).output).read_bytes()

    def weights(name: str) -> bytes:
        extractor = impasto.load_extractor(name)
        assert not any(value.is_inference() for value in extractor.state_dict().values())
        assert not any(parameter.requires_grad for parameter in extractor.parameters())
        return b"".join(value.numpy().tobytes() for value in extractor.state_dict().values())

    refined = {"steps": 3, "extractor": tiny_file}
    return {
        "refine": lambda: painted(*files, **refined),
        "refine with adam": lambda: painted(*files, optimizer="adam", preserve_color="luminance", **refined),
        "refine from noise": lambda: painted(*files, init="noise", seed=5, tv_weight=0.1, **refined),
        "refine from tensors": lambda: painted(pair[0].clone(), pair[1].clone(), preserve_color="histogram", **refined),
        "instant": lambda: painted(*files, method="instant", model=network),
        "hybrid": lambda: painted(*files, method="hybrid", model=network, **refined),
        "a job": job,
        "measure": lambda: repr(impasto.measure(files[0], files[0], files[1], extractor=tiny_file, threads=1)).encode(),
        "load_extractor": lambda: weights(tiny_file),
        "load_extractor, compact": lambda: weights(str(shipped("compact"))),
    }


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_nothing_leaks_in_or_out(calls: dict[str, Callable[[], bytes]], state: Callable[[], Any]) -> None:
    """The same bytes as a plain call; and torch as the caller had it."""
    for name, call in calls.items():
        plain = call()
        with state():
            before = state_of_torch()
            found = call()
            assert state_of_torch() == before, name
        assert found == plain, name


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_nothing_leaks_out_of_a_call_that_fails(
    files: tuple[Path, Path], tiny_file: str, state: Callable[[], Any]
) -> None:
    def fail(record: Progress) -> None:
        raise KeyError("mine")

    settings = {"size": 64, "steps": 2, "extractor": tiny_file, "threads": 2}
    with state():
        before = state_of_torch()
        with pytest.raises(KeyError, match="mine"):
            impasto.stylize(*files, callback=fail, **settings)
        with pytest.raises(ImpastoError):
            impasto.stylize(files[0], "nowhere.png", **settings)
        with pytest.raises(ImpastoError):
            impasto.measure("nowhere.png", *files, extractor=tiny_file, threads=2)
        with pytest.raises(ImpastoError):
            impasto.load_extractor("nowhere")
        assert state_of_torch() == before


def test_the_number_of_threads_is_the_callers_unless_given(files: tuple[Path, Path], tiny_file: str) -> None:
    seen: list[int] = []
    settings = {"size": 64, "steps": 1, "extractor": tiny_file, "callback": lambda record: seen.append(count())}
    count = torch.get_num_threads
    with threads(2):
        assert impasto.stylize(*files, **settings).recipe.threads == 2
        assert impasto.stylize(*files, threads=1, **settings).recipe.threads == 1
        assert count() == 2
    assert seen == [2, 1]


def test_own_torch_may_be_nested() -> None:
    with threads(2), torch.inference_mode():
        before = state_of_torch()
        with own_torch(1):
            inner = state_of_torch()
            with own_torch(2):
                assert torch.get_num_threads() == 2
            assert state_of_torch() == inner
            assert inner["grad"]
            assert not inner["inference"]
        assert state_of_torch() == before


CHILD = """
import os, signal, sys
import torch
torch.set_num_threads(2)
{before}
# Work for torch's threads, so that there are some.
x = torch.rand(1500, 1500)
(x @ x).sum(), torch.rand(4_000_000).exp().sum()
child = os.fork()
if child == 0:
    signal.alarm(100)  # A child that waits for threads that are gone ends too, but not well.
    import impasto
    painting = impasto.stylize({photo!r}, {painting!r}, extractor={extractor!r}, size=64, steps=2)
    impasto.measure({photo!r}, {photo!r}, {painting!r}, extractor={extractor!r})
    print(*painting.notices, painting.recipe.threads, sep="|", flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
@pytest.mark.parametrize(
    "before",
    [
        "import impasto",
        "import impasto; impasto.stylize({photo!r}, {painting!r}, extractor={extractor!r}, size=64, steps=1)",
    ],
)
def test_the_child_of_a_fork(files: tuple[Path, Path], tiny_file: str, before: str) -> None:
    """Torch's threads stay behind in the parent: work given to them would never end."""
    names = {"photo": str(files[0]), "painting": str(files[1]), "extractor": tiny_file}
    code = CHILD.format(before=before.format(**names), **names)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    told, count = done.stdout.strip().split("|")
    assert told == "this process is the child of a fork, where torch's threads are gone: computing with one thread"
    assert count == "1"
