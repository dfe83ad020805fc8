"""A rose window: glowing panes of streaky glass in rings of petals, lancets and beads, held by lead."""

from __future__ import annotations

import numpy as np

from impasto.samples.canvas import Array, Canvas, blur, colors, gradient, light, mix, smoothstep
from impasto.samples.cells import Ids, distance_to, edges

__all__ = ["paint"]

#: Each glass from shade to full light.
GLASS = np.stack(
    [
        colors("#07052e", "#101d86", "#1746d6", "#4a9cff", "#c8ecff"),  # cobalt
        colors("#2c0010", "#7d0018", "#d8101f", "#ff4a30", "#ffc79a"),  # ruby
        colors("#4a1c00", "#a85400", "#f0a008", "#ffd640", "#fff6c0"),  # gold
        colors("#00210f", "#00592e", "#10a050", "#6be070", "#e4ffb8"),  # emerald
        colors("#1e0233", "#4f0f78", "#9433c0", "#d883ee", "#ffe0ff"),  # violet
        colors("#00202c", "#00566e", "#0aa6bd", "#62e6e2", "#e0fff6"),  # turquoise
        colors("#3d2a14", "#94744c", "#e2cf9c", "#fff3d2", "#fffdf2"),  # pearl
        colors("#3a0c00", "#9c2c00", "#f26a10", "#ffa548", "#ffe6b0"),  # amber
    ]
)
COBALT, RUBY, GOLD, EMERALD, VIOLET, TURQUOISE, PEARL, AMBER = range(8)
LEAD = colors("#17161b")[0]
#: Pane numbers that a layer of the drawing may use, and how many sheets of glass there are to cut panes from.
LAYER, SHEETS = 1_000_000, 4093


class Window:
    """The cartoon as it grows: for each pixel its pane, the pane's glass, and the iron that bears it."""

    def __init__(self, canvas: Canvas) -> None:
        shape = (canvas.height, canvas.width)
        self.pane: Ids = np.zeros(shape, np.int32)
        self.frame: Ids = np.zeros(shape, np.int32)
        self.kind: Ids = np.zeros(shape, np.int32)
        self.layers = 0

    def glaze(self, where: Array, piece: Array, kind: Array | int) -> None:
        """Cover a region with panes, numbered by ``piece`` (whole, 0 to ``LAYER``), of some glass."""
        self.layers += 1
        self.pane = np.where(where, piece.astype(np.int32) + self.layers * LAYER, self.pane)
        self.kind = np.where(where, kind, self.kind)

    def bear(self, where: Array, number: Array) -> None:
        """Cover a region with parts between which the lead is heavy, numbered like panes."""
        self.layers += 1
        self.frame = np.where(where, number + self.layers * LAYER, self.frame)


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    window, radius = _cartoon(canvas, rng)
    chance = rng.uniform(size=(SHEETS, 4)).astype(np.float32)[window.pane % SHEETS]
    reach = int(0.030 * canvas.unit) + 2
    thin = distance_to(edges(window.pane), reach) / np.float32(canvas.unit)
    heavy = distance_to(edges(window.frame), reach) / np.float32(canvas.unit)
    gap = np.minimum(thin - np.float32(0.0021), heavy - np.float32(0.0042))

    # Streaks run their own way in each pane; seeds are bubbles caught in it.
    turn = chance[..., 1] * np.float32(np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    slide = chance[..., 2]
    along, across = canvas.x * cos + canvas.y * sin, canvas.y * cos - canvas.x * sin
    fold = canvas.noise(rng, 44, 4, stretch=(4.0, 1.0), gain=0.75)
    streak = canvas.sample(fold, _bounce(along + slide, canvas.right), _bounce(across + 3 * slide, canvas.bottom))
    seeds = smoothstep(2.1, 2.7, canvas.noise(rng, 120, 1))
    sun = canvas.noise(rng, 2.2, 2)

    tone = 0.50 + 0.30 * (chance[..., 0] - 0.5) + 0.15 * streak + 0.09 * sun + 0.14 * np.exp(-radius * 6)
    tone = tone - 0.42 * np.clip(radius - 0.34, 0, 0.4) + 0.30 * np.exp(-((radius / 0.05) ** 2))
    tone = tone + 0.16 * smoothstep(0.002, 0.016, gap) - 0.22 * smoothstep(0.007, -0.001, gap) + 0.12 * seeds
    # Vines painted on the glass in brown enamel.
    vine = np.abs(canvas.noise(rng, 34, 2))
    painted = smoothstep(0.16, 0.05, vine) * smoothstep(0.003, 0.006, gap) * (chance[..., 3] > 0.35)
    tone = tone - 0.20 * painted
    table = np.stack([gradient(stops, np.linspace(0, 1, 512, dtype=np.float32)) for stops in GLASS])
    color = table[window.kind, (np.clip(tone, 0.03, 1) * 511).astype(np.int32)]
    # No two sheets of glass are quite alike.
    tint = (chance[..., 3] - 0.5)[..., None] * np.array([0.10, -0.03, -0.10], np.float32)
    color = np.clip(color * (1 + tint), 0, 1)

    pixel = np.float32(0.8 / canvas.unit)
    glass = smoothstep(-1, 1, gap / pixel)
    came = np.sqrt(np.clip(-gap, 0, None) / np.float32(0.004))
    lead = LEAD * (1 + 0.35 * canvas.noise(rng, 120, 2)[..., None])
    lead = light(lead, blur(came, 0.0008 * canvas.unit) * np.float32(canvas.unit / 512), depth=0.55, gloss=0.10)
    picture = mix(lead, color, glass)
    # Light spills over the lead, as it does in a dark nave.
    lit = color * glass[..., None]
    halo = 0.55 * blur(lit, 0.006 * canvas.unit) + 0.45 * blur(lit, 0.025 * canvas.unit)
    spill = np.float32(0.26) * halo**1.5
    return 1 - (1 - picture) * (1 - spill)


def _bounce(value: Array, limit: float) -> Array:
    """Into [0, limit], mirrored at its ends."""
    return np.abs(np.mod(value, np.float32(2 * limit)) - np.float32(limit))


def _cartoon(canvas: Canvas, rng: np.random.Generator) -> tuple[Window, Array]:
    """The drawing, from the field inward to the heart, and each pixel's distance from the middle."""
    side = np.float32(min(canvas.right, canvas.bottom))
    wobble = np.float32(0.0022)
    x = (canvas.x - canvas.right / 2) / side + wobble * canvas.noise(rng, 9, 2)
    y = (canvas.y - canvas.bottom / 2) / side + wobble * canvas.noise(rng, 9, 2)
    r, angle = np.sqrt(x * x + y * y), np.arctan2(y, x) + np.float32(rng.uniform(0, 0.5))
    window = Window(canvas)
    none = np.zeros(r.shape, np.int32)

    # The field beyond the rose: irregular pieces in rings.
    wave = canvas.noise(rng, 5, 2)
    ring = np.clip(np.floor((r - np.float32(0.47)) / np.float32(0.055) + 0.30 * wave), 0, 200)
    number = np.round(92 * (0.50 + 0.055 * ring))
    place = angle / np.float32(2 * np.pi) * number + 0.5 * ring + 0.35 * np.sin(5 * angle + 2.1 * ring) + 0.25 * wave
    piece = ring * 1500 + np.mod(np.floor(place), number)
    window.glaze(
        r > 0, piece, np.array([COBALT] * 9 + [RUBY, VIOLET, COBALT, TURQUOISE])[np.mod(piece * 7, 13).astype(int)]
    )

    # The rim of beads.
    index, _ = _sector(angle, 72)
    window.glaze(r < 0.488, index, np.array([RUBY, GOLD, RUBY, PEARL])[index % 4])
    window.bear(r < 0.488, none)
    window.glaze(r < 0.470, _sector(angle, 24)[0], RUBY)
    window.bear(r < 0.470, none)

    # Between the lancets' heads a roundel each.
    index, off = _sector(angle, 12, 0.5)
    disc = np.hypot(r * np.cos(off) - np.float32(0.432), r * np.sin(off))
    window.glaze(disc < 0.030, index, EMERALD)
    window.bear(disc < 0.030, index)
    window.glaze(disc < 0.013, index, GOLD)

    # Twelve lancets: a border, two medallions, and blue between.
    index, off = _sector(angle, 12)
    a, b = r * np.cos(off), r * np.sin(off)
    head = np.float32(0.372)
    inset = np.where(a < head, r * np.sin(np.float32(np.pi / 12 * 0.90) - np.abs(off)), 0.0865 - np.hypot(a - head, b))
    inset = np.minimum(inset, r - np.float32(0.262))
    inside = inset > 0
    block = np.floor(np.arctan2(b, a - np.float32(0.345)) * np.float32(22 / (2 * np.pi)) + 11)
    window.glaze(
        inside,
        index * 30 + block,
        np.where(block % 2 < 1, np.where(index % 2, GOLD, PEARL), np.where(index % 2, RUBY, TURQUOISE)),
    )
    window.bear(inside, index)
    inner = inset > 0.0135
    cut = (off > 0) * 4 + np.floor((a - 0.27) / np.float32(0.052) + 0.12 * wave)
    window.glaze(inner, index * 12 + cut, COBALT)
    large, small = np.hypot(a - np.float32(0.384), b), np.hypot(a - np.float32(0.303), b)
    lobes = np.arctan2(b, a - np.float32(0.384))
    window.glaze(
        large < 0.053, index * 4 + np.floor(lobes / np.float32(np.pi / 2) + 2) % 4, np.where(index % 2, COBALT, RUBY)
    )
    window.bear(large < 0.053, index)
    window.glaze(large < 0.026 + 0.011 * np.cos(4 * lobes), index, np.where(index % 2, RUBY, GOLD))
    window.glaze(large < 0.011, index, PEARL)
    window.glaze(small < 0.027, index, np.where(index % 2, VIOLET, EMERALD))
    window.bear(small < 0.027, index)
    window.glaze(small < 0.012, index, GOLD)

    # A band of small roundels.
    window.glaze(r < 0.258, _sector(angle, 24, 0.25)[0], COBALT)
    window.bear(r < 0.258, none)
    index, off = _sector(angle, 24)
    disc = np.hypot(r * np.cos(off) - np.float32(0.2335), r * np.sin(off))
    window.glaze(disc < 0.0185, index, np.where(index % 2, RUBY, GOLD))

    # Twelve pointed petals that turn like a wheel, twelve more behind them.
    angle = angle + np.float32(1.3) * (r - np.float32(0.2))
    index, off = _sector(angle, 12)
    window.glaze(r < 0.210, index, COBALT)
    window.bear(r < 0.210, none)
    for offset, wide, outer, heavy in ((0.5, 0.040, 0.205, False), (0.0, 0.046, 0.190, True)):
        index, off = _sector(angle, 12, offset)
        span = np.clip((r - 0.040) / np.float32(outer - 0.040), 0, 1)
        leaf = np.abs(off) * r < np.float32(wide) * np.maximum(np.sin(np.pi * span**0.8), 0) ** np.float32(0.8)
        leaf &= r < outer
        tip = r > 0.128 + 0.016 * np.cos(12 * off)
        shade = np.where(tip, RUBY, GOLD) if heavy else np.where(tip, TURQUOISE, VIOLET)
        window.glaze(leaf, index * 4 + (off > 0) * 2 + tip, shade)
        if heavy:
            window.bear(leaf, index)
    # The heart.
    index, off = _sector(angle, 8)
    window.glaze(r < 0.070, index, AMBER)
    window.bear(r < 0.070, none)
    window.glaze(r < 0.036 + 0.012 * np.cos(off * 8), none, PEARL)
    return window, r


def _sector(angle: Array, count: int, offset: float = 0.0) -> tuple[Ids, Array]:
    """Which of ``count`` equal sectors, and the angle off its middle."""
    turns = np.mod(angle * np.float32(count / (2 * np.pi)) + np.float32(offset + 0.5), np.float32(count))
    index = np.floor(turns)
    return index.astype(np.int32), (turns - index - np.float32(0.5)) * np.float32(2 * np.pi / count)
