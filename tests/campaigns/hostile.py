"""What strangers send: recipes, numbers, weights and checkpoints that are made to harm.

    cd tests && python -m campaigns.hostile 1000

Every one has to end in one line and the exit code 2, or in a whole picture, in little time and under 2 GB, and nothing
may lie in the folder afterwards but what was there and that picture.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

from impasto.features.compact import FORMAT as COMPACT
from impasto.files.checkpoint import DIGEST, write_sealed
from impasto.images import save_image
from impasto.networks.autoencoder import AutoEncoder
from impasto.recipe import Recipe

from .ground import Ended, contents, keep_always, make_ground, run

MEMORY, SECONDS = 2 * 10**9, 30.0
QUICK = "--extractor tiny.safetensors --size 64 --steps 2 --threads 1"
PAINT = f"stylize photo.png painting.png -o out.png {QUICK}"
RERUN = "rerun made.png -o out.png"
NUMBERS = (
    *("1e999", "-1e999", "1e308", "1e-400", "-1", "0", "1.5", "2147483648", "9007199254740993", "nan", "3e8"),
    *("9" * 400, "9" * 5000, "-" + "9" * 400, "true", '"7"', "null", "[1]", "{}", "[[[[]]]]", '"\\u001b[2J"'),
)

Case = tuple[str, str]  # what it is, and the command
Cases = Iterator[Case]


def recipes(folder: Path, dice: random.Random) -> Cases:
    """Every part of a recipe with every number, and files that it has no business with."""
    assert run(folder, [*PAINT.split(), "--quiet"]).code == 0
    plain = json.loads(Recipe.from_file(folder / "out.png").to_json())
    (folder / "out.png").unlink()
    os.mkfifo(folder / "pipe")
    private = ["/etc/passwd", "/dev/zero", "pipe", "../secret.png", "start.png", "/proc/self/mem", "a\0b", "x" * 5000]
    setting = [("settings", name) for name in plain["settings"]]
    parts = [(name,) for name in (*plain, "stopped", "model")]
    while True:
        kind = dice.choice(("number", "number", "file", "text", "bytes"))
        changed = json.loads(json.dumps(plain))
        path = dice.choice(setting + parts)
        value = dice.choice(NUMBERS)
        if kind == "file":
            value = json.dumps(dice.choice(private))
            path = dice.choice(
                [("settings", "init"), ("settings", "model"), ("settings", "extractor"), ("content", "name")]
            )
        if kind == "text":
            value = json.dumps("".join(dice.choices("\x1b]0;\x07\x9b31m\u202e\n\r\t\0 abc\ud800", k=20)))
            path = dice.choice([("version",), ("torch",), ("content", "name"), ("extractor",), ("settings", "method")])
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = "@@"
        text = json.dumps(changed).replace('"@@"', value)
        if kind == "bytes":
            text = _flipped(text.encode(), dice).decode("latin-1").replace("\0", " ")
        save_image(folder / "made.png", torch.full((1, 3, 48, 64), 0.5), recipe=text, force=True)
        yield f"recipe: {kind} {'.'.join(path)}", RERUN


def numbers(folder: Path, dice: random.Random) -> Cases:
    """Numbers of the command line."""
    while True:
        value = dice.choice(NUMBERS)
        if dice.random() < 0.7:
            name = dice.choice(OPTIONS)
            preview = "--preview way" if name == "preview-every" else ""
            value = f"relu1_1={value}" if name.endswith("layers") else value
            method = "--method hybrid --model net.safetensors" if name == "strength" else ""
            yield f"number: --{name}", f"{PAINT} {preview} {method} --{name}={value}"
        else:
            name = dice.choice(TRAINING)
            less = "--epochs 1 --batch 4 --side 16 --width 2"
            yield f"number: train --{name}", f"train attributes --data faces -o out.safetensors {less} --{name}={value}"


#: Options with numbers: of ``stylize``, and of a training.
OPTIONS = (
    *("size", "content-weight", "style-weights", "strength", "tv-weight", "detail", "steps", "seed", "threads"),
    *("max-memory", "max-pixels", "depth", "preview-every", "content-layers", "style-layers"),
)
TRAINING = ("epochs", "batch", "side", "width", "learning-rate", "weight-decay", "patience", "seed", "threads")


def cards(folder: Path, dice: random.Random) -> Cases:
    """Small files of weights whose cards claim large networks, or are none."""
    huge = (12_000, 2**31, 2**63, -1, 0, 1e300, "wide", None, [[]], True)
    network = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8).settings
    while True:
        what = dice.choice(("compact", "deep", "autoencoder", "cut", "header"))
        data = (folder / "net.safetensors").read_bytes()
        how = "--method instant --model made.safetensors"
        if what == "compact":
            rows = [["relu1_1", dice.choice(huge)], ["relu2_1", 8], ["relu3_1", 8], ["relu4_1", 8], ["relu4_2", 8]]
            data = _safetensors({"format": COMPACT, "architecture": [*rows, ["relu5_1", dice.choice(huge)]]})
            how = "--extractor made.safetensors"
        elif what == "deep":
            form = dice.choice((COMPACT, "impasto-autoencoder-1"))
            data = _raw('{"format":"' + form + '","settings":' + "[" * 100_000 + "]" * 100_000 + "}")
            how = dice.choice((how, "--extractor made.safetensors"))
        elif what == "autoencoder":
            settings = {**network, dice.choice(list(network)): dice.choice((*huge, [9**9] * 5, [9] * 10**5))}
            data = _safetensors({"format": "impasto-autoencoder-1", "settings": settings})
        elif what == "cut":
            data = data[: dice.randrange(len(data))]
        else:
            data = _flipped(data[:6000], dice) + data[6000:]
        (folder / "made.safetensors").write_bytes(data)
        small = "stylize photo.png painting.png -o out.png --size 64 --threads 1"
        yield f"weights: {what}", f"{small} {how}" + ("" if "instant" in how else " --steps 2")


def foreign(folder: Path, dice: random.Random) -> Cases:
    """Files for ``weights add``."""
    (folder / "secret.bin").write_bytes(bytes(range(256)) * 1000)
    makers: list[Callable[[Path, random.Random], None]] = [_h5, _pth, _archive, _link]
    while True:
        make = dice.choice(makers)
        path = folder / "made.weights"
        path.unlink(missing_ok=True)
        make(path, dice)
        command = dice.choice(("weights add made.weights", f"{PAINT.replace('tiny.safetensors', 'made.weights')}"))
        yield f"weights: {make.__name__[1:]}", command


def checkpoints(folder: Path, dice: random.Random) -> Cases:
    """Checkpoints with a bit changed, cut, or edited by somebody who made the digest right again."""
    whole = {}
    train = "train attributes --data faces -o out.safetensors --epochs 2 --batch 4 --side 16 --width 2 --threads 1"
    for command, name in ((PAINT, "out.png.checkpoint"), (train, "out.safetensors.checkpoint")):
        assert run(folder, command.split(), _stop_after_a_step).code == 130
        whole[command, name] = (folder / name).read_bytes()
        (folder / name).unlink()
    while True:
        (command, name), data = dice.choice(list(whole.items()))
        what = dice.choice(("bit", "cut", "edited", "longer"))
        path = folder / name
        if what == "bit":
            path.write_bytes(_flipped(data, dice, most=1))
        elif what == "cut":
            path.write_bytes(data[: dice.randrange(len(data))])
        elif what == "longer":
            path.write_bytes(data + bytes(dice.randrange(1, 99)))
        else:
            write_sealed(path, [_flipped(data[:3000], dice) + data[3000:-DIGEST]])
        yield f"checkpoint: {what} {name[4:]}", f"{command} --resume"


def graphs(folder: Path, dice: random.Random) -> Cases:
    """ONNX files with loops, data elsewhere, and broken in many ways."""
    import onnx
    from onnx import TensorProto, helper

    from impasto.instant.onnx import export

    small = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8)
    plain = export(small)
    while True:
        model = onnx.load_from_string(plain)
        what = dice.choice(("bytes", "loop", "elsewhere", "shape", "settings", "missing"))
        if what == "loop":
            body = helper.make_graph(
                [helper.make_node("Identity", ["go"], ["on"])],
                "endless",
                [
                    helper.make_tensor_value_info("i", TensorProto.INT64, []),
                    helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                ],
                [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
            )
            model.graph.node.append(helper.make_node("Loop", ["", "yes"], [], body=body))
            model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
        elif what == "elsewhere":
            tensor = dice.choice(model.graph.initializer)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "secret.bin"
        elif what == "shape":
            tensor = dice.choice(model.graph.initializer)
            tensor.dims[:] = [dice.choice((0, 1, 7, 10**6)) for _ in tensor.dims]
        elif what == "settings":
            changed = {**small.settings, dice.choice(list(small.settings)): dice.choice((10**9, -1, [10**6] * 5, "x"))}
            about = json.dumps({"format": "impasto-autoencoder-onnx-1", "settings": changed})
            helper.set_model_props(model, {"impasto": about})
        elif what == "missing":
            del model.graph.node[dice.randrange(len(model.graph.node))]
        data = model.SerializeToString()
        (folder / "made.onnx").write_bytes(_flipped(data, dice) if what == "bytes" else data)
        small_run = "stylize photo.png painting.png -o out.png --size 64 --threads 1 --method instant"
        yield f"onnx: {what}", f"{small_run} --runtime onnx --model made.onnx"


KINDS: dict[str, Callable[[Path, random.Random], Cases]] = {
    item.__name__: item for item in (recipes, numbers, cards, foreign, checkpoints, graphs)
}


def _flipped(data: bytes, dice: random.Random, most: int = 8) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, most)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _raw(card: str) -> bytes:
    header = json.dumps({"__metadata__": {"impasto": card}}).encode()
    return struct.pack("<Q", len(header)) + header


def _safetensors(card: dict[str, object]) -> bytes:
    return _raw(json.dumps(card))


def _h5(path: Path, dice: random.Random) -> None:
    """Data sets that are packed zeros, that lie in other files, or that are links."""
    shape = dice.choice(((3, 3, 3, 64), (3, 3, 12_000, 12_000), (1 << 30,), (2, 2)))
    with h5py.File(path, "w") as file:
        for stage, count in enumerate((2, 2, 4, 4, 4), start=1):
            for index in range(1, count + 1):
                name = f"block{stage}_conv{index}"
                what = dice.choice(("packed", "external", "link", "soft", "virtual", "group", "text"))
                if what == "link":
                    file[name] = h5py.ExternalLink("secret.bin", "/")
                elif what == "soft":
                    file[name] = h5py.SoftLink("/")
                elif what == "group":
                    file.create_group(name)[name] = file["/"]
                elif what == "text":
                    file.create_group(name)["kernel:0"] = ["text"] * 3
                elif what == "virtual":
                    layout = h5py.VirtualLayout(shape=(64,), dtype="f4")
                    layout[:] = h5py.VirtualSource("secret.bin", "x", shape=(64,))
                    file.create_group(name).create_virtual_dataset("bias:0", layout)
                elif what == "external":
                    group = file.create_group(name)
                    group.create_dataset("bias:0", (64,), "f4", external=[("secret.bin", 0, 256)])
                else:
                    group = file.create_group(name)
                    group.create_dataset("kernel:0", shape, "f4", chunks=True, compression="gzip")


class _Program:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch started",)


def _pth(path: Path, dice: random.Random) -> None:
    """Sparse tensors, tensors without numbers, tensors that repeat one number, programs."""
    names = [f"features.{index}.weight" for index in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)]
    kinds = [
        torch.eye(64).to_sparse(),
        torch.zeros(64, 3, 3, 3, device="meta"),
        torch.zeros(1).expand(1 << 40),
        torch.zeros(1).expand(64, 3, 3, 3),
        torch.zeros(64, dtype=torch.complex64),
        {"a": 1},
        [[]] * 1000,
        "text",
    ]
    state = {name: dice.choice(kinds) for name in names}
    if dice.random() < 0.3:
        path.write_bytes(pickle.dumps({"features.0.weight": _Program()}, protocol=2))
        return
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=dice.random() < 0.5)
    data = buffer.getvalue()
    path.write_bytes(data if dice.random() < 0.5 else _flipped(data, dice))


def _archive(path: Path, dice: random.Random) -> None:
    """A zip that unfolds."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(dice.choice((10**3, 3 * 10**8))))


def _link(path: Path, dice: random.Random) -> None:
    """No regular file."""
    kind = dice.choice(("pipe", "zero", "folder", "gone", "text"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path.write_text("<!doctype html>")
    else:
        path.symlink_to({"zero": "/dev/zero", "folder": "photos", "gone": "nowhere"}[kind])


def _stop_after_a_step() -> None:
    """Ctrl-C as soon as a checkpoint is there."""
    from impasto import course
    from impasto.refine import checkpoint as refined

    keep_always()

    def wrap(holder: object, name: str) -> None:
        write = getattr(holder, name)

        def written(*arguments: object) -> None:
            write(*arguments)
            setattr(holder, name, write)
            raise KeyboardInterrupt

        setattr(holder, name, written)

    import impasto.paint

    for holder in (course, refined, impasto.paint):
        if hasattr(holder, "write_checkpoint"):
            wrap(holder, "write_checkpoint")


def wrong(ended: Ended, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """What is not as it should be; nothing of a case that went well."""
    new = {name: data for name, data in after.items() if before.get(name) != data}
    if not ended.plain and ended.code != 0:
        return f"exit code {ended.code}: {ended.text[-300:]!r}"
    if any((ord(letter) < 32 and letter not in "\n\t") or 127 <= ord(letter) < 160 for letter in ended.text):
        return f"control characters: {ended.text!r}"
    if ended.memory > MEMORY or ended.seconds > SECONDS:
        return f"{ended.memory / 1e9:.1f} GB, {ended.seconds:.0f} s"
    if ended.code == 0 and "out.png" in new:
        Image.open(io.BytesIO(new.pop("out.png"))).load()
    for name in new:
        if ended.code == 0 and (name.startswith(("out", "way", "home")) or name.endswith(".checkpoint")):
            continue
        return f"{name} is left"
    return ""


def campaign(folder: Path, count: int, dice: random.Random, chosen: list[str]) -> tuple[Counter[str], list[str]]:
    """So many cases of the chosen kinds in turn: how each went, and what was wrong."""
    ground = make_ground(folder)
    sources = []
    for kind in chosen:
        sources.append((ground, KINDS[kind](ground, dice)))
    tally: Counter[str] = Counter()
    bad: list[str] = []
    for place, cases in islice(cycle(sources), count):
        what, command = next(cases)
        before = _regular(place)
        ended = run(place, command.split())
        problem = wrong(ended, before, _regular(place))
        tally["refused" if ended.code == 2 else "painted" if ended.code == 0 else "failed"] += 1
        if problem:
            bad.append(f"{what}: {command[-200:]}: {problem}")
        for path in ("out.png", "out.png.checkpoint", "out.safetensors", "out.safetensors.checkpoint", "started"):
            (place / path).unlink(missing_ok=True)
        for path in place.glob("out*"):
            path.unlink()
    return tally, bad


def _regular(folder: Path) -> dict[str, bytes]:
    made = ("made", "photos", "paintings", "faces")
    return {name: data for name, data in contents(folder).items() if not name.startswith(made)}


def main() -> None:
    """Try so many, and tell what came of it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20 * len(KINDS)
    for kind in sys.argv[2:] or list(KINDS):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            tally, bad = campaign(Path(folder), count // len(KINDS), random.Random(0), [kind])
        print(f"{kind:12} {dict(tally)} wrong {len(bad)} {time.monotonic() - began:.0f} s", flush=True)
        for line in bad[:12]:
            print("   ", line)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
