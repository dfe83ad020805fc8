"""``impasto stylize``: a photograph becomes a painting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli import options, report, run
from impasto.cli.checkpoints import claim_checkpoint
from impasto.cli.options import (
    DESCENT,
    LOOK,
    MACHINE,
    OUTPUT,
    Algorithm,
    Color,
    ContentLayers,
    Debug,
    Depth,
    Device,
    ExtractorName,
    Force,
    HowPrecise,
    Json,
    MaxMemory,
    MaxPixels,
    Method,
    Normalization,
    Normalized,
    Optimizer,
    Pooled,
    Pooling,
    Precision,
    PreserveColor,
    Quiet,
    Resume,
    Runtime,
    Threads,
    TvWeight,
    Where,
    at_least,
)
from impasto.errors import ImpastoError

#: Settings of a network that paints, and what only a descent can do with.
NETWORKS, STEPWISE = ("model", "strength", "runtime"), ("preview", "preview_every", "resume")


def stylize(
    context: typer.Context,
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.", show_default=False)],
    styles: Annotated[
        list[str], typer.Argument(metavar="STYLE...", help="One painting or several.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The picture: .png, .jpg, .webp or .tif.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    method: Annotated[
        Method,
        typer.Option(
            help="Descend on the pixels; paint in one pass of a network; or refine what that has painted.",
            rich_help_panel=LOOK,
        ),
    ] = Method.refine,
    size: Annotated[
        int,
        typer.Option(
            help="Longest side in pixels; 0 keeps the photograph's own.", callback=at_least(0), rich_help_panel=LOOK
        ),
    ] = 512,
    content_weight: Annotated[
        float,
        typer.Option(
            help="λ: from 1e-5, almost pure texture, to 1e-2, the photograph.",
            callback=at_least(0),
            rich_help_panel=LOOK,
        ),
    ] = 1e-3,
    style_weights: Annotated[
        str | None,
        typer.Option(metavar="W,W...", help="One weight for each painting, such as 0.7,0.3.", rich_help_panel=LOOK),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            help="Of instant and hybrid: from 0, the photograph, to 1, the style.",
            callback=at_least(0),
            rich_help_panel=LOOK,
        ),
    ] = 1.0,
    tv_weight: TvWeight = 0.0,
    preserve_color: PreserveColor = Color.none,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Steps over all scales (default: fitted to the size).", callback=at_least(1), rich_help_panel=DESCENT
        ),
    ] = None,
    optimizer: Algorithm = Optimizer.lbfgs,
    init: Annotated[
        str,
        typer.Option(metavar="content|noise|style|FILE", help="The picture to begin with.", rich_help_panel=DESCENT),
    ] = "content",
    seed: Annotated[
        int,
        typer.Option(
            help="Of the noise: of --init noise, or of a network's strokes.",
            callback=at_least(0),
            rich_help_panel=DESCENT,
        ),
    ] = 0,
    extractor: ExtractorName = "auto",
    normalization: Normalized = Normalization.relative,
    content_layers: ContentLayers = None,
    style_layers: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER=W,...",
            help="Such as relu1_1=1,relu2_1=0.5 (default: relu1_1 to relu5_1, a fifth each).",
            rich_help_panel=DESCENT,
        ),
    ] = None,
    pooling: Pooled = Pooling.max,
    detail: Annotated[
        float | None,
        typer.Option(
            help="Of the photograph's fine detail, how much enters at each finer scale: 0 to 1 (default: follows λ).",
            callback=at_least(0),
            rich_help_panel=LOOK,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Network of instant and hybrid (default: the package's own).",
            show_default=False,
            rich_help_panel=MACHINE,
        ),
    ] = None,
    runtime: Annotated[
        Runtime, typer.Option(help="What computes that network.", rich_help_panel=MACHINE)
    ] = Runtime.torch,
    device: Where = Device.auto,
    precision: HowPrecise = Precision.auto,
    threads: Threads = None,
    max_memory: MaxMemory = None,
    max_pixels: MaxPixels = 64_000_000,
    depth: Annotated[
        Depth, typer.Option(help="Bits a channel; 16 for .png and .tif.", rich_help_panel=OUTPUT)
    ] = Depth.eight,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Save a picture there every so many steps.", rich_help_panel=OUTPUT),
    ] = None,
    preview_every: Annotated[
        int, typer.Option(help="Steps between two previews.", callback=at_least(1), rich_help_panel=OUTPUT)
    ] = 25,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint CONTENT, a photograph, in the style of one painting or several."""
    options.one_voice(quiet=quiet, json=json)
    options.check_word_or_file(init, ("content", "noise", "style"), "--init")
    options.check_word_or_file(extractor, ("auto", "compact", "vgg19"), "--extractor")
    settings: dict[str, Any] = {
        "size": size,
        "content_weight": content_weight,
        "style_weights": options.read_weights(style_weights),
        "tv_weight": tv_weight,
        "steps": steps,
        "optimizer": optimizer.value,
        "init": init,
        "seed": seed,
        "extractor": extractor,
        "preserve_color": preserve_color.value,
        "device": device.value,
        "precision": precision.value,
        "normalization": normalization.value,
        "content_layers": options.read_layers(content_layers, "--content-layers"),
        "style_layers": options.read_layers(style_layers, "--style-layers"),
        "pooling": pooling.value,
        "detail": detail,
        "max_memory": max_memory,
        "model": model,
        "strength": strength,
        "runtime": runtime.value,
    }
    # What was typed and means nothing is refused by the library; what was not typed is not asked for.
    typed = {name for name in context.params if is_typed(context, name)}
    idle = NETWORKS if method is Method.refine else settings
    settings = {name: value for name, value in settings.items() if name in typed or name not in idle}
    if method is not Method.refine:
        settings["method"] = method.value
    if method is Method.instant:
        for name in STEPWISE:
            if name in typed:
                raise ImpastoError(
                    f"--{name.replace('_', '-')}: means nothing with --method instant, which takes no steps; "
                    "leave it out"
                )
    settings["max_pixels"] = max_pixels
    options.check_files(content, *styles, *([model] if model is not None else []))

    from impasto.images import check_output_path

    # What was not typed is not in the settings, but every method's default is this one.
    check_output_path(output, force=force, depth=int(depth.value), longest=run.longest_side(content, size))
    if preview is not None:
        run.check_preview(preview, force=force or resume)
    checkpoint = None if method is Method.instant else claim_checkpoint(output, resume=resume, force=force)
    options.set_threads(threads)
    reporter = report.choose(quiet=quiet, json=json)
    painting = run.paint(
        content,
        styles,
        reporter=reporter,
        settings=settings,
        checkpoint=checkpoint,
        resume=resume,
        preview=preview,
        preview_every=preview_every,
    )
    run.save(painting, output, depth=int(depth.value), force=force, reporter=reporter)


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether the option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
