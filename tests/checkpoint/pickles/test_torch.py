"""torch itself as the oracle: what it saves we read as it loads it."""

from __future__ import annotations

import random
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.checkpoint import Checkpoint, StoredBytes, TensorRecord, open_checkpoint, read_bytes, select_tensors
from zoo.checkpoint.records import StridedBytes
from zoo.errors import CheckpointError

ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
}


def elements(record: TensorRecord) -> bytes:
    return b"".join(map(bytes, read_bytes(record)))


def plain(tensor: torch.Tensor) -> bytes:
    """The elements, row-major and little-endian."""
    made = tensor.detach().clone(memory_format=torch.contiguous_format)
    return made.reshape(-1).view(torch.uint8).numpy().tobytes() if made.numel() else b""


def tensors_of(value: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield prefix[:-1] or "tensor", value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of(item, f"{prefix}{key}.")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from tensors_of(item, f"{prefix}{number}.")


def assert_same(checkpoint: Checkpoint, loaded: Any) -> None:
    expected = dict(tensors_of(loaded))
    assert list(checkpoint) == list(expected)
    for name, tensor in expected.items():
        record = checkpoint[name]
        assert record.dtype.name == DTYPES[tensor.dtype]
        assert record.shape == tuple(tensor.shape)
        assert elements(record) == plain(tensor)


@st.composite
def views(draw: st.DrawFn) -> list[torch.Tensor]:
    """Views of one storage, or of their own: slices, steps, transposes, expanded, empty, without dimensions."""
    dtype = draw(st.sampled_from(sorted(DTYPES, key=str)))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    count = int(np.prod(shape, dtype=int))
    size = max(1, torch.empty((), dtype=dtype).element_size())
    content = draw(st.randoms(use_true_random=False)).randbytes(count * size)
    if dtype is torch.bool:
        content = bytes(byte & 1 for byte in content)
    base = torch.frombuffer(bytearray(content), dtype=dtype) if count else torch.empty(0, dtype=dtype)
    base = base.reshape(shape)
    found = [base]
    for _ in range(draw(st.integers(0, 3))):
        view = found[draw(st.integers(0, len(found) - 1))]
        kind = draw(st.sampled_from(["transpose", "slice", "step", "expand", "same", "select", "flip"]))
        axis = draw(st.integers(0, view.ndim - 1)) if view.ndim else 0
        if kind == "transpose" and view.ndim > 1:
            view = view.transpose(axis, draw(st.integers(0, view.ndim - 1)))
        elif kind == "slice" and view.ndim:
            view = view.narrow(axis, 0, draw(st.integers(0, view.shape[axis])))
        elif kind == "step" and view.ndim:
            view = view[(slice(None),) * axis + (slice(None, None, 2),)]
        elif kind == "expand":
            view = view.unsqueeze(0).expand(draw(st.integers(1, 3)), *view.shape)
        elif kind == "select" and view.ndim and view.shape[axis]:
            view = view.select(axis, draw(st.integers(0, view.shape[axis] - 1)))
        found.append(view)
    return found


LEAVES = st.one_of(views(), st.integers(), st.text(max_size=3), st.none(), st.floats(), st.binary(max_size=9))
KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0."), min_size=1, max_size=8)
OBJECTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), st.tuples(inner, inner)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


@given(value=OBJECTS, protocol=st.integers(1, 5), zipped=st.booleans())
@settings(ON_DISK, max_examples=200)
def test_we_read_what_torch_saves(tmp_path: Path, value: Any, protocol: int, zipped: bool) -> None:
    path = tmp_path / "x.pt"
    # torch writes persistent ids as text in protocol 0, which it can't read itself.
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    expected = dict(tensors_of(value))
    if not expected:
        with pytest.raises(CheckpointError, match="holds no tensors"):
            select_tensors(open_checkpoint(path))
        return
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, value)
    if zipped:  # torch can't load its own legacy files with the newer element types
        assert_same(checkpoint, torch.load(path, weights_only=False))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_every_element_type(tmp_path: Path, protocol: int, zipped: bool) -> None:
    path = tmp_path / "x.pt"
    value = {str(dtype): torch.zeros(2, 3).to(dtype) for dtype in DTYPES}
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert_same(open_checkpoint(path), value)


def test_contiguous_tensors_are_left_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    base = torch.arange(24.0).reshape(2, 3, 4)
    torch.save({"whole": base, "row": base[1], "column": base[:, 0], "one": base[:, :, :1], "ones": base[:1]}, path)
    kinds = {name: type(record.data) for name, record in open_checkpoint(path).items()}
    assert kinds == {
        "whole": StoredBytes,
        "row": StoredBytes,
        "column": StridedBytes,
        "one": StridedBytes,
        "ones": StoredBytes,
    }


def test_strides_of_single_and_empty_dimensions_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(
        {
            "single": torch.ones(1, 4).as_strided((1, 4), (77, 1)),
            "empty": torch.ones(4).as_strided((0, 4), (1, 9)),
            "scalar": torch.tensor(3.0),
        },
        path,
    )
    checkpoint = open_checkpoint(path)
    assert all(isinstance(record.data, StoredBytes) for record in checkpoint.values())
    assert_same(checkpoint, torch.load(path, weights_only=True))


def test_ties_are_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    weight = nn.Parameter(torch.ones(2, 2))
    torch.save({"embed": weight, "head": weight, "view": weight.detach()[:]}, path)
    checkpoint = open_checkpoint(path)
    assert checkpoint["embed"].data == checkpoint["head"].data == checkpoint["view"].data


def test_storages_in_the_other_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a big-endian machine, made by reversing what torch then reverses back when it loads."""
    path = tmp_path / "x.pt"
    value = {
        "f": torch.arange(5.0),
        "i": torch.arange(5),
        "h": torch.ones(3, dtype=torch.float16),
        "b": torch.ones(3) > 0,
    }
    swapped = {
        name: torch.frombuffer(bytearray(tensor.numpy().byteswap().tobytes()), dtype=tensor.dtype)
        for name, tensor in value.items()
    }
    monkeypatch.setattr("sys.byteorder", "big")
    torch.save(swapped, path)
    monkeypatch.undo()
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, torch.load(path, weights_only=True))
    assert_same(checkpoint, value)
    assert isinstance(checkpoint["b"].data, StoredBytes), "single bytes have no order"


def test_zip_files_of_the_first_generations_are_little_endian_whoever_wrote_them(tmp_path: Path) -> None:
    """Before torch 2.1 there was no entry `byteorder`, and the version was 3 at most; torch takes them for little."""
    path, old = tmp_path / "x.pt", tmp_path / "old.pt"
    value = {"f": torch.arange(5.0), "i": torch.arange(5)}
    torch.save(value, path)
    rewritten(path, old, version=b"3\n")
    assert_same(open_checkpoint(old), torch.load(old, weights_only=True))
    assert_same(open_checkpoint(old), value)


@pytest.mark.parametrize("version", [b"2\n", b"3\n"])
def test_older_zip_files_of_big_endian_machines(tmp_path: Path, version: bytes) -> None:
    """A file of version 3 may say its byte order, and torch goes by that alone."""
    path, old = tmp_path / "x.pt", tmp_path / "old.pt"
    value = {
        "f": torch.arange(5.0),
        "i": torch.arange(5),
        "b": torch.ones(3) > 0,
        "z": torch.ones(2, 3).to(torch.bfloat16),
    }
    swapped = {
        name: torch.frombuffer(bytearray(reversed_units(tensor)), dtype=tensor.dtype) for name, tensor in value.items()
    }
    torch.save({name: tensor.view(value[name].shape) for name, tensor in swapped.items()}, path)
    rewritten(path, old, version=version, byteorder=b"big")
    assert_same(open_checkpoint(old), torch.load(old, weights_only=True))
    assert_same(open_checkpoint(old), value)


def reversed_units(tensor: torch.Tensor) -> bytes:
    content, size = bytes(tensor.contiguous().view(torch.uint8).flatten().tolist()), tensor.element_size()
    return b"".join(content[place : place + size][::-1] for place in range(0, len(content), size))


def rewritten(source: Path, target: Path, version: bytes, byteorder: bytes | None = None) -> None:
    """The archive with another version and byte order, or none, as programs before this torch's wrote it."""
    with zipfile.ZipFile(source) as new, zipfile.ZipFile(target, "w") as old:
        for name in new.namelist():
            content = {"version": version, "byteorder": byteorder}.get(name.rpartition("/")[2], new.read(name))
            if content is not None and not name.endswith(("/.format_version", "/.storage_alignment")):
                old.writestr(name, content)


def test_what_safetensors_cannot_hold_is_refused_tensor_by_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised tensors are on their way out of torch, not out of old files
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save(
        {
            "good": torch.ones(3),
            "quantised": quantised,
            "sparse": torch.eye(3).to_sparse(),
            "meta": torch.empty(3, device="meta"),
            "wide": torch.ones(3, dtype=torch.complex128),
            "conjugated": torch.ones(3, dtype=torch.complex64).conj(),
            "also": torch.zeros(2),
        },
        path,
    )
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["good", "also"]
    assert list(checkpoint.unsupported) == ["quantised", "sparse", "meta", "wide", "conjugated"]
    assert "quantised" in checkpoint.unsupported["quantised"]
    assert "complex128" in checkpoint.unsupported["wide"]
    assert checkpoint.code is not None and not checkpoint.code.runs_code


def test_parameters_buffers_and_tensors_with_attributes(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    marked = torch.ones(2)
    marked.note = "hello"  # type: ignore[attr-defined]
    parameter = nn.Parameter(torch.ones(2))
    parameter.note = "hello"  # type: ignore[attr-defined]
    value = {
        "parameter": nn.Parameter(torch.ones(3)),
        "marked": marked,
        "both": parameter,
        "buffer": nn.Buffer(torch.ones(1)),
    }
    torch.save(value, path)
    assert_same(open_checkpoint(path), value)


def test_ordered_dictionaries_with_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    state = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    assert isinstance(state, OrderedDict) and state._metadata  # type: ignore[attr-defined]
    for zipped in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        assert_same(open_checkpoint(path), state)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.shared = self.first
        self.blocks = nn.ModuleList([nn.BatchNorm1d(3), nn.Conv2d(1, 2, 3)])
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_parameter("absent", None)
        self.attribute = torch.ones(5)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_whole_modules(tmp_path: Path, protocol: int, zipped: bool) -> None:
    path = tmp_path / "x.pt"
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of source code that can't be found
        torch.save(net, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, net.state_dict())
    assert checkpoint.selection is not None and checkpoint.selection.path == ""
    assert checkpoint.code is not None and checkpoint.code.runs_code


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("size", [4, 40_000])
def test_numpy_arrays_inside(tmp_path: Path, protocol: int, zipped: bool, size: int) -> None:
    path = tmp_path / "x.pt"
    value = {
        "weight": torch.ones(2),
        "floats": np.arange(size, dtype=np.float64),
        "big": np.arange(size, dtype=">f4"),
        "columns": np.asfortranarray(np.arange(2 * size, dtype=np.int16).reshape(2, size)),
        "cube": np.asfortranarray(np.arange(6 * size, dtype=np.uint8).reshape(2, size, 3)),
        "flags": np.zeros(size, dtype=bool),
        "scalar": np.float32(3.5),
        "integer": np.int64(-7),
        "objects": np.array([None, "x"], dtype=object),
        "words": np.array(["abc", "de"]),
    }
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    assert sorted(checkpoint.unsupported) == ["objects", "words"]
    assert sorted(checkpoint) == sorted(set(value) - {"objects", "words"})
    for name in set(checkpoint) - {"weight"}:
        array = np.asarray(value[name])
        assert checkpoint[name].shape == array.shape
        assert elements(checkpoint[name]) == array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert checkpoint.code is not None and not checkpoint.code.runs_code


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_arrays_that_are_alike_are_not_the_same(tmp_path: Path, protocol: int, zipped: bool) -> None:
    """Small ones are inside the pickle, with no place of their own to tell them apart by."""
    path = tmp_path / "x.pt"
    shared = np.float32([7, 8, 9])
    value = {
        "a": np.float32([1, 2, 3]),
        "b": np.float32([4, 5, 6]),
        "same": np.float32([1, 2, 3]),
        "shared": shared,
        "tied": {"to it": shared},
        "scalar": np.float32(1),
        "other": np.float32(2),
        "w": torch.ones(4, 4),
    }
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    again = open_checkpoint(path)
    for name, record in checkpoint.items():
        equals = [other for other, its in checkpoint.items() if its.data == record.data]
        assert equals == (["shared", "tied.to it"] if name in ("shared", "tied.to it") else [name])
        assert hash(record) == hash(again[name])
        assert record == again[name]
    assert elements(checkpoint["a"]) == np.float32([1, 2, 3]).tobytes()
    assert elements(checkpoint["b"]) == np.float32([4, 5, 6]).tobytes()
    assert elements(checkpoint["tied.to it"]) == shared.tobytes()


def test_the_same_bytes_in_another_order_are_not_the_same(tmp_path: Path, asm: SimpleNamespace) -> None:
    """Arrays that refer to one memoised text, of which one has columns first."""

    def array(order: bytes) -> bytes:
        kind = asm.call(asm.global_("numpy", "dtype"), asm.text("u1"))
        content = asm.call(asm.global_("_codecs", "encode"), b"h\x07", asm.text("latin1"))
        shape = asm.tuple_(asm.integer(300), asm.integer(300))
        made = asm.call(asm.global_("numpy.core.multiarray", "_reconstruct"), asm.global_("numpy", "ndarray"))
        return made + asm.tuple_(asm.integer(1), shape, kind, order, content) + b"b"

    text = "".join(chr(number % 251) for number in range(90_000))
    pairs = asm.mapping((asm.text("rows"), array(b"\x89")), (asm.text("columns"), array(b"\x88")))
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x02" + asm.text(text) + b"q\x070" + pairs + b".")
    checkpoint = open_checkpoint(path)
    assert checkpoint["rows"].data != checkpoint["columns"].data
    rows = np.frombuffer(text.encode("latin1"), np.uint8).reshape(300, 300)
    assert elements(checkpoint["rows"]) == rows.tobytes()
    assert elements(checkpoint["columns"]) == rows.T.tobytes()


@pytest.mark.parametrize("order", ["big-endian", "columns", "big-endian columns"])
def test_arrays_in_another_order_are_held_once(tmp_path: Path, order: str) -> None:
    """In protocol 2 their bytes are spelled as text, which can't be read at any place but from its beginning."""
    path = tmp_path / "x.pt"
    array = np.arange(2_000_000, dtype=">f8" if "big" in order else "<f8").reshape(1000, 2000)
    array = np.asfortranarray(array) if "columns" in order else array
    torch.save({"array": array}, path)
    record = open_checkpoint(path)["array"]
    expected = array.astype("<f8").tobytes()
    tracemalloc.start()
    try:
        position = 0
        for piece in read_bytes(record):
            assert expected[position : position + len(piece)] == bytes(piece)
            position += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert position == len(expected)
    # Three of the largest pieces, two of them in this test.
    assert peak < (len(expected) if "columns" in order else 0) + 13 * 2**20


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("zipped", [True, False])
def test_bare_storages_are_named(tmp_path: Path, zipped: bool) -> None:
    """A storage has bytes, but nothing says what shape they are in; migrating leaves nothing behind in silence."""
    path = tmp_path / "x.pt"
    value = {
        "w": torch.ones(4),
        "typed": torch.arange(3.0).storage(),
        "untyped": {"list": [torch.arange(3).untyped_storage()]},
    }
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["w"]
    assert dict(checkpoint.unsupported) == dict.fromkeys(
        ["typed", "untyped.list.0"], "it is a bare storage, without a shape"
    )
    assert list(select_tensors(checkpoint).unsupported) == ["typed", "untyped.list.0"]
    torch.save(torch.arange(3.0).untyped_storage(), path, _use_new_zipfile_serialization=zipped)
    assert list(open_checkpoint(path).unsupported) == ["tensor"]


def test_plain_pickles_of_arrays(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "weights.pkl"
    value = {"w": np.arange(300_000, dtype=np.float32).reshape(3, -1), "b": np.ones(3)}
    for protocol in (2, 3, 4, 5):
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        checkpoint = open_checkpoint(path)
        assert {name: elements(record) for name, record in checkpoint.items()} == {
            name: array.tobytes() for name, array in value.items()
        }
        if protocol > 2:
            assert isinstance(checkpoint["w"].data, StoredBytes), "long arrays are left in the file"


def training_checkpoint() -> dict[str, Any]:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "best": torch.tensor(0.5),
        "state_dict": net.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"gamma": torch.ones(7)}],
        "callbacks": {"EarlyStopping": {"best_score": torch.ones(9)}},
        "rng_state": torch.get_rng_state(),
        "hyper_parameters": {"lr": 0.1, "layers": [1, 2]},
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_training_checkpoints(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "x.ckpt"
    value = training_checkpoint()
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, value)
    assert checkpoint.selection is not None
    assert checkpoint.selection.path == "state_dict"
    assert set(checkpoint.selection.left_out) == {"best", "rng_state", "optimizer_states", "lr_schedulers", "callbacks"}
    assert_same(select_tensors(checkpoint), value["state_dict"])


def test_files_that_hold_no_tensor_say_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "training_args.bin"
    torch.save(random.Random(0), path)
    with pytest.raises(CheckpointError, match=r"an instance of 'random\.Random'"):
        select_tensors(open_checkpoint(path))
    torch.save({"gamma": 0.1, "last_epoch": 3}, path)
    with pytest.raises(CheckpointError, match=r"a dictionary of 'gamma', 'last_epoch'"):
        select_tensors(open_checkpoint(path))


def test_large_files_are_not_read(tmp_path: Path) -> None:
    """A storage of 8 GB that is a hole in the file."""
    path = tmp_path / "x.pt"
    with torch.serialization.skip_data():
        torch.save({"w": torch.empty(2**31, dtype=torch.float32)}, path)
    record = open_checkpoint(path)["w"]
    assert record.nbytes == 2**33
