"""Valid pictures of every kind with values that are known: each is right, or refused by what it is.

cd tests && python -m campaigns.matrix            # all of them
cd tests && python -m campaigns.matrix --count 200 --seed 3
"""

from __future__ import annotations

import argparse
import itertools
import random
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from impasto.errors import ImpastoError
from impasto.images import load_image

WIDTH, HEIGHT = 21, 18
NO_COMPRESSION, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, LAB = 0, 1, 2, 3, 5, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, INKS: 4, LAB: 3}
DEPTHS = {
    WHITE_IS_ZERO: [*((bits, UNSIGNED) for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32)), (16, FLOAT), (32, FLOAT)],
    PALETTE: [(bits, UNSIGNED) for bits in (1, 2, 4, 8)],
    INKS: [(8, UNSIGNED), (16, UNSIGNED)],
    LAB: [(8, UNSIGNED), (16, UNSIGNED)],
}
DEPTHS[RGB] = [*DEPTHS[WHITE_IS_ZERO][1:], (64, FLOAT), (8, SIGNED), (16, SIGNED)]
DEPTHS[BLACK_IS_ZERO] = [*DEPTHS[WHITE_IS_ZERO], (64, FLOAT), (8, SIGNED), (16, SIGNED)]
COMPRESSIONS = [
    (NO_COMPRESSION, 1),
    (LZW, 1),
    (LZW, 2),
    (LZW, 3),
    (DEFLATE, 1),
    (DEFLATE, 2),
    (DEFLATE, 3),
    (PACKBITS, 1),
]


@dataclass(frozen=True)
class Kind:
    """One TIFF of the matrix. ``alpha`` is the kind of the extra sample: None, 0 unknown, 1 premultiplied, 2 not."""

    photometric: int
    bits: int
    sample_format: int
    separate: bool
    compression: int
    predictor: int
    alpha: int | None
    order: str
    tiled: bool
    big: bool
    orientation: int


def kinds() -> Iterator[Kind]:
    orientations = itertools.cycle(range(1, 9))
    twice = (False, True)
    for photometric, depths in DEPTHS.items():
        rest = itertools.product(depths, twice, COMPRESSIONS, (None, 0, 1, 2), "<>", twice, twice)
        for (bits, form), separate, (compression, predictor), alpha, order, tiled, big in rest:
            if predictor != 1 and ((predictor == 3) != (form == FLOAT) or bits not in (8, 16, 32, 64)):
                continue
            if alpha == 1 and photometric in (INKS, LAB):
                continue
            turned = next(orientations)
            yield Kind(photometric, bits, form, separate, compression, predictor, alpha, order, tiled, big, turned)


def samples_of(kind: Kind, seed: int) -> np.ndarray:
    """(H, W, C) as they are meant, in the type that holds them."""
    rng = np.random.default_rng(seed)
    shape = (HEIGHT, WIDTH, COLORS[kind.photometric] + (kind.alpha is not None))
    if kind.sample_format == FLOAT:
        samples = rng.random(shape).astype(f"f{kind.bits // 8}")
    else:
        holds = next(size for size in (8, 16, 32) if size >= kind.bits)
        samples = rng.integers(0, 2**kind.bits, shape, dtype=np.uint64).astype(f"u{holds // 8}")
        if kind.sample_format == SIGNED:
            samples = samples.view(f"i{holds // 8}")
    if kind.alpha == 1:  # no color is stronger than its alpha
        samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
    return samples


def packbits(data: bytes) -> bytes:
    parts = (data[at : at + 128] for at in range(0, len(data), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def lzw(data: bytes) -> bytes:
    """As TIFF has it, of literals alone; the table is emptied before a code could get longer than 9 bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    ones = np.array([*codes, 257])[:, None] >> np.arange(9)[::-1] & 1
    return np.packbits(ones.astype(np.uint8).reshape(-1)).tobytes()


def segment(samples: np.ndarray, kind: Kind) -> bytes:
    """(h, w, c) as a strip or tile is stored."""
    height = len(samples)
    if kind.bits not in (8, 16, 32, 64):
        ones = samples.reshape(height, -1, 1) >> np.arange(kind.bits)[::-1].astype(samples.dtype) & 1
        rows = np.packbits(ones.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        if kind.predictor == 2:
            samples = np.diff(samples, axis=1, prepend=samples.dtype.type(0))
        stored = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(kind.order)))
        if kind.predictor == 3:
            stored = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">")))
        rows = stored.view(np.uint8).reshape(height, -1)
        if kind.predictor == 3:
            size, channels = kind.bits // 8, samples.shape[2]
            apart = np.moveaxis(rows.reshape(height, -1, size), 2, 1).reshape(height, -1, channels)
            rows = np.diff(apart, axis=1, prepend=np.uint8(0)).reshape(height, -1)
    if kind.compression == PACKBITS:
        return b"".join(packbits(row.tobytes()) for row in rows)
    return {NO_COMPRESSION: bytes, LZW: lzw, DEFLATE: zlib.compress}[kind.compression](rows.tobytes())


def tiff(tags: dict[int, list[int]], segments: list[bytes], kind: Kind) -> bytes:
    """A whole file: header, segments, table."""
    order, word, start = kind.order, "Q" if kind.big else "I", 16 if kind.big else 8
    tags = tags | {279 if 322 not in tags else 325: list(map(len, segments))}
    tags[273 if 322 not in tags else 324] = [start + sum(map(len, segments[:at])) for at in range(len(segments))]
    body = b"".join(segments)
    body += bytes(len(body) % 2)
    table, size = b"", struct.calcsize(word)
    for number, values in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{word}", *values)
        if len(data) > size:
            data, body = struct.pack(order + word, start + len(body)), body + data
        table += struct.pack(f"{order}HH{word}", number, 16 if kind.big else 4, len(values)) + data
    count = struct.pack(order + ("Q" if kind.big else "H"), len(tags))
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if kind.big else 42)
    head += struct.pack(order + "HH", 8, 0) if kind.big else b""
    return head + struct.pack(order + word, start + len(body)) + body + count + table + bytes(size)


def file_of(kind: Kind, samples: np.ndarray, palette: np.ndarray) -> bytes:
    rows, across = (16, 16) if kind.tiled else (5, WIDTH)
    planes = np.split(samples, samples.shape[2], axis=2) if kind.separate else [samples]
    segments = []
    for plane in planes:
        for top, left in itertools.product(range(0, HEIGHT, rows), range(0, WIDTH, across)):
            part = plane[top : top + rows, left : left + across]
            if kind.tiled:
                part = np.pad(part, ((0, rows - len(part)), (0, across - part.shape[1]), (0, 0)))
            segments.append(segment(part, kind))
    count = samples.shape[2]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [kind.bits] * count, 259: [kind.compression], 262: [kind.photometric]}
    tags |= {274: [kind.orientation], 277: [count], 284: [1 + kind.separate], 317: [kind.predictor]}
    tags |= {322: [16], 323: [16]} if kind.tiled else {278: [rows]}
    tags |= {} if kind.alpha is None else {338: [kind.alpha]}
    tags |= {} if kind.sample_format == UNSIGNED else {339: [kind.sample_format] * count}
    if kind.photometric == PALETTE:
        tags[320] = (palette[: 2**kind.bits].T.astype(int) * 257).reshape(-1).tolist()
    return tiff(tags, segments, kind)


def meant(kind: Kind, samples: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Colors (H, W, 3) and alpha (H, W) in float64, upright."""
    most = 1.0 if kind.sample_format == FLOAT else 2.0**kind.bits - 1
    values, alpha = samples.astype(np.float64) / most, None
    count = COLORS[kind.photometric]
    if kind.alpha in (1, 2):
        deep = kind.photometric in (INKS, LAB) and kind.bits == 16  # of which the upper 8 bits are used
        alpha = (samples[..., count] >> 8) / 255 if deep else values[..., count]
    colors = values[..., :count]
    if kind.photometric == PALETTE:
        colors = palette[samples[..., 0]] / 255
    elif kind.photometric in (INKS, LAB):
        eight = samples[..., :count] if kind.bits == 8 else (samples[..., :count] >> 8).astype(np.uint8)
        mode = "CMYK" if kind.photometric == INKS else "LAB"
        image = Image.frombytes(mode, (WIDTH, HEIGHT), np.ascontiguousarray(eight).tobytes())
        if mode == "LAB":
            profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
            image = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "LAB", "RGB"))
        colors = np.asarray(image.convert("RGB")) / 255
    elif kind.photometric == WHITE_IS_ZERO:
        colors = 1 - colors
    if kind.alpha == 1 and kind.photometric in (BLACK_IS_ZERO, WHITE_IS_ZERO, RGB):
        colors = np.clip(colors / np.maximum(alpha, 1e-6)[..., None], 0, 1)
    colors = np.broadcast_to(colors, (HEIGHT, WIDTH, 3))
    if alpha is not None:
        mean = (colors * alpha[..., None]).sum((0, 1)) / alpha.sum()
        colors = colors * alpha[..., None] + (1 - alpha[..., None]) * mean
    upright = [None if planes is None else turned(planes, kind.orientation) for planes in (colors, alpha)]
    return upright[0], upright[1]


def turned(planes: np.ndarray, orientation: int) -> np.ndarray:
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}
    planes = np.flip(planes, 1) if orientation in (2, 4) else np.flip(planes, 1) if orientation in (5, 7) else planes
    if orientation in (5, 7):
        return np.rot90(planes, 1 if orientation == 5 else -1)
    return np.rot90(planes, turns[orientation])


def verdict(kind: Kind, seed: int) -> str:
    """``right``, ``refused: ...``, or what is wrong."""
    samples, palette = samples_of(kind, seed), np.random.default_rng(seed).integers(0, 256, (256, 3), dtype=np.uint8)
    palette[:, 0] |= 128  # so that 8 bits can be told from 16 in every map
    try:
        picture = load_image(file_of(kind, samples, palette))
    except ImpastoError as error:
        said = str(error).split(": ", 1)[1]
        return f"called damaged: {said}" if "damaged" in said or "not an image" in said else f"refused: {said}"
    colors, alpha = meant(kind, samples, palette)
    got = picture.tensor[0].permute(1, 2, 0).numpy()
    if got.shape != colors.shape or (picture.alpha is None) != (alpha is None):
        return "wrong: shape or alpha"
    if any("damaged" in notice for notice in picture.notices):
        return "called damaged by a notice"
    off = np.abs(got - colors).max()
    if alpha is not None:
        off = max(off, np.abs(picture.alpha[0, 0].numpy() - alpha).max())
    return "right" if off < 2e-6 else f"wrong by {off:.3g}"


def chosen(count: int | None, seed: int) -> list[Kind]:
    """All kinds, or so many of them by lot."""
    every = list(kinds())
    return every if count is None else random.Random(seed).sample(every, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found: Counter[str] = Counter()
    for number, kind in enumerate(chosen(given.count, given.seed)):
        said = verdict(kind, number)
        found[said.split(" by ")[0]] += 1
        if not said.startswith(("right", "refused")):
            print(said, kind)
    for said, count in found.most_common():
        print(f"{count:6} {said}")


if __name__ == "__main__":
    main()
