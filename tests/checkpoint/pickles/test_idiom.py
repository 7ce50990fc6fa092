"""What is taken in one step must be what its opcodes would do one by one, whatever the file holds."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.checkpoint.pickles import machine, torch_zip
from zoo.checkpoint.pickles.idiom import tensor_arguments
from zoo.errors import CheckpointError

ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def many() -> dict[str, object]:
    """Enough tensors that the memo's numbers need four bytes, as they do in any model; one of each kind at the end."""
    state: dict[str, object] = {f"layers.{number}.weight": torch.full((2,), float(number)) for number in range(50)}
    tied = torch.arange(24.0)
    state |= {
        "scalar": torch.tensor(3.0),
        "matrix": torch.ones(2, 300),
        "kernel": torch.ones(2, 3, 1),
        "image": torch.ones(1, 2, 70_000, 1),
        "deep": torch.ones(1, 1, 1, 1, 1, 1, 1, 1, 1),
        "half": torch.ones(3, dtype=torch.float16),
        "view": tied[2:20].view(3, 6).t(),
        "tied": tied,
        "parameter": torch.nn.Parameter(torch.ones(4)),
        "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
        "last": torch.ones(5),
    }
    return state


def saved() -> bytes:
    buffer = io.BytesIO()
    torch.save(many(), buffer)
    return buffer.getvalue()


SEED = saved()
with zipfile.ZipFile(io.BytesIO(SEED)) as archive:
    PROGRAM = archive.read("archive/data.pkl")
BEGIN = SEED.index(PROGRAM)
IN_ONE_STEP = PROGRAM.index(b"layers.48.weight")


def outcome(path: Path) -> object:
    try:
        opened = torch_zip.open_file(path)
    except CheckpointError as error:
        return type(error), str(error)
    return dict(opened), opened.unsupported, opened.selection, opened.code, opened.warnings


def one_by_one(path: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "tensor_arguments", lambda *_: None)
        return outcome(path)


def test_most_tensors_are_taken_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(SEED)
    taken = []

    def counted(*arguments: object) -> object:
        taken.append(tensor_arguments(*arguments))  # type: ignore[arg-type]
        return taken[-1]

    monkeypatch.setattr(machine, "tensor_arguments", counted)
    records, *_ = outcome(path)  # type: ignore[misc]
    assert [*records, "conjugate"] == sorted(many(), key="conjugate".__eq__)
    hits = [arguments for found in taken if found is not None for arguments in found[:1]]
    assert len(hits) >= 20  # but for the first 256 values, what is shared, and shapes of no or very many dimensions
    assert {len(arguments[2]) for arguments in hits} == {1, 2, 3, 4}


def test_in_one_step_is_the_same_as_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(SEED)
    assert outcome(path) == one_by_one(path)


@given(
    flips=st.lists(
        st.tuples(
            st.integers(IN_ONE_STEP, len(PROGRAM) - 1), st.sampled_from([*b"((hKMJXNrtqQR)\x85\x86\x87\x88\x89\0"])
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(ON_DISK, max_examples=150)
def test_so_are_damaged_ones(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SEED)
    for place, value in flips:
        content[BEGIN + place] = value
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    assert outcome(path) == one_by_one(path)


def test_every_byte_of_one_tensor_counts(tmp_path: Path) -> None:
    """Changed by one, each byte has the effect that its own opcode gives it."""
    path = tmp_path / "damaged.pt"
    end = PROGRAM.index(b"layers.49.weight")
    for place in range(IN_ONE_STEP, end):
        content = bytearray(SEED)
        content[BEGIN + place] = (content[BEGIN + place] + 1) % 256
        path.write_bytes(content)
        assert outcome(path) == one_by_one(path), place - IN_ONE_STEP
