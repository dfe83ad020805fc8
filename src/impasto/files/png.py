"""PNG beside Pillow: chunks that are damaged but not needed, and how a file means its colors."""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SRGB_GAMMA = 1 / 2.2
_SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# Of cICP, by ITU-T H.273: BT.709's primaries, which are sRGB's; curves close to sRGB's; no curve; those of HDR.
_BT709, _NEAR_SRGB, _LINEAR, _HDR = 1, (1, 6, 13, 14, 15), 8, {16: "PQ", 18: "HLG"}


def sound(file: IO[bytes]) -> tuple[IO[bytes], list[str], bytes]:
    """Look through the chunks of a file, which may be any.

    Returns:
        The file itself at its start, or a copy without those ancillary chunks whose checksum is wrong, which Pillow
        would refuse; their names; and what its cICP chunk holds, which Pillow does not tell.
    """
    file.seek(0)
    kept, start, names, cicp = [], 0, [], b""
    if file.read(8) == _SIGNATURE:
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if not name[0] & 32:  # a capital: it takes part in the pixels
                file.seek(length + 4, io.SEEK_CUR)
                continue
            body = file.read(length + 4)
            if len(body) == length + 4 and zlib.crc32(name + body[:-4]) != int.from_bytes(body[-4:], "big"):
                names.append(name.decode("ascii", "replace"))
                kept.append((start, file.tell() - length - 12))
                start = file.tell()
            elif name == b"cICP":
                cicp = body[:-4]
    file.seek(0)
    if names:
        data = file.read()
        file = io.BytesIO(b"".join(data[a:b] for a, b in [*kept, (start, len(data))]))
    return file, names, cicp


def gamma_and_notice(info: dict[Any, Any], cicp: bytes) -> tuple[float, str | None]:
    """How a PNG without a profile means its colors, from Pillow's ``info`` and its cICP chunk.

    Returns:
        The exponent of its gAMA chunk, 0 where the curve is sRGB's or near; what is told of the rest, if anything.
    """
    taken = "its colors are taken as sRGB"
    if info.get("icc_profile"):
        return 0, None
    if len(cicp) == 4:
        primaries, transfer = cicp[:2]
        if primaries == _BT709 and transfer in (*_NEAR_SRGB, _LINEAR):
            return float(transfer == _LINEAR), None
        said = f"is HDR ({_HDR[transfer]})" if transfer in _HDR else "has other primaries or another curve than sRGB"
        return 0, f"{said}, by its cICP chunk; {taken}"
    if "srgb" in info:
        return 0, None
    gamma, chromaticities = info.get("gamma") or 0, info.get("chromaticity", _SRGB_CHROMATICITIES)
    near = abs(gamma - _SRGB_GAMMA) < 0.02
    other = max(abs(a - b) for a, b in zip(chromaticities, _SRGB_CHROMATICITIES, strict=False)) > 0.005
    notice = f"has other primaries than sRGB, by its cHRM chunk; {taken}" if other else None
    return 0 if near else gamma, notice
