"""How well compact extractors of other widths see, and what a step through them costs.

    python benchmarks/frontier.py --data FOLDER trained=src/impasto/pretrained/compact.safetensors

Each network is made by least squares alone, as every training begins: what the widths decide, not the hours. Files of
trained networks, NAME=FILE, are measured with them. What has been made is not made again; the times of the steps are
taken in turns, at the end, and want a machine that does nothing else. Leaves OUT/frontier.json and OUT/frontier.webp.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from impasto.features.compact import ARCHITECTURE, FORMAT, LAYERS, Architecture, Compact
from impasto.features.extractor import Extractor
from impasto.features.vgg19 import VGG19
from impasto.files.cards import read_card
from impasto.images import load_image
from impasto.machine import freed_memory_kept
from impasto.refine.objective import Objective, Whole
from impasto.refine.optimizer import State, lbfgs
from impasto.refine.pyramid import fit, fit_style
from impasto.settings import Settings
from plot import pyplot, save
from runner import CONTENT, STYLE, WEIGHTS, command_line, say, write_json

#: Where the search for widths looked, cheapest first. The shipped widths are the middle.
SHIPPED = dict(ARCHITECTURE)
NARROWER = {"relu2_2": 48, "relu3_1": 128, "relu4_3": 160, "relu4_4": 160, "relu5_1": 320}
WIDTHS: dict[str, dict[str, int]] = {
    "half as wide": {name: -(-width // 16) * 8 for name, width in SHIPPED.items()},
    "three quarters": {name: -(-width * 3 // 32) * 8 for name, width in SHIPPED.items()},
    "narrower, no relu5_0": {name: NARROWER.get(name, width) for name, width in SHIPPED.items() if name != "relu5_0"},
    "without relu5_0": {name: width for name, width in SHIPPED.items() if name != "relu5_0"},
    "shipped widths": SHIPPED,
    "five quarters": {name: -(-width * 5 // 32) * 8 for name, width in SHIPPED.items()},
}
STEPS = 6  # a network, the first of them not counted


def multiplications(architecture: Architecture) -> float:
    """Of all convolutions, for a pixel of the picture."""
    before, total = 3, 0.0
    for name, width in architecture:
        total += 9 * before * width / 4 ** (int(name[4]) - 1)
        before = width
    return total


def make(widths: Mapping[str, int], teacher: Extractor, folder: Path, out: Path) -> None:
    """A network of these widths, by least squares."""
    # Needs the extra train.
    from impasto.training import comparison, data, initialize, student

    images = data.read_images(data.list_images(folder, "train"))
    validation = data.read_images(data.list_images(folder, "validation"))[::3]
    generator = torch.Generator().manual_seed(0)
    sample = data.augment(data.crops(images, 96, 128, generator), generator)
    network = student.Student(tuple(widths.items()))
    initialize.fit_stem(network, teacher, sample[:32])
    initialize.fit_to_teacher(network, teacher, sample, generator)
    student.export(network, out, {"errors": comparison.feature_errors(network, teacher, validation)})


def step_times(networks: Mapping[str, Extractor], size: int) -> dict[str, float]:
    """Milliseconds of a step at ``size``, the networks taking turns: the median."""
    picture, painting = fit(load_image(CONTENT).tensor, size), fit_style(load_image(STYLE).tensor, size, 16)
    objectives = {
        name: Objective.of(Settings(), picture, [(painting, 1.0)], Whole(seen)) for name, seen in networks.items()
    }
    states = {name: State(picture.clone()) for name in networks}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(STEPS):
        for name, objective in objectives.items():
            start = time.perf_counter()
            gradient, _ = objective(states[name].image)
            states[name] = lbfgs(states[name], gradient, 0.03)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * median(taken[1:]) for name, taken in seconds.items()}


def draw(records: Mapping[str, Mapping[str, Any]], output: Path) -> None:
    """The mean error against the time of a step and against the size of the file."""
    figure, axes = pyplot().subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for panel, cost, label in zip(axes, ("ms", "mb"), ("ms a step", "MB, fp16"), strict=True):
        for name, record in records.items():
            trained = record["trained"]
            look = {"color": "#d1495b", "marker": "^"} if trained else {"color": "#1f5fa8", "marker": "o"}
            mean = sum(record["errors"].values()) / len(record["errors"])
            panel.plot(record[cost], mean, linestyle="none", **look)
            panel.annotate(name, (record[cost], mean), (6, 4), textcoords="offset points", fontsize=8)
        panel.set(xlabel=label)
        panel.margins(x=0.35, y=0.1)
        panel.grid(alpha=0.3)
    axes[0].set(ylabel="relative error, mean of six layers")
    save(figure, output)


@freed_memory_kept()
def main() -> None:
    parser = command_line(__doc__, "frontier")
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="trained networks")
    parser.add_argument("--data", type=Path, required=True, help="folder of images, as for impasto train extractor")
    parser.add_argument("--teacher", type=Path, default=WEIGHTS)
    parser.add_argument("--size", type=int, default=512, help="longest side for the time of a step, in pixels")
    parser.add_argument("--only", choices=("networks", "times"), help="make the networks, or take the times")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    teacher = VGG19.from_file(arguments.teacher)

    paths = {name: arguments.out / f"{name.replace(' ', '-')}.safetensors" for name in WIDTHS}
    if arguments.only != "times":
        for name, path in paths.items():
            if not path.exists():
                make(WIDTHS[name], teacher, arguments.data, path)
                say(f"{name} {(read_card(path, FORMAT) or {})['errors']}")
    if arguments.only == "networks":
        return
    paths |= {name: Path(path) for name, _, path in (given.partition("=") for given in arguments.files)}
    networks = {name: Compact.from_file(path) for name, path in paths.items()}
    times = step_times({"VGG-19": teacher, **networks}, arguments.size)
    records = {
        name: {
            "multiplications": multiplications(network.architecture),
            "mb": paths[name].stat().st_size / 1e6,
            "ms": times[name],
            "times_faster": times["VGG-19"] / times[name],
            "errors": (read_card(paths[name], FORMAT) or {})["errors"],
            "trained": name not in WIDTHS,
        }
        for name, network in networks.items()
    }
    write_json(
        arguments.out / "frontier.json", {"vgg19_ms": times["VGG-19"], "size": arguments.size, "networks": records}
    )
    draw(records, arguments.out / "frontier.webp")
    print(f"A step through VGG-19 at {arguments.size} px: {times['VGG-19']:.0f} ms\n")
    print("| network | multiplications a pixel | MB | times faster |", " | ".join(LAYERS), "|")
    print("| --- " * (4 + len(LAYERS)) + "|")
    for name, record in records.items():
        cost = f"{record['multiplications']:,.0f} | {record['mb']:.1f} | {record['times_faster']:.1f}"
        errors = " | ".join(f"{record['errors'][layer]:.3f}" for layer in LAYERS)
        print(f"| {name} | {cost} | {errors} |")


if __name__ == "__main__":
    main()
