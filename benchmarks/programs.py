"""The programs that are measured, each run as a process of its own, with one and the same questions to all of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from peers import neural_style, pystiche_nst
from runner import HERE, judge, measure, stylize
from store import Record

PEERS = {"neural-style": neural_style.paint, "pystiche": pystiche_nst.paint}
#: impasto's extractor, and further options.
OURS = {
    "vgg19": ("vgg19", ()),
    "vgg19-fp32": ("vgg19", ("--precision", "fp32")),
    "compact": ("compact", ()),
}
NAMES = {
    "neural-style": "neural-style 0.5.7",
    "pystiche": "pystiche 1.0.1",
    "vgg19": "impasto, VGG-19",
    "vgg19-fp32": "impasto, VGG-19, float32",
    "compact": "impasto, compact",
}


@dataclass(frozen=True)
class Bench:
    """What all runs have in common.

    Attributes:
        content: the photograph.
        style: the painting.
        out: where pictures go.
        threads: of every program.
        weights: VGG-19, for the peers, for impasto and for the judge; None where there are none.
        peer_python: of the environment of the peers; None to leave them out.
        options: further ones for impasto.
    """

    content: Path
    style: Path
    out: Path
    threads: int
    weights: Path | None
    peer_python: Path | None
    options: Sequence[str] = ()

    def programs(self, fast_bf16: bool) -> list[str]:
        """Those that can run here, peers first. Where bfloat16 is impasto's choice, float32 is measured as well."""
        ours = [name for name, (extractor, _) in OURS.items() if self.weights or extractor == "compact"]
        return self.peers() + [name for name in ours if name != "vgg19-fp32" or fast_bf16]

    def peers(self) -> list[str]:
        """The peers that can run here."""
        return list(PEERS) if self.peer_python and self.weights else []

    def limits(self, quick: bool) -> Record:
        """The machine's own rates."""
        command = [sys.executable, HERE / "limits.py", "--threads", str(self.threads), *(["--quick"] if quick else [])]
        return json.loads(measure(command, threads=self.threads).lines[-1][1])

    def steps(self, program: str, size: int, count: int) -> Record:
        """``count`` steps at the full size: the time of one, the peak memory, and the time until a picture is saved."""
        picture = self.out / f"steps-{program}-{size}.png"
        if program in PEERS:
            return self._peer(program, size, count, picture)
        record = self._impasto(program, size, picture, ["--steps", str(count)], program=[HERE / "one_scale.py"])
        assert list(record["scales"]) == [str(size)], f"one_scale.py took steps at {', '.join(record['scales'])} px"
        return record

    def peer_picture(self, peer: str, size: int, steps: int) -> Record:
        """The peer's own result after so many of its default steps, judged."""
        picture = self.out / f"{peer}-{size}.png"
        return {**self._peer(peer, size, steps, picture), **self.judged(picture)}

    def painting(
        self, ours: str, size: int, name: str, *, steps: int | None = None, weight: float | None = None
    ) -> Record:
        """A picture by ``impasto stylize``, judged if there is a judge."""
        picture = self.out / f"{name}.png"
        options = [] if steps is None else ["--steps", str(steps)]
        options += [] if weight is None else ["--content-weight", repr(weight)]
        return {**self._impasto(ours, size, picture, options), **self.judged(picture)}

    def judged(self, picture: Path) -> Record:
        """Style share and content error; nothing without weights."""
        if self.weights is None:
            return {}
        verdict = judge([picture], self.content, self.style, threads=self.threads, weights=self.weights)[0]
        return {name: verdict[name] for name in ("style_share", "content_error")}

    def _impasto(
        self,
        ours: str,
        size: int,
        picture: Path,
        options: Sequence[str],
        program: Sequence[str | Path] = ("-m", "impasto"),
    ) -> Record:
        extractor, own = OURS[ours]
        record = stylize(
            self.content,
            self.style,
            picture,
            size=size,
            threads=self.threads,
            extractor=self.weights if extractor == "vgg19" and self.weights else extractor,
            options=[*own, *self.options, *options],
            program=program,
        )
        result = record.pop("result")
        settings = {name: result["settings"][name] for name in ("precision", "content_weight")}
        return {**record, "width": result["width"], "height": result["height"], **settings}

    def _peer(self, peer: str, size: int, steps: int, picture: Path) -> Record:
        assert self.peer_python is not None
        assert self.weights is not None
        record = PEERS[peer](
            self.content,
            self.style,
            picture,
            size=size,
            steps=steps,
            threads=self.threads,
            python=self.peer_python,
            weights=self.weights,
        )
        with Image.open(picture) as image:
            return {**record, "picture": str(picture), "width": image.width, "height": image.height}
