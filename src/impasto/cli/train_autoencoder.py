"""``impasto train autoencoder``: a network that paints in one pass, on anyone's photographs and paintings."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli import options
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
    from impasto.training.autoencoder import Step
    from impasto.training.evaluation import Scores


def autoencoder(
    content: Annotated[Path, typer.Option(metavar="DIR", help="Folder of photographs.", show_default=False)],
    style: Annotated[Path, typer.Option(metavar="DIR", help="Folder of paintings.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The .safetensors file to write.", show_default=False)
    ],
    residual: Annotated[bool, typer.Option("--residual", help="Connect encoder and decoder at every scale.")] = False,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Train a critic of painted pictures along with it.")
    ] = False,
    content_weight: Annotated[
        float, typer.Option(help="λ: what the photograph weighs against the style.", callback=at_least(0))
    ] = 1e-3,
    adversarial_weight: Annotated[
        float | None,
        typer.Option(help="β: what the critic weighs; 0 only trains it (default: 0.1).", callback=at_least(0)),
    ] = None,
    extractor: Annotated[
        str, typer.Option(metavar="compact|vgg19|FILE", help="What sees content and style in the loss.")
    ] = "compact",
    judge: Annotated[
        str,
        typer.Option(
            metavar="auto|vgg19|compact|FILE", help="Extractor of the final scores (auto: VGG-19 where it is to hand)."
        ),
    ] = "auto",
    steps: Annotated[int, typer.Option(help="Batches to learn from.", callback=at_least(1))] = 6000,
    batch: Annotated[int, typer.Option(help="Pairs a step.", callback=at_least(1))] = 8,
    side: Annotated[int, typer.Option(help="Side of a crop in pixels, a multiple of 16.", callback=at_least(32))] = 128,
    learning_rate: Annotated[float, typer.Option(help="At its highest.", callback=at_least(0))] = 6e-3,
    seed: Annotated[int, typer.Option(help="Of weights, crops and their order.", callback=at_least(0))] = 0,
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Network of an earlier training to begin with.", show_default=False),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for curves (TensorBoard) and sheets of samples (default: beside --out).",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
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
    """Train a network that paints any photograph in any style in one pass.

    Needs the extra 'train': pip install 'impasto[train]'.
    """
    # With several devices this command runs once for each, and one of them does the talking.
    leads = os.environ.get("LOCAL_RANK", "0") == "0"
    options.one_voice(quiet=quiet, json=json)
    quiet = quiet or not leads
    options.check_word_or_file(extractor, ("compact", "vgg19"), "--extractor")
    options.check_word_or_file(judge, ("auto", "vgg19", "compact"), "--judge")
    for folder, option in ((content, "--content"), (style, "--style")):
        if not folder.is_dir():
            raise ImpastoError(f"{option}: {folder} is no folder; name one with images in it")
    options.check_weights_out(out, force=force)
    if side % 16:
        raise ImpastoError(f"--side: {side} is no multiple of 16; give {side // 16 * 16}")
    check_shares(batch, devices, "pairs")
    if adversarial_weight is not None and not adversarial:
        raise ImpastoError("--adversarial-weight: weighs a critic, and there is none; add --adversarial")
    if start_from is not None and not start_from.is_file():
        raise ImpastoError(f"--start-from: there is no {start_from}; name the file of an earlier training")
    journal = journal or out.with_name(f"{out.stem}-journal")
    if journal.exists() and not journal.is_dir():
        raise ImpastoError(f"--journal: {journal} is a file; name a folder")
    missing = [name for name in ("lightning_fabric", "tensorboard") if find_spec(name) is None]
    if missing:
        raise ImpastoError(
            f"{' and '.join(missing)} missing; install what training needs: pip install 'impasto[train]'"
        )
    checkpoint = claim_checkpoint(out, resume=resume, force=force)
    options.set_threads(threads)

    from impasto.features import load_extractor
    from impasto.machine import resolve_device, resolve_precision
    from impasto.training.autoencoder import TrainConfig, train

    place = resolve_device(device.value)
    config = TrainConfig(
        residual=residual,
        adversarial=adversarial,
        content_weight=content_weight,
        adversarial_weight=TrainConfig.adversarial_weight if adversarial_weight is None else adversarial_weight,
        steps=steps,
        batch=batch,
        side=side,
        learning_rate=learning_rate,
        precision=resolve_precision(precision.value, place),
        seed=seed,
    )
    reporter = TrainingReporter(quiet=quiet, json=json, warm_up=True)

    def listen(record: Step) -> None:
        losses = "  ".join(f"{name} {loss:.4f}" for name, loss in record.losses.items())
        reporter.step(record, {"losses": record.losses}, losses)

    if leads:
        tell_of_a_beginning(checkpoint, reporter.log, resume=resume)
    with stoppable(checkpoint, tell=leads):
        scores = train(
            config,
            content,
            style,
            load_extractor(extractor),
            out,
            judge=load_extractor(judge),
            devices=devices,
            device=place,
            checkpoint=checkpoint,
            start_from=start_from,
            journal=journal,
            callback=listen,
            log=reporter.log,
        )
    if not leads:
        return
    checkpoint.unlink(missing_ok=True)
    if json:
        say_json({"output": str(out), "journal": str(journal), **_table(scores)})
    elif not quiet:
        found = "" if scores.critic is None else f", the critic right about {scores.critic.total:.0%}"
        say(
            f"The auto-encoder is in {out} (style share {scores.style_share:.3f}, content error "
            f"{scores.content_error:.3f}{found}; judge: {scores.extractor}), curves and sheets in {journal}."
        )


def _table(scores: Scores) -> dict[str, Any]:
    critic = scores.critic
    return {
        "judge": scores.extractor,
        "style_share": scores.style_share,
        "content_error": scores.content_error,
        "critic": None if critic is None else {"real": critic.real, "painted": critic.painted, "total": critic.total},
    }
