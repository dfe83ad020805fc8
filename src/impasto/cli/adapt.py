"""``impasto adapt``: teach the network a painting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.options import check_files
from impasto.cli.training import (
    InLoss,
    Judge,
    Session,
    StartFrom,
    check_cnns,
    check_folder,
    check_start,
    source,
    trains,
)
from impasto.configs import AdaptConfig


@trains(AdaptConfig, beside=(".sheet.webp",))
def adapt(
    session: Session,
    style: Annotated[
        list[str], typer.Argument(metavar="STYLE...", help="A painting, or several by one artist.", show_default=False)
    ],
    content: Annotated[
        Path | None, source("Folder of photographs to learn on (default: the pictures of the gallery).")
    ] = None,
    start_from: StartFrom = None,
    extractor: InLoss = "compact",
    judge: Judge = "auto",
) -> None:
    """Teach the network one painting or one artist, in minutes: leaves a small file for --model, and a sheet."""
    check_files(*style)
    check_cnns(extractor, judge)
    check_start(start_from)
    if content is not None:
        check_folder(content, "content", "photographs")
    with session.running() as around:
        from impasto.features import load_extractor
        from impasto.images import load_image
        from impasto.training.adapt import teach

        pictures = [load_image(source, role="style") for source in style]
        sees, judges = load_extractor(extractor), load_extractor(judge)
        found = teach(
            session.config, pictures, sees, session.out, content=content, base=start_from, judge=judges, **around
        )
    before, after = found.before, found.after
    session.tell(
        {
            "sheet": str(found.sheet),
            "steps": found.steps,
            "judge": after.extractor,
            "style_share": after.style_share,
            "content_error": after.content_error,
            "before": {"style_share": before.style_share, "content_error": before.content_error},
        },
        f"What the network learned is in {session.out}: paint with --method instant --model {session.out}.\n"
        f"Style share {after.style_share:.3f} (before {before.style_share:.3f}), content error "
        f"{after.content_error:.3f} ({before.content_error:.3f}; judge: {after.extractor}); pictures in {found.sheet}.",
    )
