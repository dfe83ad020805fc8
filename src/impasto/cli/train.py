"""``impasto train``: make the weights that ship with the package again, or networks of your own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.options import check_word_or_file
from impasto.cli.training import (
    Devices,
    InLoss,
    Judge,
    Session,
    StartFrom,
    beside,
    check_cnns,
    check_folder,
    check_start,
    source,
    trains,
)
from impasto.configs import AttributesConfig, AutoencoderConfig, ExtractorConfig, FacesConfig
from impasto.errors import ImpastoError

app = typer.Typer(help="Make the weights that ship with the package again, or networks of your own.")


@app.command("attributes")
@trains(AttributesConfig, needs=("torchmetrics", "matplotlib"), extra="lessons", beside=(".json", ".txt", ".png"))
def attributes(
    session: Session,
    data: Annotated[
        Path, source("Folder of CelebA: img_align_celeba or its zip, list_attr_celeba, list_eval_partition if there.")
    ],
) -> None:
    """Train a CNN on CelebA's 40 attributes, and measure it beside two baselines.

    Beside FILE come the table as .json and .txt and the chart as .png.
    Needs the extra 'lessons': pip install 'impasto[lessons]'.
    """
    check_folder(data, "data", "img_align_celeba")
    out = session.out
    with session.running() as around:
        from impasto.files.atomic import write_atomically
        from impasto.lessons.attributes import train
        from impasto.lessons.celeba import read_celeba

        scores = train(session.config, read_celeba(data), out, **around)
        table, text = scores.to_json(), scores.to_text()
        files = {".json": (json.dumps(table, indent=1) + "\n").encode(), ".txt": text.encode()}
        files[".png"] = scores.to_png()
        for ending, content in files.items():
            write_atomically(out.with_suffix(ending), content)
    names = ", ".join(out.with_suffix(ending).name for ending in files)
    session.tell(table, f"{text}The network is in {out}, this table and a chart beside it ({names}).")


@app.command("faces")
@trains(FacesConfig)
def faces(
    session: Session,
    data: Annotated[
        Path, source("Folder with CelebA's img_align_celeba or its zip, or any folder or zip of faces.", "DIR|ZIP")
    ],
    samples: Annotated[
        Path | None, beside("Folder for sheets of faces and strips between them (default: beside --out).")
    ] = None,
) -> None:
    """Train a GAN on faces. Sheets and a distance from real faces show how far it is.

    'impasto generate faces' paints with what it leaves in FILE.
    """
    if not data.exists():
        raise ImpastoError(f"{data} is not there; name a folder with faces in it", setting="data")
    sheets = session.beside(samples, "samples")
    with session.running() as around:
        from impasto.features import load_extractor
        from impasto.lessons.faces import read_faces, train

        images, compact = read_faces(data), load_extractor("compact")
        result = train(session.config, images, compact, session.out, samples=sheets, **around)
    session.tell(
        {"samples": str(sheets), "distance": result.distance, "before": result.before, "floor": result.floor},
        f"The generator is in {session.out}, sheets in {sheets}. Its faces are {result.distance:.3f} from real ones "
        f"(untrained: {result.before:.3f}, real ones from one another: {result.floor:.3f}).",
    )


@app.command("autoencoder")
@trains(AutoencoderConfig, needs=("lightning_fabric", "tensorboard"), extra="train")
def autoencoder(
    session: Session,
    content: Annotated[Path, source("Folder of photographs.")],
    style: Annotated[Path, source("Folder of paintings.")],
    extractor: InLoss = "compact",
    judge: Judge = "auto",
    start_from: StartFrom = None,
    journal: Annotated[
        Path | None, beside("Folder for curves (TensorBoard) and sheets of samples (default: beside --out).")
    ] = None,
    devices: Devices = 1,
) -> None:
    """Train a network that paints any photograph in any style in one pass.

    Needs the extra 'train': pip install 'impasto[train]'.
    """
    config = session.config
    if "adversarial_weight" in session.given and not config.adversarial:
        raise ImpastoError("weighs a critic, and there is none; add `adversarial`", setting="adversarial_weight")
    config.check_devices(devices)
    check_cnns(extractor, judge)
    check_folder(content, "content", "photographs")
    check_folder(style, "style", "paintings")
    check_start(start_from)
    curves = session.beside(journal, "journal")
    with session.running() as around:
        from impasto.features import load_extractor
        from impasto.training.autoencoder import train

        sees, judges = load_extractor(extractor), load_extractor(judge)
        options = {"devices": devices, "start_from": start_from, "journal": curves, **around}
        scores = train(config, content, style, sees, session.out, judge=judges, **options)
    critic = scores.critic
    found = "" if critic is None else f", the critic right about {critic.total:.0%}"
    session.tell(
        {
            "journal": str(curves),
            "judge": scores.extractor,
            "style_share": scores.style_share,
            "content_error": scores.content_error,
            "critic": None if critic is None else {**asdict(critic), "total": critic.total},
        },
        f"The auto-encoder is in {session.out} (style share {scores.style_share:.3f}, content error "
        f"{scores.content_error:.3f}{found}; judge: {scores.extractor}), curves and sheets in {curves}.",
    )


@app.command("extractor")
@trains(ExtractorConfig, needs=("lightning_fabric",), extra="train")
def extractor(
    session: Session,
    data: Annotated[Path, source("Folder of images.")],
    teacher: Annotated[str, source("Weights of VGG-19.", "vgg19|FILE")],
    start_from: StartFrom = None,
    devices: Devices = 1,
) -> None:
    """Train the compact extractor: a small CNN learns to see what VGG-19 sees.

    Needs the extra 'train': pip install 'impasto[train]'.
    """
    session.config.check_devices(devices)
    check_word_or_file(teacher, ("vgg19",), "teacher")
    check_folder(data, "data", "images")
    check_start(start_from)
    with session.running() as around:
        from impasto.features import load_extractor
        from impasto.training.distil import train

        options = {"devices": devices, "start_from": start_from, **around}
        errors = train(session.config, data, load_extractor(teacher), session.out, **options)
    told = ", ".join(f"{layer} {error:.3f}" for layer, error in errors.items())
    session.tell({"errors": errors}, f"The extractor is in {session.out} ({told}).")
