"""A photograph and a painting for the benchmark where the classics are not at hand.

    python benchmarks/pictures.py DIR

Leaves the two of ``impasto demo`` as DIR/content.png and DIR/style.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from impasto import gallery
from impasto.cli.demo import CONTENT, STYLE

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for kind, name in (("content", CONTENT), ("style", STYLE)):
        Image.open(gallery.path(name)).save(folder / f"{kind}.png")
