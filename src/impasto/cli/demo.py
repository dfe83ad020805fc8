"""``impasto demo``: a picture from what is at hand, without any file or weights of one's own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import options, report, run
from impasto.cli.options import Debug, Force, Json, Quiet, Threads
from impasto.errors import ImpastoError

SIZE = 512
#: A photograph that lies inside the scikit-image wheel (CC0, by Stéfan van der Walt).
PHOTOGRAPH = "chelsea.png"
STYLE = "strokes"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the three pictures.")
    ] = Path("demo"),
    style: Annotated[str, typer.Option(metavar="NAME", help="Which of the package's own paintings.")] = STYLE,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a photograph of a cat: leaves content.png, style.png and painting.png in DIR."""
    options.one_voice(quiet=quiet, json=json)
    photograph = find_photograph()
    content, painted, painting = (output / name for name in ("content.png", "style.png", "painting.png"))
    if output.exists() and not output.is_dir():
        raise ImpastoError(f"--output: {output} is a file; name a folder")

    from impasto import samples
    from impasto.images import check_output_path, load_image, save_image

    if style not in samples.names():
        raise ImpastoError(f"--style: {style!r} is none of the paintings; choose from {', '.join(samples.names())}")
    if output.exists():
        for path in (content, painted, painting):
            check_output_path(path, force=force, depth=8)
    output.mkdir(parents=True, exist_ok=True)
    options.set_threads(threads)
    save_image(content, load_image(photograph).tensor, force=force)
    save_image(painted, samples.paint(style, SIZE, SIZE), force=force)
    reporter = report.choose(quiet=quiet, json=json)
    result = run.paint(content, [painted], reporter=reporter, settings={"size": SIZE, "extractor": "auto"})
    run.save(result, painting, depth=8, force=force, reporter=reporter)


def find_photograph() -> Path:
    """The photograph inside scikit-image, found without importing it.

    Raises:
        ImpastoError: scikit-image is not installed, or lacks it.
    """
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise ImpastoError("the demo's photograph comes with scikit-image: pip install 'impasto[demo]'")
    path = Path(spec.origin).parent / "data" / PHOTOGRAPH
    if not path.is_file():
        raise ImpastoError(f"{path} is missing: reinstall scikit-image (0.22 or newer)")
    return path
