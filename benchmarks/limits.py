"""What the machine itself can do: its best rate of matrix products in float32 and bfloat16, and of copying memory.

    python benchmarks/limits.py --threads 2

Prints one JSON object. A step of the descent is nearly all matrix products, so their rate is the wall that it can come
near to and not pass.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

from impasto.machine import has_fast_bf16

#: (rows, columns, inner length). Large ones are fastest where the memory is; the narrow ones are shaped as the
#: convolutions of stages 3 and 4 at 512 px: positions × channels × 9 channels.
SHAPES = (
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (12288, 256, 2304),
    (3072, 512, 4608),
    (4096, 4096, 4096),
)
QUICK_SHAPES = ((512, 512, 512), (1024, 1024, 1024))
#: Times each is run, of which the fastest counts, and the most seconds that a shape may take.
REPEATS, LONGEST = 4, 20.0


def fastest(
    action: Callable[[], object],
    repeats: int = REPEATS,
    longest: float = LONGEST,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of the fastest run; the first one warms up and counts only if time does not allow a second."""
    taken: list[float] = []
    while len(taken) <= repeats and sum(taken) < longest:
        began = clock()
        action()
        taken.append(clock() - began)
    return min(taken[1:] or taken)


def product_rates(dtype: torch.dtype, shapes: tuple[tuple[int, int, int], ...]) -> dict[str, float]:
    """GFLOP/s by shape. Shapes that would take too long by the rate so far are left out."""
    rates: dict[str, float] = {}
    for rows, columns, inner in shapes:
        work = 2 * rows * columns * inner
        if rates and work / (max(rates.values()) * 1e9) > LONGEST:
            continue
        left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
        product = torch.empty(rows, columns, dtype=dtype)
        seconds = fastest(lambda: torch.mm(left, right, out=product))  # noqa: B023 (called before the next turn)
        rates[f"{rows} × {columns} × {inner}"] = work / seconds / 1e9
    return rates


def copy_rate(megabytes: int) -> float:
    """GB/s read and written together, of a copy far larger than the caches."""
    source = torch.ones(megabytes * 250_000)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source)) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--quick", action="store_true", help="small products only")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    shapes = QUICK_SHAPES if arguments.quick else SHAPES
    with torch.inference_mode():
        products = {
            "fp32": product_rates(torch.float32, shapes),
            "bf16": product_rates(torch.bfloat16, shapes),
        }
        copied = copy_rate(32 if arguments.quick else 512)
    found = {
        "threads": torch.get_num_threads(),
        "fast_bf16": has_fast_bf16("cpu"),
        "gflops": {name: max(rates.values()) for name, rates in products.items()},
        "copy_gb_s": copied,
        "products": products,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
