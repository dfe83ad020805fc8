"""A photograph and a painting for the benchmark where the classics are not at hand.

    python benchmarks/pictures.py DIR

Leaves DIR/content.png, the photograph of scikit-image that ``impasto demo`` paints, and DIR/style.png, one of impasto's
own pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from impasto import samples
from impasto.cli.demo import STYLE, find_photograph
from impasto.images import save_image

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    Image.open(find_photograph()).convert("RGB").save(folder / "content.png")
    save_image(folder / "style.png", samples.paint(STYLE, 768, 768), force=True)
