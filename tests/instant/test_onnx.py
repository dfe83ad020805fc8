from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.instant.models import TorchPainter
from impasto.instant.passes import encode, one_pass

from .conftest import picture, tiny_network

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from impasto.instant.onnx import FORMAT, OnnxPainter, export, flatten, unflatten  # noqa: E402

#: A level of 8 bits.
LEVEL = 1 / 255


@pytest.fixture(scope="module", params=[True, False], ids=["residual", "plain"])
def both(request: pytest.FixtureRequest) -> tuple[TorchPainter, OnnxPainter, bytes]:
    network = tiny_network(request.param)
    data = export(network)
    return TorchPainter(network), OnnxPainter(data), data


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (97, 131), (16, 16), (5, 7), (2, 200)])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_paints_what_torch_paints(
    both: tuple[TorchPainter, OnnxPainter, bytes], size: tuple[int, int], strength: float
) -> None:
    content, style = picture(*size), picture(size[1], size[0] + 3, seed=1)
    ours, theirs = (one_pass(painter, content, encode(painter, style), strength) for painter in both[:2])
    assert ours.shape == theirs.shape == (1, 3, *size)
    assert (ours - theirs).abs().max() < LEVEL
    assert (ours - content).abs().max() > 0.1, "the network did something"


def test_tiles_too(both: tuple[TorchPainter, OnnxPainter, bytes]) -> None:
    content, style = picture(433, 500), picture(500, 433, seed=1)
    whole = one_pass(both[0], content, both[0].encode(style))
    tiled = one_pass(both[1], content, encode(both[1], style, 64), tile=128)
    assert (whole - tiled).abs().max() < LEVEL


def test_any_program_can_run_the_file(both: tuple[TorchPainter, OnnxPainter, bytes]) -> None:
    session = onnxruntime.InferenceSession(both[2], providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["content", "style", "strength"]
    assert [value.name for value in session.get_outputs()] == ["output"]
    content, style = picture(45, 70), picture(50, 35, seed=1)
    feeds = {"content": content.numpy(), "style": style.numpy(), "strength": torch.tensor([0.7]).numpy()}
    (output,) = session.run(None, feeds)
    wanted = both[0].paint(content, both[0].encode(style), 0.7)
    assert (torch.from_numpy(output) - wanted).abs().max() < LEVEL


def test_the_same_network_gives_the_same_bytes() -> None:
    assert export(tiny_network()) == export(tiny_network())


def test_a_code_as_one_row_comes_back() -> None:
    network = tiny_network()
    code = network.encode_style(picture(40, 40))
    for found, wanted in zip(unflatten(flatten(code), 5, 6), code, strict=True):
        assert torch.equal(found.mean, wanted.mean)
        assert torch.equal(found.covariance, wanted.covariance)


def test_other_files() -> None:
    other = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    for data in (b"", b"painted by hand", other.SerializeToString()):
        with pytest.raises(ImpastoError, match="no ONNX file of a network of impasto; make one with 'impasto export"):
            OnnxPainter(data)


class TestStrangers:
    @pytest.fixture
    def model(self) -> Any:
        return onnx.load_from_string(export(tiny_network()))

    @staticmethod
    def refused(model: Any) -> None:
        with pytest.raises(ImpastoError, match="no ONNX file of a network of impasto; make one with 'impasto export"):
            OnnxPainter(model.SerializeToString())

    def test_loops(self, model: Any) -> None:
        """One that never ends is as valid as any."""
        values = [onnx.helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("go", 9), ("on", 9))]
        again = onnx.helper.make_node("Identity", ["go"], ["on"])
        body = onnx.helper.make_graph([again], "endless", values[:2], values[2:])
        model.graph.initializer.append(onnx.helper.make_tensor("yes", 9, [], [True]))
        model.graph.node.append(onnx.helper.make_node("Loop", ["", "yes"], [], body=body))
        self.refused(model)

    def test_numbers_in_other_files(self, model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "secret"
        self.refused(model)

    def test_operators_of_others(self, model: Any) -> None:
        model.graph.node[0].domain = "com.example"
        self.refused(model)

    @pytest.mark.parametrize("change", [{"widths": [10**6] * 5}, {"depths": [10**9] * 5}, {"shared": "x"}])
    def test_settings_out_of_bounds(self, model: Any, change: dict[str, object]) -> None:
        about = {"format": FORMAT, "settings": {**tiny_network().settings, **change}}
        onnx.helper.set_model_props(model, {"impasto": json.dumps(about)})
        self.refused(model)

    def test_sizes_that_no_network_has(self, model: Any) -> None:
        """One flipped bit of a 1 made a graph that takes gigabytes."""
        ones = (
            part.t for node in model.graph.node for part in node.attribute if part.t.raw_data == bytes([1, *[0] * 7])
        )
        next(ones).raw_data = (2**24 + 1).to_bytes(8, "little")
        self.refused(model)

    def test_shapes_that_do_not_fit(self, model: Any) -> None:
        """Only onnxruntime finds them."""
        kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
        kernel.dims[0], kernel.dims[1] = kernel.dims[1], kernel.dims[0]
        kernel.dims[:] = [*kernel.dims][::-1]
        painter = OnnxPainter(model.SerializeToString())
        with pytest.raises(ImpastoError, match="no ONNX file of a network of impasto"):
            one_pass(painter, picture(64, 64), encode(painter, picture(64, 64, seed=1)))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_not_installed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    data = export(tiny_network())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[onnx\]'"):
        OnnxPainter(data)
