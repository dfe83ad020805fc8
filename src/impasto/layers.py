"""Names of the layers of VGG-19, which every extractor imitates."""

from __future__ import annotations

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

#: Channels of every layer of VGG-19, in order of depth.
VGG19_CHANNELS: dict[str, int] = {
    f"relu{stage}_{index}": channels
    for stage, (channels, depth) in enumerate([(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)], start=1)
    for index in range(1, depth + 1)
}
