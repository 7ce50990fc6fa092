"""Windows over an image, and their scores blended a band at a time."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
import torch

import zoo
from zoo_segmentation import sliding_window
from zoo_segmentation.sliding_window import Tiling, blended, overlap_pixels, window_size

CLASSES = 3
CPU = torch.device("cpu")


@pytest.mark.parametrize("image", [(40, 60), (41, 64), (16, 16), (9, 100), (1, 1), (17, 20)])
@pytest.mark.parametrize(("window", "overlap"), [((16, 16), 0.5), ((16, 10), 3), ((16, 16), 0), ((70, 30), 25)])
def test_windows_cover_the_image_and_overlap_by_what_was_asked_for(image, window, overlap):
    tiling = Tiling.over(image, window, overlap)
    for axis, firsts in enumerate((tiling.tops, tiling.lefts)):
        length = min(window[axis], image[axis])
        assert tiling.window[axis] == length
        assert firsts[0] == 0 and firsts[-1] + length == image[axis]
        steps = [later - earlier for earlier, later in itertools.pairwise(firsts)]
        assert all(0 < step <= length - overlap_pixels(overlap, window[axis]) for step in steps)


def test_no_more_windows_than_needed():
    assert Tiling.over((10, 1000), (10, 100), 0.5).lefts == tuple(range(0, 901, 50))
    assert Tiling.over((10, 1001), (10, 100), 0).lefts[:2] == (0, 90)


def scores(tiling: Tiling):
    """Of each window its own, as of a model that sees where the window ends."""
    height, width = tiling.window
    return {
        (top, left): torch.randn(CLASSES, height, width, generator=torch.Generator().manual_seed(top * 1000 + left))
        for top in tiling.tops
        for left in tiling.lefts
    }


def whole(tiling: Tiling, blend: str) -> torch.Tensor:
    """What the definition says: (height, width, classes), in double precision, all at once."""
    height, width = tiling.window
    weights = torch.ones(height, width, dtype=torch.float64)
    if blend == "gaussian":
        rows, columns = (
            torch.exp(-0.5 * ((torch.arange(length, dtype=torch.float64) - (length - 1) / 2) / (length / 8)) ** 2)
            for length in (height, width)
        )
        weights = rows[:, None] * columns
    summed = torch.zeros(CLASSES, *tiling.image, dtype=torch.float64)
    total = torch.zeros(tiling.image, dtype=torch.float64)
    for (top, left), each in scores(tiling).items():
        summed[:, top : top + height, left : left + width] += each.double() * weights
        total[top : top + height, left : left + width] += weights
    return (summed / total).permute(1, 2, 0)


@pytest.mark.parametrize("blend", ["gaussian", "uniform"])
@pytest.mark.parametrize(
    ("image", "window", "overlap"),
    [((40, 60), (16, 16), 0.5), ((41, 33), (16, 12), 5), ((33, 20), (8, 32), 0.75), ((20, 20), (10, 10), 0)],
)
@pytest.mark.parametrize("band_bytes", [2**30, 1], ids=["one strip", "strips"])
def test_bands_and_strips_change_nothing(monkeypatch, blend, image, window, overlap, band_bytes):
    monkeypatch.setattr(sliding_window, "BAND_BYTES", band_bytes)
    monkeypatch.setattr(sliding_window, "PART_BYTES", 4 * 3 * CLASSES * image[1])
    tiling = Tiling.over(image, window, overlap)
    of, asked = scores(tiling), []

    def compute(places):
        asked.append(len(places))
        return torch.stack([of[place] for place in places])

    result = torch.full((*image, CLASSES), torch.nan)
    for row, column, part in blended(tiling, compute, classes=CLASSES, blend=blend, at_a_time=2, device=CPU):
        place = result[row : row + part.shape[0], column : column + part.shape[1]]
        assert place.isnan().all(), "a pixel is given twice"
        place.copy_(part)
    torch.testing.assert_close(result.double(), whole(tiling, blend), rtol=1e-4, atol=1e-5)
    assert max(asked) <= 2
    if band_bytes > 1:
        assert sum(asked) == len(of), "a window is computed twice"


@pytest.mark.parametrize("window", [0, -1, True, 1.5, (1,), (1, 0), "12", [4, 5, 6]])
def test_what_is_no_size_is_refused(window):
    with pytest.raises(zoo.InvalidInput, match="window: a number of pixels"):
        window_size(window)


@pytest.mark.parametrize("overlap", [-1, 16, 500, 1.0, -0.5, "half", True, None, float("nan")])
def test_what_is_no_overlap_is_refused(overlap):
    with pytest.raises(zoo.InvalidInput, match="overlap: a part of the window"):
        overlap_pixels(overlap, 16)


PEAK = """
import resource, torch
from zoo_segmentation import sliding_window
torch.set_num_threads(1)
CLASSES, height, width = 150, {height}, 400
sliding_window.BAND_BYTES = 2**24
tiling = sliding_window.Tiling.over((height, width), (64, 64), 0.25)
scores = torch.randn(1, CLASSES, 64, 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = 0
for row, column, part in sliding_window.blended(
    tiling, lambda places: scores, classes=CLASSES, blend="gaussian", at_a_time=1, device=torch.device("cpu")
):
    rows += part.shape[0] * part.shape[1]
assert rows == height * width
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown // 1024 if __import__("sys").platform != "darwin" else grown // 2**20)
"""


def test_memory_does_not_grow_with_the_image():
    """All scores at once would be 1500 x 400 x 150 x 4 bytes, 360 MB; a band and some parts are a tenth."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", PEAK.format(height=1500)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) < 90
