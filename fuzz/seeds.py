"""What the fuzzers start from: small right files of each format, made without torch."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping

__all__ = ["seeds"]

_FLOATS = struct.pack("<4f", 1, 2, 3, 4)
_LEGACY_HEADER = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
_STORAGE = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
_VIEW = b"K\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
_STATE_DICT = b"\x80\x02}X\x06\x00\x00\x00weightctorch._utils\n_rebuild_tensor_v2\n" + _STORAGE + _VIEW + b"s."
_LONG4 = b"\x8b" + struct.pack("<i", 1024) + b"\x7f" * 1024
_INTEGERS = _STATE_DICT[:-1] + _LONG4 + b"L-" + b"9" * 1000 + b"L\ns."
_ARRAY = (
    b"\x80\x02}X\x01\x00\x00\x00acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\n"
    b"X\x01\x00\x00\x00bX\x06\x00\x00\x00latin1\x86R\x87R(K\x01K\x02\x85cnumpy\ndtype\nX\x02\x00\x00\x00u1K\x00K\x01"
    b"\x87R(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89c_codecs\nencode\n"
    b"X\x02\x00\x00\x00xyX\x06\x00\x00\x00latin1\x86Rtbs."
)


def seeds(target: str) -> Mapping[str, bytes]:
    """The files to start from, by name. target: "pickles" or "safetensors"."""
    if target == "safetensors":
        header = json.dumps(
            {
                "__metadata__": {"format": "pt"},
                "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                "b": {"dtype": "U8", "shape": [], "data_offsets": [16, 17]},
            }
        ).encode()
        return {"two": struct.pack("<Q", len(header)) + header + bytes(17)}
    return {
        "zip": _zip({"data.pkl": _STATE_DICT, "byteorder": b"little", "data/0": _FLOATS, "version": b"3\n"}),
        "script": _zip({"data.pkl": _STATE_DICT, "constants.pkl": b"\x80\x02).", "data/0": _FLOATS, "version": b"3\n"}),
        "legacy": _LEGACY_HEADER + _STATE_DICT + b"\x80\x02](X\x01\x00\x00\x000e." + struct.pack("<q", 4) + _FLOATS,
        "array": _ARRAY,
        "tar": _tar(),
        "integers": _zip({"data.pkl": _INTEGERS, "byteorder": b"little", "data/0": _FLOATS, "version": b"3\n"}),
    }


def _zip(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"m/{name}", content)
    return buffer.getvalue()


def _tar() -> bytes:
    kind = b"ctorch\nFloat"
    members = {
        "storages": b"\x80\x02K\x01.\x80\x02(K\x01X\x03\x00\x00\x00cpu" + kind + b"Storage\nt."
        + struct.pack("<q", 4) + _FLOATS + b"\x80\x02].",
        "tensors": b"\x80\x02K\x01.\x80\x02(K\x02K\x01" + kind + b"Tensor\nt." + struct.pack("<i4x1q1qq", 1, 4, 1, 0),
        "pickle": b"\x80\x02}X\x01\x00\x00\x00wX\x01\x00\x00\x002Qs.",
    }  # fmt: skip
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
