"""The judge: how good is a saved picture, by VGG-19 in float32?

It shares no code with impasto: its own VGG-19, its own resizing, its own Gram matrices. Two measurements, both of the
8-bit file, because that is what a person gets:

* style share, the mean over five layers of |G_out - G_style|^2 / |G_photo - G_style|^2 (the untouched photograph has 1,
  the painting itself 0), and content error, |F_out - F_content|^2 / |F_content|^2 at relu4_2. The painting is read at
  the output's longest side, the photograph at the output's size, both with antialiasing; --filters says how.
* with --objective, that of the package neural-style 0.5.7 with its default weights, in its own convention (pixels 0 to
  256, its own resizing).

    python benchmarks/judge.py OUT [OUT ...] --content PHOTO --style PAINTING [--objective] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor

from runner import WEIGHTS

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
#: PIL's filters are antialiased. How sharp the painting is read moves the figures: see the README.
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
}
MEAN_BGR = (103.939, 116.779, 123.68)
#: The convolutions of each stage, by their index in the weights file.
STAGES = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28, 30, 32, 34))

#: Defaults of neural-style 0.5.7.
CONTENT_WEIGHT, STYLE_WEIGHT, TV_WEIGHT = 5.0, 100.0, 1e-3


class VGG19:
    """VGG-19 up to relu5_1 as Caffe has it: BGR, 0 to 255, mean taken off, zero padding, max pooling."""

    def __init__(self, weights: Path) -> None:
        self.weights = {name: tensor.float() for name, tensor in load_file(str(weights)).items()}

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Feature maps (N, positions) of ``pixels`` (3, H, W), BGR with the mean taken off, by layer."""
        maps = {}
        x = pixels[None]
        for stage, convolutions in enumerate(STAGES, start=1):
            if stage > 1:
                x = F.max_pool2d(x, 2)
            for index, name in enumerate(convolutions, start=1):
                weight, bias = self.weights[f"features.{name}.weight"], self.weights[f"features.{name}.bias"]
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
                layer = f"relu{stage}_{index}"
                if layer in STYLE_LAYERS or layer == CONTENT_LAYER:
                    maps[layer] = x[0].flatten(1)
                if layer == STYLE_LAYERS[-1]:
                    break
        return maps


class Judge:
    """Judges any number of pictures of one photograph and one painting; their targets are worked out once a size."""

    def __init__(self, content: Path, style: Path, weights: Path = WEIGHTS) -> None:
        self.vgg = VGG19(weights)
        self.content, self.style = open_rgb(content), open_rgb(style)
        self._targets: dict[tuple[object, ...], tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    def __call__(self, output: Path, filters: Sequence[str] = ("bicubic",)) -> dict[str, object]:
        """Style share and content error of a saved picture, ready for JSON. The first of the filters counts."""
        picture = open_rgb(output)
        own = self.vgg(pixels(picture, 255))
        found = {name: self._compare(own, *self._at(picture.size, 255, round, FILTERS[name])) for name in filters}
        return {
            "picture": str(output),
            "width": picture.width,
            "height": picture.height,
            **found[filters[0]],
            "by_filter": found,
        }

    @staticmethod
    def _compare(own: Mapping[str, Tensor], photo: Mapping[str, Tensor], painting: Mapping[str, Tensor]) -> dict:
        shares = {
            layer: distance(gram(own[layer]), gram(painting[layer]))
            / distance(gram(photo[layer]), gram(painting[layer]))
            for layer in STYLE_LAYERS
        }
        return {
            "style_share": sum(shares.values()) / len(shares),
            "content_error": distance(own[CONTENT_LAYER], photo[CONTENT_LAYER]) / energy(photo[CONTENT_LAYER]),
            "style_shares": shares,
        }

    def objective(self, output: Path) -> dict[str, float]:
        """Neural-style's loss of a saved picture; ``total`` leaves out its small total variation term."""
        picture = open_rgb(output)
        # Sides that are not whole are cut off, and not rounded.
        photo, painting = self._at(picture.size, 256, int, FILTERS["bilinear"])
        bgr = pixels(picture, 256)
        own = self.vgg(bgr)
        content = CONTENT_WEIGHT * distance(own[CONTENT_LAYER], photo[CONTENT_LAYER]) / own[CONTENT_LAYER].numel()
        # The mean over N^2 entries of the squared difference of F F^T / (N H W): of Gram matrices per position, over N.
        style = STYLE_WEIGHT * sum(
            distance(gram(own[layer]), gram(painting[layer])) / own[layer].shape[0] ** 4 for layer in STYLE_LAYERS
        )
        across, down = (bgr[:, :, 1:] - bgr[:, :, :-1]).abs().sum(), (bgr[:, 1:] - bgr[:, :-1]).abs().sum()
        return {
            "content": content,
            "style": style,
            "total": content + style,
            "total_variation": TV_WEIGHT * float(across + down),
        }

    def _at(
        self, size: tuple[int, int], white: int, whole: Callable[[float], int], method: Image.Resampling
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Feature maps of photograph and painting for a picture of ``size``."""
        key = (size, white, method)
        if key not in self._targets:
            scale = max(size) / max(self.style.size)
            beside = tuple(max(1, whole(scale * side)) for side in self.style.size)
            self._targets[key] = tuple(
                self.vgg(pixels(image.resize(at, method), white))
                for image, at in ((self.content, size), (self.style, beside))
            )
        return self._targets[key]


def open_rgb(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def pixels(image: Image.Image, white: int) -> Tensor:
    """(3, H, W) in BGR, black at 0 and white at ``white`` before the mean is taken off."""
    rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
    return rgb[[2, 1, 0]] * white - torch.tensor(MEAN_BGR)[:, None, None]


def gram(features: Tensor) -> Tensor:
    """F F^T over the number of positions."""
    return features @ features.mT / features.shape[1]


def energy(tensor: Tensor) -> float:
    return float(tensor.double().square().sum())


def distance(a: Tensor, b: Tensor) -> float:
    return energy(a.double() - b.double())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outputs", nargs="+", type=Path, metavar="OUT", help="saved pictures")
    parser.add_argument("--content", type=Path, required=True, help="the photograph")
    parser.add_argument("--style", type=Path, required=True, help="the painting")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="VGG-19 in the Caffe convention (safetensors)")
    parser.add_argument("--filters", default="bicubic", help=f"of {', '.join(FILTERS)}, the first of which counts")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--objective", action="store_true", help="neural-style's objective too")
    parser.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    arguments = parser.parse_args()
    for path in (*arguments.outputs, arguments.content, arguments.style, arguments.weights):
        if not path.is_file():
            sys.exit(f"judge: {path} is not there")
    filters = arguments.filters.split(",")
    if unknown := set(filters) - set(FILTERS):
        sys.exit(f"judge: --filters: {', '.join(sorted(unknown))} is none of {', '.join(FILTERS)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    judge = Judge(arguments.content, arguments.style, arguments.weights)
    for output in arguments.outputs:
        verdict = judge(output, filters)
        if arguments.objective:
            verdict["objective"] = judge.objective(output)
        print(json.dumps(verdict) if arguments.json else text(verdict), flush=True)


def text(verdict: dict[str, object]) -> str:
    lines = [f"{verdict['picture']} ({verdict['width']} x {verdict['height']})"]
    for name, found in verdict["by_filter"].items():
        layers = "  ".join(f"{layer} {share:.3f}" for layer, share in found["style_shares"].items())
        lines.append(
            f"  {name:8}  style share {found['style_share']:.4f}  content error {found['content_error']:.4f}   {layers}"
        )
    if "objective" in verdict:
        parts = verdict["objective"]
        lines.append(
            f"  objective {parts['total']:.5g} = content {parts['content']:.5g} + style {parts['style']:.5g}"
            f"   (total variation {parts['total_variation']:.5g})"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
