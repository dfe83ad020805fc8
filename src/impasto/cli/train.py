"""``impasto train``: make the weights that ship with the package again, or your own."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli import options, train_attributes, train_autoencoder, train_faces
from impasto.cli.checkpoints import claim_checkpoint, stoppable, tell_of_a_beginning
from impasto.cli.options import (
    Debug,
    Device,
    Devices,
    Force,
    HowPrecise,
    Json,
    Precision,
    Quiet,
    Resume,
    Threads,
    Where,
    at_least,
)
from impasto.cli.report import say, say_json
from impasto.cli.training import TrainingReporter
from impasto.errors import ImpastoError
from impasto.training.devices import check_shares

if TYPE_CHECKING:
    from impasto.training.distil import TrainProgress

app = typer.Typer(help="Make the weights that ship with the package again, or networks of your own.")
app.command("attributes")(train_attributes.attributes)
app.command("faces")(train_faces.faces)
app.command("autoencoder")(train_autoencoder.autoencoder)


@app.callback(invoke_without_command=True)
def _train(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("extractor")
def extractor(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of images.", show_default=False)],
    teacher: Annotated[
        str, typer.Option(metavar="vgg19|FILE", help="The weights of VGG-19 to learn from.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The .safetensors file to write.", show_default=False)
    ],
    steps: Annotated[int, typer.Option(help="Batches to learn from.", callback=at_least(1))] = 3000,
    batch: Annotated[int, typer.Option(help="Crops a step.", callback=at_least(1))] = 10,
    side: Annotated[int, typer.Option(help="Side of a crop in pixels.", callback=at_least(32))] = 256,
    memory: Annotated[
        int,
        typer.Option(
            help="Crops that are seen again and again; what VGG-19 sees in them is kept on disk.", callback=at_least(1)
        ),
    ] = 1200,
    learning_rate: Annotated[float, typer.Option(help="At its highest.", callback=at_least(0))] = 5e-4,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.", callback=at_least(0))] = 1e-4,
    gram_weight: Annotated[float, typer.Option(help="Of the error of the Gram matrices.", callback=at_least(0))] = 1.0,
    gap_weight: Annotated[
        float,
        typer.Option(help="Of the error of what paintings lack of their style.", callback=at_least(0)),
    ] = 4.0,
    gradient_weight: Annotated[
        float,
        typer.Option(
            help="Of the error of the gradient that reaches the pixels; asks VGG-19 at every step.",
            callback=at_least(0),
        ),
    ] = 0.0,
    painted: Annotated[
        int,
        typer.Option(
            help="Crops a step that the network itself painted; each comes with its style.", callback=at_least(0)
        ),
    ] = 2,
    paint_every: Annotated[int, typer.Option(help="Steps between two paintings.", callback=at_least(1))] = 30,
    seed: Annotated[int, typer.Option(help="Of weights, crops and their order.", callback=at_least(0))] = 0,
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Network of an earlier training to begin with.", show_default=False),
    ] = None,
    device: Where = Device.auto,
    devices: Devices = 1,
    precision: HowPrecise = Precision.auto,
    threads: Threads = None,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the compact extractor: a small CNN learns to see what VGG-19 sees.

    Needs the extra 'train': pip install 'impasto[train]'.
    """
    # With several devices this command runs once for each, and one of them does the talking.
    leads = os.environ.get("LOCAL_RANK", "0") == "0"
    options.one_voice(quiet=quiet, json=json)
    quiet = quiet or not leads
    options.check_word_or_file(teacher, ("vgg19",), "--teacher")
    if not data.is_dir():
        raise ImpastoError(f"--data: {data} is no folder; name one with images in it")
    options.check_weights_out(out, force=force)
    if 2 * painted > batch:
        raise ImpastoError(f"--painted: {painted} of {batch} crops, with their styles; give at most half of --batch")
    check_shares(batch, devices, "crops")
    if gradient_weight and batch < 2 * devices:
        raise ImpastoError("--gradient-weight: compares pictures of a batch, two on each device; give a larger --batch")
    if start_from is not None and not start_from.is_file():
        raise ImpastoError(f"--start-from: there is no {start_from}; name the file of an earlier training")
    if find_spec("lightning_fabric") is None:
        raise ImpastoError("lightning_fabric missing; install what training needs: pip install 'impasto[train]'")
    checkpoint = claim_checkpoint(out, resume=resume, force=force)
    options.set_threads(threads)

    from impasto.features import load_extractor
    from impasto.machine import keep_freed_memory, resolve_device, resolve_precision
    from impasto.training.distil import TrainConfig, train

    keep_freed_memory()
    place = resolve_device(device.value)
    config = TrainConfig(
        steps=steps,
        batch=batch,
        side=side,
        memory=memory,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        gram_weight=gram_weight,
        gap_weight=gap_weight,
        gradient_weight=gradient_weight,
        painted=painted,
        paint_every=paint_every,
        precision=resolve_precision(precision.value, place),
        seed=seed,
    )
    reporter = TrainingReporter(quiet=quiet, json=json)

    def listen(record: TrainProgress) -> None:
        errors = "  ".join(f"{layer.removeprefix('relu')} {error:.3f}" for layer, error in record.errors.items())
        told = {"loss": record.loss, "errors": record.errors}
        reporter.step(record, told, f"loss {record.loss:.4f}  {errors}")

    if leads:
        tell_of_a_beginning(checkpoint, reporter.log, resume=resume)
    with stoppable(checkpoint, tell=leads):
        errors = train(
            config,
            data,
            load_extractor(teacher),
            out,
            devices=devices,
            device=place,
            checkpoint=checkpoint,
            start_from=start_from,
            callback=listen,
            log=reporter.log,
        )
    if not leads:
        return
    checkpoint.unlink(missing_ok=True)
    if json:
        say_json({"output": str(out), "errors": errors})
    elif not quiet:
        say(f"The extractor is in {out} ({', '.join(f'{layer} {error:.3f}' for layer, error in errors.items())}).")
