"""``impasto train faces``: a GAN, from scratch, that paints faces which nobody has."""

from __future__ import annotations

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
    from impasto.lessons.faces import FaceProgress


SIDES = (16, 32, 64, 128)


def faces(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR|ZIP",
            help="Folder with CelebA's img_align_celeba or its zip in it, or any folder or zip of faces.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The .safetensors file to write.", show_default=False)
    ],
    steps: Annotated[int, typer.Option(help="Batches to learn from.", callback=at_least(1))] = 4000,
    batch: Annotated[int, typer.Option(help="Faces a step.", callback=at_least(2))] = 16,
    side: Annotated[int, typer.Option(help="Side of a face in pixels: 16, 32, 64 or 128.")] = 64,
    width: Annotated[
        int, typer.Option(help="Channels of the finest maps; more see and paint better.", callback=at_least(1))
    ] = 16,
    learning_rate: Annotated[float, typer.Option(help="Of both networks.", callback=at_least(0))] = 1e-3,
    penalty: Annotated[
        float, typer.Option(help="γ: what the gradient of the discriminator weighs.", callback=at_least(0))
    ] = 1.0,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Show the discriminator every face a little changed (default: below 10,000 faces).",
            show_default=False,
        ),
    ] = None,
    sample_every: Annotated[
        int, typer.Option(help="Steps between two sheets and measurements.", callback=at_least(1))
    ] = 500,
    seed: Annotated[int, typer.Option(help="Of weights, order and random numbers.", callback=at_least(0))] = 0,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for sheets of faces and strips between them (default: beside --out).",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    device: Where = Device.auto,
    threads: Threads = None,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a GAN on faces. Sheets and a distance from real faces show how far it is.

    'impasto generate faces' paints with what it leaves in FILE.
    """
    options.one_voice(quiet=quiet, json=json)
    if not data.exists():
        raise ImpastoError(f"--data: {data} is not there; name a folder with faces in it")
    if side not in SIDES:
        raise ImpastoError(f"--side: {side} is none of {', '.join(map(str, SIDES))}")
    options.check_weights_out(out, force=force)
    samples = samples or out.with_name(f"{out.stem}-samples")
    if samples.exists() and not samples.is_dir():
        raise ImpastoError(f"--samples: {samples} is a file; name a folder")
    checkpoint = claim_checkpoint(out, resume=resume, force=force)
    options.set_threads(threads)

    from impasto.features import load_extractor
    from impasto.lessons.faces import FacesConfig, read_faces, train
    from impasto.machine import keep_freed_memory, resolve_device

    keep_freed_memory()
    config = FacesConfig(
        steps=steps,
        batch=batch,
        side=side,
        width=width,
        learning_rate=learning_rate,
        penalty=penalty,
        augment=augment,
        sample_every=sample_every,
        seed=seed,
    )
    reporter = TrainingReporter(quiet=quiet, json=json)

    def listen(record: FaceProgress) -> None:
        told = {
            "discriminator_loss": record.discriminator_loss,
            "generator_loss": record.generator_loss,
            "distance": record.distance,
        }
        reporter.step(
            record,
            told,
            f"discriminator {record.discriminator_loss:.3f}  generator {record.generator_loss:.3f}  "
            f"distance {record.distance:.3f}",
        )

    tell_of_a_beginning(checkpoint, reporter.log, resume=resume)
    place = resolve_device(device.value)
    with stoppable(checkpoint):
        result = train(
            config,
            read_faces(data),
            load_extractor("compact"),
            out,
            device=place,
            checkpoint=checkpoint,
            samples=samples,
            callback=listen,
            log=reporter.log,
        )
    checkpoint.unlink(missing_ok=True)
    if json:
        told = {"distance": result.distance, "before": result.before, "floor": result.floor}
        say_json({"output": str(out), "samples": str(samples), **told})
    elif not quiet:
        say(
            f"The generator is in {out}, sheets in {samples}. Its faces are {result.distance:.3f} from real ones "
            f"(untrained: {result.before:.3f}, real ones from one another: {result.floor:.3f})."
        )
