"""Pickles and zip archives put together opcode by opcode and field by field, right or wrong."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def text(value: str) -> bytes:
    """BINUNICODE."""
    content = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def global_(module: str, name: str) -> bytes:
    """GLOBAL."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(callee: bytes, *args: bytes) -> bytes:
    """REDUCE."""
    return callee + b"(" + b"".join(args) + b"tR"


def integer(value: int) -> bytes:
    """BININT, or LONG1 where that is too small."""
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def mapping(*pairs: tuple[bytes, bytes]) -> bytes:
    """EMPTY_DICT and SETITEMS."""
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def tuple_(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(key: str = "0", elements: int = 4, kind: str = "FloatStorage") -> bytes:
    """BINPERSID of a storage."""
    return tuple_(text("storage"), global_("torch", kind), text(key), text("cpu"), integer(elements)) + b"Q"


def tensor(
    size: Sequence[int] = (4,), stride: Sequence[int] = (1,), offset: int = 0, held: bytes | None = None
) -> bytes:
    """A call of torch's own function."""
    return call(
        global_("torch._utils", "_rebuild_tensor_v2"),
        storage() if held is None else held,
        integer(offset),
        tuple_(*map(integer, size)),
        tuple_(*map(integer, stride)),
        b"\x89",
        call(global_("collections", "OrderedDict")),
    )


@pytest.fixture
def asm() -> SimpleNamespace:
    """The assembler: each function gives the opcodes that push one object."""
    return SimpleNamespace(
        call=call,
        global_=global_,
        integer=integer,
        mapping=mapping,
        storage=storage,
        tensor=tensor,
        text=text,
        tuple_=tuple_,
    )


@dataclass
class ZipEntry:
    """An entry, and what its headers say where that is not the truth. local, central: field -> value."""

    name: bytes
    content: bytes
    flags: int = 0x808
    method: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    descriptor: bytes | None = None
    extra: bytes = b""
    gap: bytes = b""


def archive(
    entries: Sequence[ZipEntry],
    *,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    end: dict[str, int] | None = None,
) -> bytes:
    """The bytes of an archive as torch lays it out."""
    data, directory = bytearray(before), bytearray()
    for entry in entries:
        data += entry.gap
        crc, size = zlib.crc32(entry.content), len(entry.content)
        described = bool(entry.flags & 8)
        told = {
            "flags": entry.flags,
            "method": entry.method,
            "crc": 0 if described else crc,
            "size": 0 if described else size,
            "unpacked": 0 if described else size,
            "name": entry.name,
            **entry.local,
        }
        offset = len(data)
        data += struct.pack(
            "<4s5H3I2H",
            b"PK\x03\x04", 0, told["flags"], told["method"], 0, 0,
            told["crc"], told["size"], told["unpacked"], len(told["name"]), len(entry.extra),
        )  # fmt: skip
        data += told["name"] + entry.extra + entry.content
        if described:
            own = struct.pack("<4s3I", b"PK\x07\x08", crc, size, size)
            data += own if entry.descriptor is None else entry.descriptor
        listed = {
            "flags": entry.flags,
            "method": entry.method,
            "crc": crc,
            "size": size,
            "unpacked": size,
            "offset": offset,
            "disk": 0,
            "name": entry.name,
            **entry.central,
        }
        directory += struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02", 0, 0, listed["flags"], listed["method"], 0, 0,
            listed["crc"], listed["size"], listed["unpacked"], len(listed["name"]), 0, 0,
            listed["disk"], 0, 0, listed["offset"],
        )  # fmt: skip
        directory += listed["name"]
    data += between
    number = len(entries) if count is None else count
    fields = {"disk": 0, "here": number, "total": number, "length": len(directory), "begin": len(data), **(end or {})}
    data += directory
    data += struct.pack(
        "<4s4H2IH",
        b"PK\x05\x06", fields["disk"], 0, fields["here"], fields["total"],
        fields["length"], fields["begin"], len(comment),
    )  # fmt: skip
    return bytes(data + comment + after)


@pytest.fixture
def zips() -> SimpleNamespace:
    """The archiver: `Entry`, `archive(entries, ...)`, and the entries of a right file with one tensor."""

    def right(pickle: bytes | None = None) -> list[ZipEntry]:
        program = b"\x80\x02" + mapping((text("weight"), tensor())) + b"." if pickle is None else pickle
        return [
            ZipEntry(b"m/data.pkl", program),
            ZipEntry(b"m/byteorder", b"little"),
            ZipEntry(b"m/data/0", struct.pack("<4f", 1, 2, 3, 4)),
            ZipEntry(b"m/version", b"3\n"),
        ]

    return SimpleNamespace(Entry=ZipEntry, archive=archive, right=right)


@pytest.fixture
def write_program(tmp_path: Path, zips: SimpleNamespace) -> Callable[..., Path]:
    """Write opcodes as the pickle of a zip checkpoint with a storage of four floats, or as a file of their own."""

    def write(program: bytes, *, container: str = "zip", protocol: int = 2) -> Path:
        pickle = bytes([0x80, protocol]) + program + b"."
        path = tmp_path / f"{container}.pt"
        if container == "zip":
            path.write_bytes(zips.archive(zips.right(pickle)))
        elif container == "legacy":
            header = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
            keys = b"\x80\x02](" + text("0") + b"e."
            path.write_bytes(header + pickle + keys + struct.pack("<q4f", 4, 1, 2, 3, 4))
        else:
            path.write_bytes(pickle)
        return path

    return write


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A path that payloads would create. After the test: it is not there, and nothing has been imported or changed."""
    path = tmp_path / "canary"
    modules, environment, arguments = set(sys.modules), dict(os.environ), list(sys.argv)
    yield path
    assert not path.exists(), "a payload was executed"
    # What zoo and the test itself need is imported on the way; nothing that payloads name is.
    named = {"antigravity", "ctypes.wintypes", "pip", "runpy", "this", "torch.hub", "webbrowser", "xmlrpc.client"}
    assert not named & (set(sys.modules) - modules), "a payload was imported"
    assert dict(os.environ) == {**environment, "PYTEST_CURRENT_TEST": os.environ["PYTEST_CURRENT_TEST"]}
    assert sys.argv == arguments
