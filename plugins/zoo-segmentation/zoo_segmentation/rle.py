"""Masks as run lengths, as COCO writes them (https://github.com/cocodataset/cocoapi, maskApi): down the columns, zeros
first, in a string of five bits per character.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown
from zoo.preprocess.image_geometry import MAX_PIXELS

__all__ = ["RLE", "decode", "encode", "encode_labels"]

Counts = NDArray[np.int64]

_CHUNK = 2**18  # run lengths written at a time
_BITS, _MORE, _NEGATIVE, _ZERO = 0x1F, 0x20, 0x10, 48


class RLE(TypedDict):
    """size: height and width. counts: lengths of runs of zeros and ones by turns, in COCO's string."""

    size: list[int]
    counts: str


def encode(mask: NDArray[Any]) -> RLE:
    """A mask (height, width), of bools or of zeros and ones."""
    if mask.ndim != 2:
        raise InvalidInput(f"A mask of (height, width) was expected, found the shape {mask.shape}.")
    set_pixels = mask.astype(bool)
    return encode_labels(set_pixels).get(1, {"size": list(mask.shape), "counts": _written(np.array([mask.size]))})


def encode_labels(label_map: NDArray[Any]) -> dict[int, RLE]:
    """The mask of each value in a label map (height, width), by its value, in one pass for all of them."""
    down = np.ascontiguousarray(label_map.T).reshape(-1)
    if not down.size:
        return {}
    firsts = np.concatenate([[0], np.flatnonzero(down[1:] != down[:-1]) + 1])
    ends = np.append(firsts[1:], down.size)
    values = down[firsts]
    by_value = np.argsort(values, kind="stable")
    present, bounds = np.unique(values[by_value], return_index=True)
    runs = np.split(by_value, bounds[1:])
    size = list(label_map.shape)
    return {
        int(value): {"size": size, "counts": _written(_counts(firsts[each], ends[each], down.size))}
        for value, each in zip(present, runs, strict=True)
    }


def decode(rle: RLE | dict[str, Any]) -> NDArray[np.bool_]:
    """The mask (height, width). The counts may also be bytes or, as COCO has it for what is not compressed, a list of
    numbers. Raises InvalidInput for what is no such mask.
    """
    size, counts = rle.get("size"), _read(rle.get("counts"))
    if not isinstance(size, Sequence) or len(size) != 2 or not all(type(each) is int and each >= 0 for each in size):
        raise InvalidInput(f"size: height and width were expected, found {shown(size)}.")
    height, width = size
    pixels = height * width
    # Each by itself as well as their sum, which could overflow.
    if pixels > MAX_PIXELS or ((counts < 0) | (counts > pixels)).any() or counts.sum() != pixels:
        raise InvalidInput(
            f"Run lengths of {height} x {width} pixels were expected, found {len(counts)} that add up to "
            f"{counts.sum()}."
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def _counts(firsts: Counts, ends: Counts, size: int) -> Counts:
    """Of one mask, whose runs of ones are these: zeros, ones, zeros and so on; the last are left out if there are no
    zeros.
    """
    edges = np.empty(2 * len(firsts) + 1, dtype=np.int64)
    edges[:-1:2], edges[1::2], edges[-1] = firsts, ends, size
    counts = np.diff(edges, prepend=0)
    return counts if counts[-1] else counts[:-1]


def _written(counts: Counts) -> str:
    """Each count, from the fourth on less the one two before it, in groups of five bits, the lowest first."""
    differences = counts.copy()
    differences[3:] -= counts[1:-2]
    return "".join(_characters(differences[first : first + _CHUNK]) for first in range(0, len(counts), _CHUNK))


def _characters(numbers: Counts) -> str:
    magnitudes = np.where(numbers < 0, ~numbers, numbers)
    longest = 1 + int(magnitudes.max()).bit_length() // 5
    shifts = 5 * np.arange(longest)
    groups = (numbers[:, None] >> shifts) & _BITS
    # A number goes on while what is left of it is more than its sign, the highest bit of the group.
    goes_on = magnitudes[:, None] >> (shifts + 4) > 0
    needed = np.concatenate([np.ones((len(numbers), 1), dtype=bool), goes_on[:, :-1]], axis=1)
    characters = groups + _MORE * goes_on + _ZERO
    return characters[needed].astype(np.uint8).tobytes().decode("ascii")


def _read(counts: object) -> Counts:
    if isinstance(counts, Sequence) and not isinstance(counts, (str, bytes)):
        if not all(isinstance(each, (int, np.integer)) and 0 <= each <= MAX_PIXELS for each in counts):
            raise InvalidInput(f"counts: numbers of pixels, up to {MAX_PIXELS}, were expected, found {shown(counts)}.")
        return np.array(counts, dtype=np.int64)
    content = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
    if not isinstance(content, bytes):
        raise InvalidInput(f"counts: a text or a list of numbers was expected, found {shown(counts)}.")
    characters = np.frombuffer(content, dtype=np.uint8).astype(np.int64) - _ZERO
    lasts = np.flatnonzero((characters & _MORE) == 0)
    firsts = np.append(0, lasts[:-1] + 1)
    lengths = lasts - firsts + 1
    if not len(lasts) or lasts[-1] != len(characters) - 1 or lengths.max() > 8 or not _in_range(characters):
        raise InvalidInput(f"counts: {shown(counts)} is no string of run lengths.")
    places = np.arange(len(characters)) - np.repeat(firsts, lengths)
    numbers = np.add.reduceat((characters & _BITS) << (5 * places), firsts)
    numbers -= np.where(characters[lasts] & _NEGATIVE, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _in_range(characters: Counts) -> bool:
    return bool(((characters >= 0) & (characters < 64)).all())
