"""``impasto train attributes``: a CNN, from scratch, that tells the attributes of a face."""

from __future__ import annotations

import json as json_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli import options
from impasto.cli.checkpoints import claim_checkpoint, stoppable, tell_of_a_beginning
from impasto.cli.options import (
    Debug,
    Device,
    Force,
    Json,
    Quiet,
    Resume,
    Threads,
    Where,
    at_least,
)
from impasto.cli.report import say, say_json
from impasto.cli.training import TrainingReporter
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.lessons.attributes import AttributeProgress


def attributes(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of CelebA: img_align_celeba or its zip, list_attr_celeba, list_eval_partition if there.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The .safetensors file to write.", show_default=False)
    ],
    epochs: Annotated[int, typer.Option(help="Times through the training faces, at most.", callback=at_least(1))] = 30,
    batch: Annotated[int, typer.Option(help="Faces a step.", callback=at_least(2))] = 32,
    side: Annotated[int, typer.Option(help="Side of a face in pixels, a multiple of 16.", callback=at_least(16))] = 64,
    width: Annotated[int, typer.Option(help="Channels of the first convolutions.", callback=at_least(1))] = 32,
    learning_rate: Annotated[float, typer.Option(help="At its highest.", callback=at_least(0))] = 5e-3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.", callback=at_least(0))] = 0.05,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better one before the training ends.", callback=at_least(1))
    ] = 6,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", callback=at_least(0))] = 0,
    device: Where = Device.auto,
    threads: Threads = None,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a CNN on CelebA's 40 attributes, and measure it beside two baselines.

    Beside FILE come the table as .json and .txt and the chart as .png.
    """
    options.one_voice(quiet=quiet, json=json)
    if not data.is_dir():
        raise ImpastoError(f"--data: {data} is no folder; name one with img_align_celeba in it")
    if side % 16:
        raise ImpastoError(f"--side: {side} is no multiple of 16; give {max(16, side // 16 * 16)}")
    tables = [out.with_suffix(ending) for ending in (".json", ".txt", ".png")]
    options.check_weights_out(out, *tables, force=force)
    missing = [name for name in ("torchmetrics", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ImpastoError(f"{' and '.join(missing)} missing; install them: pip install 'impasto[lessons]'")
    checkpoint = claim_checkpoint(out, resume=resume, force=force)
    options.set_threads(threads)

    from impasto.files.atomic import write_atomically
    from impasto.lessons.attributes import AttributesConfig, train
    from impasto.lessons.celeba import read_celeba
    from impasto.machine import resolve_device

    config = AttributesConfig(
        epochs=epochs,
        batch=batch,
        side=side,
        width=width,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
    )
    reporter = TrainingReporter(quiet=quiet, json=json, left="left at most")

    def listen(record: AttributeProgress) -> None:
        best = "" if record.average_precision is None else f"  best AP {record.average_precision:.3f}"
        told = {"epoch": record.epoch, "loss": record.loss, "average_precision": record.average_precision}
        reporter.step(record, told, f"epoch {record.epoch}  loss {record.loss:.4f}{best}")

    tell_of_a_beginning(checkpoint, reporter.log, resume=resume)
    place = resolve_device(device.value)
    with stoppable(checkpoint):
        scores = train(
            config, read_celeba(data), out, device=place, checkpoint=checkpoint, callback=listen, log=reporter.log
        )
    table = scores.to_json()
    write_atomically(tables[0], (json_module.dumps(table, indent=1) + "\n").encode())
    write_atomically(tables[1], scores.to_text().encode())
    write_atomically(tables[2], scores.to_png())
    checkpoint.unlink(missing_ok=True)
    if json:
        say_json({"output": str(out), **table})
    elif not quiet:
        say(scores.to_text().rstrip("\n"))
        names = ", ".join(path.name for path in tables)
        say(f"The network is in {out}, this table and a chart beside it ({names}).")
