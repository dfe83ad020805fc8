"""The network as an ONNX file, and onnxruntime in place of torch.

The file holds one graph, from ``content``, ``style`` and ``strength`` to ``output``, for any program that reads ONNX.
Values inside have names too: the style's maps and moments, both codes, the grain. There impasto cuts the graph into the
pieces that tiles need: features, the code of given moments, the painting of a tile whose codes and grain are known.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks.autoencoder import AutoEncoder, Code
from impasto.networks.grain import cut_grain, noise
from impasto.networks.layers import clamp, pad
from impasto.networks.moments import Moments, moments

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT = "impasto-autoencoder-onnx-1"
OPSET = 17
#: More than any network has, and few enough to be followed one by one.
MOST_NODES = 20_000
#: Larger than any size or place in a graph of ours: what a graph makes out of numbers keeps within its pictures' size.
MOST = 65_536
MISSING = "ONNX files need onnx and onnxruntime: pip install 'impasto[onnx]'"


class Whole(nn.Module):
    """What the file holds: the network with every value that has a name there."""

    def __init__(self, network: AutoEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, content: Tensor, style: Tensor, strength: Tensor) -> tuple[Tensor, ...]:
        """The output, and the values that :func:`inner_names` names."""
        network = self.network
        style = pad(style)
        style_maps = network.features(style)
        found = [moments(style), *(moments(features) for features in style_maps)]
        style_code = flatten(network.join(found[0], found[1:]))
        height, width = content.shape[-2:]
        content = pad(content)
        maps = network.features(content)
        content_code = flatten(network.code(content, maps))
        scales, shared = len(network.widths), network.shared
        own, theirs = (unflatten(code, scales, shared) for code in (content_code, style_code))
        grain = cut_grain(network.noise, content)
        output = clamp(network.render(content, maps, own, theirs, strength, grain)[..., :height, :width], False)
        return output, content_code, style_code, grain, *style_maps, *(part for pair in found for part in pair)


def inner_names(scales: int) -> tuple[list[str], list[str]]:
    """Names of the style's maps, and of its moments in the order of :meth:`Whole.forward`."""
    parts = ["color", *map(str, range(scales))]
    kinds = ("mean", "covariance")
    return [f"style_map_{scale}" for scale in range(scales)], [f"style_{k}_{part}" for part in parts for k in kinds]


def flatten(code: Code) -> Tensor:
    """A code as rows (B, N)."""
    return torch.cat([part.flatten(1) for pair in code for part in pair], dim=1)


def unflatten(rows: Tensor, scales: int, shared: int) -> Code:
    """The code of :func:`flatten`, with moments of ``shared`` channels at each of ``scales``."""
    mean, covariance, means, covariances = rows.split([3, 9, scales * shared, scales * shared**2], dim=1)
    return Code(
        Moments(mean, covariance.reshape(-1, 3, 3)),
        Moments(means.reshape(-1, scales, shared), covariances.reshape(-1, scales, shared, shared)),
    )


def export(network: AutoEncoder) -> bytes:
    """The network as an ONNX file, for images of any size.

    Inputs are ``content`` (1, 3, H, W) and ``style`` (1, 3, h, w), sRGB in [0, 1], and ``strength`` (1,), from 0 to 1;
    the output is ``output`` (1, 3, H, W).

    Raises:
        ImpastoError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImpastoError(MISSING) from error
    network = network.eval().cpu()
    maps, statistics = inner_names(len(network.widths))
    inner = ["content_code", "style_code", "grain", *maps, *statistics]
    sizes = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in ("content", "style", "output", "grain", *maps)}
    example = (torch.rand(1, 3, 48, 64), torch.rand(1, 3, 64, 48), torch.ones(1))
    with warnings.catch_warnings(), torch.no_grad():
        # It warns of itself, and of shapes that it cannot follow.
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.onnx.export(
            Whole(network),
            example,
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=["content", "style", "strength"],
            output_names=["output", *inner],
            dynamic_axes=sizes,
        )
        model = onnx.load_from_string(file.getvalue())
    # They keep their names, but only who cuts there has to compute and keep them.
    for output in [output for output in model.graph.output if output.name != "output"]:
        model.graph.value_info.append(output)
        model.graph.output.remove(output)
    about = {"format": FORMAT, "settings": network.settings}
    onnx.helper.set_model_props(model, {"impasto": json.dumps(about, sort_keys=True)})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


class OnnxPainter:
    """A network that onnxruntime computes, on as many threads as torch would use.

    Args:
        data: from :func:`export`.

    Raises:
        ImpastoError: onnx or onnxruntime is not installed, or ``data`` is something else.
    """

    def __init__(self, data: bytes) -> None:
        try:
            import onnx
            import onnxruntime  # noqa: F401 (used where a session begins)
        except ImportError as error:
            raise ImpastoError(MISSING) from error
        with _refused():
            model = onnx.load_from_string(data)
            about = json.loads({entry.key: entry.value for entry in model.metadata_props}["impasto"])
            if about["format"] != FORMAT:
                raise ValueError(about["format"])
            with torch.device("meta"):
                network = AutoEncoder(**about["settings"])
            _check_graph(model)
            onnx.checker.check_model(model)
        self.margin, self.sight = network.margin, network.sight
        self.scales, self.shared = len(network.widths), network.shared
        self.maps, self.statistics = inner_names(self.scales)
        self.noise = noise()
        self.pieces = onnx.utils.Extractor(model)
        self.sessions: dict[tuple[str, ...], InferenceSession] = {}

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps."""
        return self._run({"style": pad(image)}, self.maps, tiles=True)

    def join(self, color: Moments, scales: Sequence[Moments]) -> Code:
        """The code of a picture, from moments."""
        parts = [part for pair in (color, *scales) for part in pair]
        return self._code(dict(zip(self.statistics, parts, strict=True)))

    def encode(self, image: Tensor) -> Code:
        """The code of a whole picture."""
        return self._code({"style": image})

    def paint(
        self, content: Tensor, style: Code, strength: float, own: Code | None = None, corner: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """See :meth:`impasto.instant.passes.Painter.paint`."""
        given = {"content": content, "style_code": flatten(style), "strength": torch.tensor([strength])}
        if own is not None:
            given |= {"content_code": flatten(own), "grain": cut_grain(self.noise, pad(content), corner)}
        return self._run(given, ["output"], tiles=own is not None)[0]

    def _code(self, given: dict[str, Tensor]) -> Code:
        return unflatten(self._run(given, ["style_code"])[0], self.scales, self.shared)

    def _run(self, given: dict[str, Tensor], wanted: list[str], *, tiles: bool = False) -> list[Tensor]:
        """Run the piece of the graph between these values; for ``tiles`` it keeps no memory between runs."""
        import onnxruntime

        key = (*given, *wanted)
        if key not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.enable_cpu_mem_arena = not tiles
            options.log_severity_level = 4  # What is wrong with a graph is told once, by us.
            with _refused():
                piece = self.pieces.extract_model(list(given), wanted).SerializeToString()
                self.sessions[key] = onnxruntime.InferenceSession(piece, options, providers=["CPUExecutionProvider"])
        feeds = {name: np.ascontiguousarray(value.float().numpy()) for name, value in given.items()}
        with _refused():
            return [torch.from_numpy(output) for output in self.sessions[key].run(None, feeds)]


@contextmanager
def _refused() -> Iterator[None]:
    """Whatever protobuf, onnx or onnxruntime raise at a file becomes one line."""
    try:
        yield
    except Exception as error:
        raise ImpastoError(
            "no ONNX file of a network of impasto; make one with 'impasto export onnx'", setting="model"
        ) from error


def _check_graph(model: Any) -> None:
    """Refuse what a network of impasto has no need of: loops, functions, others' operators, data in other files.

    Raises ValueError.
    """
    graph = model.graph
    parts = [part for node in graph.node for part in node.attribute]
    tensors = [*graph.initializer, *(part.t for part in parts), *(tensor for part in parts for tensor in part.tensors)]
    from onnx import numpy_helper

    wrong = {
        "nodes": len(graph.node) > MOST_NODES,
        "functions": len(model.functions) > 0,
        "operators": any(node.domain for node in graph.node),
        "graphs": any(part.HasField("g") or part.graphs for part in parts),
        "files": len(graph.sparse_initializer) > 0 or any(tensor.data_location for tensor in tensors),
    }
    if any(wrong.values()):
        raise ValueError(wrong)
    numbers = [number for part in parts for number in (part.i, *part.ints)]
    for tensor in (tensor for tensor in tensors if tensor.data_type in (6, 7)):  # Whole numbers, of 32 and 64 bits.
        numbers += numpy_helper.to_array(tensor).ravel().tolist()
    # "To the end" of a slice is the largest or the smallest number there is.
    if any(MOST < abs(number) < 2**62 for number in numbers):
        raise ValueError("a size that no network has")
