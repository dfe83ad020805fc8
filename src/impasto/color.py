"""Keep the photograph's colors.

Two ways, both from Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016,
https://arxiv.org/abs/1606.05897). *Luminance*: after stylizing, every pixel has the luminance of the painting and the
color of the photograph. *Color matching* (``histogram``): the style is given the photograph's palette beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images import resize

# Below this variance (2/255 of standard deviation) a direction of color space is noise, which is not amplified.
_NOISE = (2 / 255) ** 2
#: Stands in for no weight at all.
TINY = 1e-12


def luminance(image: Tensor) -> Tensor:
    """Luma Y' = 0.299 R + 0.587 G + 0.114 B (Rec. 601) of gamma-coded sRGB: (B, 3, H, W) -> (B, 1, H, W)."""
    import kornia.color

    return kornia.color.rgb_to_grayscale(image)


def preserve_color(output: Tensor, content: Tensor, mode: str = "luminance") -> Tensor:
    """The output's luminance with the content's chroma, in YIQ as in the article.

    To take Y from one picture and I and Q from another is to add one number to R, G and B. Where that leaves the gamut,
    clamping would shift the hue and flatten the brush strokes; the chroma is scaled down per pixel instead, no more
    than needed, and the luminance stays exactly the output's. Where the content is gray the result is gray.

    Args:
        output: (B, 3, H, W) in [0, 1], the painting; so is the result.
        content: (B or 1, 3, H', W') in [0, 1]; resized to the output where the sizes differ.
        mode: "luminance"; the histogram mode acts before stylizing, see ``match_color``.

    Raises:
        ImpastoError: another mode, or tensors of another shape.
    """
    if mode != "luminance":
        raise ImpastoError(f"preserve_color: '{mode}' is not a way to color a finished painting; take 'luminance'")
    _check(output=output, content=content)
    content = resize(content, (output.shape[-2], output.shape[-1]))
    y = luminance(output).clamp(0, 1)
    chroma = content - luminance(content)
    # The largest s <= 1 for which 0 <= y + s chroma <= 1 in all three channels.
    room = torch.where(chroma > 0, 1 - y, y)
    scale = (room / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1)
    return (y + scale * chroma).clamp(0, 1)


def match_color(style: Tensor, content: Tensor) -> Tensor:
    """Give ``style`` the mean color and the color covariance of ``content``.

    The article's linear matching x -> A (x - m_style) + m_content, with A = S_content^(1/2) S_style^(-1/2) made of the
    symmetric roots of the 3 x 3 covariances (its variant "Image Analogies"). In every direction of color space the
    standard deviation of the style counts as at least 2/255, so that the noise of gray pictures is not amplified.

    Args:
        style: (B, 3, H, W) in [0, 1]; so is the result, clamped.
        content: (B or 1, 3, H', W') in [0, 1], of any size.

    Either may have an alpha channel as a fourth: what is transparent counts for nothing. The style keeps its own.

    Raises:
        ImpastoError: tensors of another shape.
    """
    _check(style=style[:, :3], content=content[:, :3])
    style_mean, style_covariance = _moments(style)
    content_mean, content_covariance = _moments(content)
    matrix = _root(content_covariance) @ _root(style_covariance, inverse=True)
    style, *alpha = style.split(3, dim=1)
    # The statistics are in float64 on the CPU: mps has neither float64 nor eigh.
    shift = (content_mean - matrix @ style_mean).to(style.dtype).to(style.device)
    matrix = matrix.to(style.dtype).to(style.device).expand(len(style), 3, 3)
    matched = torch.einsum("bij,bjhw->bihw", matrix, style) + shift[..., None]
    return torch.cat([matched.clamp(0, 1), *alpha], dim=1)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """The style in gray, with the mean and the standard deviation of the content's luminance.

    L' = s_content / s_style (L - m_style) + m_content, from the article: before a painting whose colors
    ``preserve_color`` replaces, so that a dark style does not darken a bright photograph.

    Args:
        style: (B, 3, H, W) in [0, 1]; so is the result, clamped, with three equal channels.
        content: (B or 1, 3, H', W') in [0, 1], of any size.

    Either may have an alpha channel as a fourth: what is transparent counts for nothing. The style keeps its own.

    Raises:
        ImpastoError: tensors of another shape.
    """
    _check(style=style[:, :3], content=content[:, :3])
    (colors, *alpha), (theirs, *other) = style.split(3, dim=1), content.split(3, dim=1)
    ours, theirs = luminance(colors), luminance(theirs)
    (mean, deviation), (target_mean, target_deviation) = _spread(ours, *alpha), _spread(theirs, *other)
    gain = target_deviation / deviation.clamp_min(_NOISE**0.5)
    gray = (gain * (ours - mean) + target_mean).clamp(0, 1).expand(-1, 3, -1, -1)
    return torch.cat([gray, *alpha], dim=1)


def chroma_noise(image: Tensor) -> float:
    """Energy of the finest chroma of (1, 3, H, W) in [0, 1]: its mean square above half of Nyquist's frequency.

    Chroma is the color less its luminance. A picture has more than its painting where it has colored speckle.
    """
    chroma = (image - luminance(image)).double()
    height, width = chroma.shape[-2:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)
    waves = torch.fft.fft2(chroma, norm="ortho").abs().square() * ((down.square() + across.square()).sqrt() > 0.25)
    return waves.sum().item() / chroma.numel()


def _check(**images: Tensor) -> None:
    for name, image in images.items():
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            what = f"a {image.dtype} tensor of shape {tuple(image.shape)}"
            raise ImpastoError(f"{name}: {what}; give floats (B, 3, H, W)")


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3, 1) and covariance (B, 3, 3) of the colors, weighed by alpha, in float64 on the CPU."""
    colors, *alpha = image.detach().cpu().double().flatten(2).split(3, dim=1)
    if alpha:
        share = alpha[0] / alpha[0].sum(dim=2, keepdim=True).clamp_min(TINY)
        mean = (colors * share).sum(dim=2, keepdim=True)
        return mean, ((colors - mean) * share) @ (colors - mean).mT
    mean = colors.mean(dim=2, keepdim=True)
    centered = colors - mean
    return mean, centered @ centered.mT / colors.shape[2]


def _spread(gray: Tensor, alpha: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, 1, 1, 1) of (B, 1, H, W), weighed by alpha if there is one."""
    dims = (1, 2, 3)
    if alpha is None:
        return gray.mean(dims, keepdim=True), gray.std(dims, correction=0, keepdim=True)
    share = alpha / alpha.sum(dims, keepdim=True).clamp_min(TINY)
    mean = (gray * share).sum(dims, keepdim=True)
    return mean, ((gray - mean).square() * share).sum(dims, keepdim=True).sqrt()


def _root(covariance: Tensor, inverse: bool = False) -> Tensor:
    """The symmetric square root of (B, 3, 3), or its inverse with every variance taken as at least that of noise."""
    variances, directions = torch.linalg.eigh(covariance)
    scales = variances.clamp_min(_NOISE).rsqrt() if inverse else variances.clamp_min(0).sqrt()
    return directions @ torch.diag_embed(scales) @ directions.mT
