"""pystiche 1.0.1 as its documentation shows it ("NST with pystiche"); run by the peer's own Python.

    python pystiche_program.py CONTENT STYLE OUT.png --size 512 --steps 500 --weights VGG19.safetensors

The criterion, its weights, the optimizer, the start and the number of steps are the example's and the library's
defaults. What is not: the images and their size, the weights, and the preprocessing that these weights ask for
(pystiche's own, ``framework="caffe"``). It tells of each step once its loss is known.
"""

from __future__ import annotations

import argparse

from PIL import Image
from pystiche import enc, loss, optim
from pystiche.image import read_image, write_image
from pystiche.misc import get_input_image
from safetensors.torch import load_file
from torch import Tensor, nn

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_WEIGHT = 1e3
#: pystiche's default weights see pixels of the order of one, these see them up to 255 and have maps that much larger.
#: The style loss, of their fourth power, then outgrows the content loss, and with the example's weights of the two the
#: descent ends in NaN at the first steps.
WHITE = 255


def of_order_one(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network, all of whose maps are ``WHITE`` times smaller: a factor passes through a ReLU."""
    state = {name: tensor.float() for name, tensor in weights.items()}
    for name in state:
        if name.endswith(".bias") or name == "features.0.weight":
            state[name] = state[name] / WHITE
    return state


def criterion(weights: str) -> loss.PerceptualLoss:
    """The example's loss, seen with these weights."""
    encoder = enc.vgg19_multi_layer_encoder(pretrained=False, framework="caffe")
    encoder.load_state_dict(of_order_one(load_file(weights)), framework="caffe")
    return loss.PerceptualLoss(
        content_loss=loss.FeatureReconstructionLoss(encoder.extract_encoder(CONTENT_LAYER)),
        style_loss=loss.MultiLayerEncodingLoss(
            encoder,
            STYLE_LAYERS,
            lambda layer, weight: loss.GramLoss(layer, score_weight=weight),
            score_weight=STYLE_WEIGHT,
        ),
    )


def read(path: str, longest: int) -> Tensor:
    """A picture with this longest side, resized by pystiche."""
    with Image.open(path) as image:
        sides = [max(1, round(side * longest / max(image.size))) for side in (image.height, image.width)]
    return read_image(path, size=tuple(sides))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("output")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--weights", required=True)
    arguments = parser.parse_args()
    perceptual = criterion(arguments.weights)
    content = read(arguments.content, arguments.size)
    perceptual.set_content_image(content)
    perceptual.set_style_image(read(arguments.style, arguments.size))
    told = 0

    def tell(module: nn.Module, inputs: object, losses: object) -> None:
        nonlocal told
        told += 1
        print(f"step {told} loss {float(losses):.8g}", flush=True)

    # Its L-BFGS evaluates the criterion once a step.
    perceptual.register_forward_hook(tell)
    print("begin", flush=True)
    output = optim.image_optimization(
        get_input_image("content", content_image=content), perceptual, num_steps=arguments.steps, quiet=True
    )
    write_image(output, arguments.output)
    print("saved", flush=True)


if __name__ == "__main__":
    main()
