from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from impasto.errors import ImpastoError
from impasto.features import load_extractor
from impasto.features.compact import FORMAT, Compact, is_compact
from impasto.features.vgg19 import VGG19
from impasto.files.cards import pack
from impasto.files.shipped import shipped
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix


@pytest.fixture(scope="module")
def compact() -> Compact:
    return Compact.from_file()


class TestTheShippedFile:
    def test_is_small(self) -> None:
        assert shipped("compact").stat().st_size <= 8_000_000

    def test_has_the_layers_of_the_metric(self, compact: Compact) -> None:
        assert set(compact.layers) == {CONTENT_LAYER, *STYLE_LAYERS}
        assert compact.channels("relu4_1") == 512, "the losses count VGG-19's channels"
        assert compact.sha256 == hashlib.sha256(shipped("compact").read_bytes()).hexdigest()

    def test_shapes(self, compact: Compact) -> None:
        found = compact(torch.rand(2, 3, 64, 48), compact.layers)
        assert [tuple(found[layer].shape[2:]) for layer in ("relu1_1", "relu3_1", "relu5_1")] == [
            (64, 48),
            (16, 12),
            (4, 3),
        ]

    def test_metric_measures_the_distances_of_features(self, compact: Compact) -> None:
        one, two = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        maps = [compact.maps(image, compact.layers) for image in (one, two)]
        features = [compact(image, compact.layers) for image in (one, two)]
        for layer in compact.layers:
            squares, through_metric = (
                content_loss(found[0][layer], found[1][layer], "gatys", metric=metric)
                for found, metric in ((features, None), (maps, compact.metric(layer)))
            )
            torch.testing.assert_close(through_metric, squares, rtol=1e-4, atol=0)

    def test_stages_one_after_the_other_give_the_maps(self, compact: Compact) -> None:
        image = torch.rand(1, 3, 37, 34, generator=torch.Generator().manual_seed(0))
        for layers in (compact.layers, ["relu3_1"], ["relu4_2", "relu2_1"]):
            hidden, found = image, {}
            for number, stage in enumerate(compact.stages(layers)):
                hidden = stage.pool(hidden) if number else hidden
                steps = list(stage.walk(hidden))
                assert tuple(name for name, _ in steps) == stage.names
                hidden = steps[-1][1]
                assert hidden.shape[1] == stage.widths[-1]
                found.update({name: maps for name, maps in steps if name in stage.layers})
            expected = compact.maps(image, layers)
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[layer], expected[layer]) for layer in layers)
        assert [stage.widths for stage in compact.stages(["relu2_1"])] == [(24, 32), (64,)]

    def test_a_stage_looks_no_further_than_it_says(self, compact: Compact) -> None:
        channels = 3
        for stage in compact.stages(compact.layers):
            hidden = torch.rand(1, channels, 21, 21, generator=torch.Generator().manual_seed(0)).requires_grad_()
            *_, (_, last) = stage.walk(hidden)
            last[..., 10, 10].sum().backward()
            assert hidden.grad is not None
            seen = hidden.grad.abs().sum((0, 1)).nonzero()
            assert seen.min() == 10 - stage.reach
            assert seen.max() == 10 + stage.reach
            channels = stage.widths[-1]

    def test_gradients_reach_the_pixels_only(self, compact: Compact) -> None:
        image = torch.rand(1, 3, 32, 32).requires_grad_()
        sum(maps.square().sum() for maps in compact(image, compact.layers).values()).backward()  # type: ignore[union-attr]
        assert image.grad is not None
        assert image.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in compact.parameters())

    def test_has_a_card(self) -> None:
        card = shipped("compact").with_suffix(".md").read_text(encoding="utf-8")
        for word in ("data", "settings", "scores", "license"):
            assert word in card.lower(), word

    def test_sees_what_vgg19_sees(self, compact: Compact, shared: Path) -> None:
        """The distance between two pictures, in features and in Gram matrices, is nearly VGG-19's own."""
        from impasto.images import load_image
        from impasto.refine.pyramid import fit

        teacher = VGG19.from_file(shared / "weights" / "vgg19-caffe.safetensors")
        classics = shared / "data" / "classics"
        one = fit(load_image(classics / "contents" / "tubingen.jpg").tensor, 160)
        two = fit(load_image(classics / "styles" / "starry_night.jpg").tensor, 160)[..., :120, :160]
        one = one[..., :120, :160]
        for layer in compact.layers:
            (a, b), (x, y) = (
                [network(image, [layer])[layer] for image in (one, two)] for network in (teacher, compact)
            )
            ratio = ((x - y).square().sum() / (a - b).square().sum()).item()
            assert 0.3 < ratio < 1.2, layer
            ratio = ((gram_matrix(x) - gram_matrix(y)).norm() / (gram_matrix(a) - gram_matrix(b)).norm()).item()
            # Least squares shrinks what it cannot predict, relu5_1 most.
            assert (0.4 if layer == "relu5_1" else 0.6) < ratio < 1.3, layer


class TestLoading:
    def test_by_name_and_by_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
        assert load_extractor("compact").name == "compact"
        assert load_extractor("auto").name == "compact", "where there is no VGG-19"
        assert load_extractor(shipped("compact")).name == "compact"
        with pytest.raises(
            ImpastoError, match="vgg19: its weights are not on this machine; 'impasto weights get vgg19'"
        ):
            load_extractor("vgg19")

    def test_something_else(self, tmp_path: Path) -> None:
        save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
        assert not is_compact(tmp_path / "other.safetensors")
        assert not is_compact(tmp_path / "missing.safetensors")
        with pytest.raises(ImpastoError, match="no intact weights of the compact extractor"):
            Compact.from_file(tmp_path / "other.safetensors")

    @pytest.mark.parametrize("keep", [0, 100, -1])
    def test_cut(self, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "compact.safetensors"
        path.write_bytes(shipped("compact").read_bytes()[:keep])
        with pytest.raises(ImpastoError, match=r"compact\.safetensors: .*compact extractor; give"):
            Compact.from_file(path)

    @pytest.mark.parametrize(
        "architecture",
        [
            [["relu1_1", 12_000], ["relu2_1", 12_000], ["relu3_1", 8], ["relu4_1", 8], ["relu4_2", 8], ["relu5_1", 8]],
            [["relu1_1", 4096]] * 60,
            [["relu1_1", 8]],
            [["../relu", 8]],
            [["relu1_1", -1]],
            [[[["relu1_1"]]]],
            8,
        ],
    )
    def test_a_card_that_claims_what_is_not_there(self, tmp_path: Path, architecture: object) -> None:
        """Nothing of the size that it claims is made."""
        path = tmp_path / "small.safetensors"
        path.write_bytes(pack({}, {"format": FORMAT, "architecture": architecture}))
        with pytest.raises(ImpastoError, match=r"small\.safetensors: no readable weights of the compact extractor"):
            Compact.from_file(path)

    def test_unknown_layer(self, compact: Compact) -> None:
        with pytest.raises(ImpastoError, match="relu3_4: the extractor 'compact' has no such layer; it has relu1_1"):
            compact(torch.rand(1, 3, 32, 32), ["relu3_4"])
