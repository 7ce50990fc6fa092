"""Tensors as torch pickles them: a storage in the file, and a view of it. See torch/_utils.py and torch/_tensor.py."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, NoReturn, TypeGuard

from zoo.checkpoint.describe import found, quoted, shown_path
from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.pickles.inert import Call, Global, Inert, Rebuild, note_planted
from zoo.checkpoint.records import StoredBytes, StridedBytes, TensorRecord
from zoo.checkpoint.rules import MAX_RANK, shape_problem
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

__all__ = [
    "DTYPES",
    "REBUILDS",
    "STORAGES",
    "TENSOR_CLASSES",
    "Element",
    "Storage",
    "Tensor",
    "Unreadable",
    "is_size",
    "storage_element",
    "tensor_record",
]


class Element(NamedTuple):
    """An element type of torch. dtype: None where safetensors has none. unit: bytes that big-endian files reverse."""

    label: str
    dtype: DType | None
    itemsize: int
    unit: int


def _element(label: str, dtype: DType | None, itemsize: int, unit: int | None = None) -> Element:
    return Element(label, dtype, itemsize, itemsize if unit is None else unit)


_BY_LABEL = {
    element.label: element
    for element in (
        _element("bool", DType.BOOL, 1),
        _element("uint8", DType.U8, 1),
        _element("int8", DType.I8, 1),
        _element("uint16", DType.U16, 2),
        _element("int16", DType.I16, 2),
        _element("uint32", DType.U32, 4),
        _element("int32", DType.I32, 4),
        _element("uint64", DType.U64, 8),
        _element("int64", DType.I64, 8),
        _element("float16", DType.F16, 2),
        _element("bfloat16", DType.BF16, 2),
        _element("float32", DType.F32, 4),
        _element("float64", DType.F64, 8),
        _element("float8_e5m2", DType.F8_E5M2, 1),
        _element("float8_e4m3fn", DType.F8_E4M3, 1),
        _element("float8_e5m2fnuz", DType.F8_E5M2FNUZ, 1),
        _element("float8_e4m3fnuz", DType.F8_E4M3FNUZ, 1),
        _element("float8_e8m0fnu", DType.F8_E8M0, 1),
        _element("float4_e2m1fn_x2", DType.F4, 1),
        _element("complex64", DType.C64, 8, unit=4),
        _element("complex32", None, 4, unit=2),
        _element("complex128", None, 16, unit=8),
        _element("qint8", None, 1),
        _element("quint8", None, 1),
        _element("qint32", None, 4),
        _element("quint4x2", None, 1),
        _element("quint2x4", None, 1),
        _element("bits8", None, 1),
        _element("bits16", None, 2),
        _element("bits1x8", None, 1),
        _element("bits2x4", None, 1),
        _element("bits4x2", None, 1),
        *(_element(f"{sign}int{bits}", None, 1) for sign in ("", "u") for bits in range(1, 8)),
    )
}

DTYPES: dict[tuple[str, str], Element] = {("torch", label): element for label, element in _BY_LABEL.items()}
"""torch.float32 and its kin, by (module, name)."""

# torch writes one inside of another at most.
_DEEPEST_TYPES = 4

# Neither torch nor a file can have as many of anything.
_END_OF_INTEGERS = 2**63

_STORAGE_LABELS = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}

STORAGES: dict[tuple[str, str], Element] = {
    **{
        (module, name): _BY_LABEL[label]
        for module in ("torch", "torch.cuda", "torch.storage")
        for name, label in _STORAGE_LABELS.items()
    },
    ("torch.storage", "UntypedStorage"): _BY_LABEL["uint8"],
    ("torch.storage", "_UntypedStorage"): _BY_LABEL["uint8"],
    ("torch", "UntypedStorage"): _BY_LABEL["uint8"],
}
"""The classes of storages, by (module, name)."""

_TENSOR_LABELS = ("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte", "Bool", "BFloat16")
TENSOR_CLASSES: frozenset[tuple[str, str]] = frozenset(
    {
        *((module, f"{label}Tensor") for module in ("torch", "torch.cuda") for label in _TENSOR_LABELS),
        ("torch", "Tensor"),
        ("torch._tensor", "Tensor"),
        ("torch.tensor", "Tensor"),
    }
)
"""The classes of tensors, by (module, name)."""


class Storage(Inert):
    """The bytes that tensors are views of. offset: where in the file; legacy files say it after the tensors.

    swapped: whether elements are stored big-endian.
    """

    __slots__ = ("element", "key", "nbytes", "offset", "path", "swapped")

    def __init__(
        self, key: str, element: Element, nbytes: int, path: Path, offset: int = -1, swapped: bool = False
    ) -> None:
        self.key = key
        self.element = element
        self.nbytes = nbytes
        self.path = path
        self.offset = offset
        self.swapped = swapped


class Tensor(Inert):
    """A view of a storage, in elements, as the pickle says it; nothing of it is checked yet.

    element: None for that of the storage. metadata: flags of the view, for instance that it is conjugated.
    """

    __slots__ = ("element", "metadata", "offset", "size", "storage", "stride")

    def __init__(
        self,
        storage: object = None,
        offset: object = 0,
        size: object = (0,),
        stride: object = (1,),
        element: Element | None = None,
        metadata: object = None,
    ) -> None:
        self.storage = storage
        self.offset = offset
        self.size = size
        self.stride = stride
        self.element = element
        self.metadata = metadata

    def build(self, state: object) -> None:
        """`torch.Tensor.__setstate__`: before torch 0.4 the view itself was the state."""
        if isinstance(state, tuple) and len(state) == 4:
            self.storage, self.offset, self.size, self.stride = state
        elif isinstance(state, tuple) and len(state) == 5 and isinstance(state[0], Tensor):
            data = state[0]
            self.storage, self.offset, self.size, self.stride = data.storage, data.offset, data.size, data.stride
            self.element, self.metadata = data.element, data.metadata

    @property
    def is_scalar(self) -> bool:
        """Whether it has at most one element; such are counters and metrics more often than parameters."""
        size = self.size
        return not isinstance(size, (tuple, list)) or (len(size) <= MAX_RANK and size.count(1) == len(size))


class Unreadable(Inert):
    """A tensor that is there but is not read. reason: why. children of it are not looked at."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def build(self, state: object) -> None:
        return None


class _Broken(Unreadable):
    """A tensor whose description is none that torch could have written."""

    __slots__ = ()


def is_size(value: object) -> TypeGuard[int]:
    """Whether a value out of a pickle can count elements."""
    return type(value) is int and 0 <= value < _END_OF_INTEGERS


def storage_element(storage_type: object, key: object, path: Path) -> Element:
    """The element type of a class of storages that a persistent id names. key: of the storage, for the message.

    Raises UnsupportedFeature when it is none that is known.
    """
    if not isinstance(storage_type, Global):
        kind = found(storage_type)
    else:
        element = STORAGES.get((storage_type.module, storage_type.name))
        if element is not None:
            return element
        kind = quoted(f"{storage_type.module}.{storage_type.name}")
    raise UnsupportedFeature(f"{shown_path(path)}: storage {found(key)} is of an unknown type: {kind}.")


# What the functions mean that torch has tensors rebuilt by. Arguments are as torch writes them, or the tensor is
# broken; that is said when it is listed, and by its name.


def _v2(args: tuple[object, ...]) -> object:
    if len(args) < 4:
        return _Broken(f"_rebuild_tensor with {len(args)} arguments")
    return Tensor(args[0], args[1], args[2], args[3], None, args[6] if len(args) > 6 else None)


def _v3(args: tuple[object, ...]) -> object:
    if len(args) < 7 or not isinstance(args[6], Global):
        return _Broken("_rebuild_tensor_v3 without an element type")
    element = DTYPES.get((args[6].module, args[6].name))
    if element is None:
        return Unreadable(f"its element type {quoted(f'{args[6].module}.{args[6].name}')} is unknown")
    return Tensor(args[0], args[1], args[2], args[3], element, args[7] if len(args) > 7 else None)


def _first(args: tuple[object, ...]) -> object:
    """A parameter is its data. A state, where there is one, is set as attributes."""
    if len(args) > 3:
        note_planted(args[3])
    if not args:
        return Tensor()
    if isinstance(args[0], (Tensor, Unreadable)):
        return args[0]
    return Unreadable("it is made from something other than a stored tensor")


def _device(args: tuple[object, ...]) -> object:
    """Tensors of devices without storages (XLA): data, and the type that they are cast to."""
    if len(args) < 2 or not isinstance(args[1], Global):
        return _Broken("a tensor of a device without an element type")
    data, element = args[0], DTYPES.get((args[1].module, args[1].name))
    if not isinstance(data, Tensor):
        return Unreadable("it is a tensor of a device that was stored by way of numpy")
    actual = data.element or (data.storage.element if isinstance(data.storage, Storage) else None)
    return data if element == actual else Unreadable("it is stored in another element type than it has")


def _from_type(args: tuple[object, ...]) -> object:
    """A subclass, or a tensor with attributes: (function, class, its arguments, state). Calls what it is given."""
    function: object = None
    for _ in range(_DEEPEST_TYPES):
        if len(args) < 3 or not isinstance(args[2], tuple):
            return _Broken("_rebuild_from_type without arguments")
        for part in args[:2]:
            if isinstance(part, Global):
                part.called = True
        if len(args) > 3:
            note_planted(args[3])
        function, args = args[0], args[2]
        if not isinstance(function, Global) or function.rebuild is not _from_type:
            break
    else:
        return Unreadable("it is a subclass of a subclass, and so on, which torch never writes")
    if isinstance(function, Global) and function.rebuild is not None:
        return function.rebuild(args)
    return Call(function, args)


def _wrapper(args: tuple[object, ...]) -> object:
    return Unreadable("it is a wrapper around other tensors")


def _refuse(reason: str) -> Rebuild:
    return lambda args: Unreadable(reason)


def _size(args: tuple[object, ...]) -> object:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else ()


_QUANTISED = _refuse("it is quantised: its elements mean something only with a scale and a zero point")

REBUILDS: dict[tuple[str, str], Rebuild] = {
    ("torch._utils", "_rebuild_tensor"): _v2,
    ("torch._utils", "_rebuild_tensor_v2"): _v2,
    ("torch._utils", "_rebuild_tensor_v3"): _v3,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._utils", "_rebuild_qtensor"): _QUANTISED,
    ("torch._utils", "_rebuild_sparse_tensor"): _refuse("it is sparse"),
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _refuse("it is sparse"),
    ("torch._utils", "_rebuild_nested_tensor"): _refuse("it is nested: its rows differ in shape"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _refuse("it is on the meta device: it has no elements"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _device,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _device,
    ("torch._utils", "_rebuild_xla_tensor"): _device,
    ("torch._utils", "_rebuild_wrapper_subclass"): _wrapper,
    ("torch._tensor", "_rebuild_from_type"): _from_type,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    ("torch.tensor", "_rebuild_from_type"): _from_type,
    ("torch.tensor", "_rebuild_from_type_v2"): _from_type,
    ("torch.nn.parameter", "Parameter"): _first,
    ("torch.nn.parameter", "Buffer"): _first,
    ("torch", "Size"): _size,
    **dict.fromkeys(TENSOR_CLASSES, _first),
}
"""What calling a global means, by (module, name)."""


def tensor_record(name: str, tensor: Tensor | Unreadable, path: Path) -> TensorRecord | str:
    """The record of a tensor, or why it can't be read. path: the file that describes it.

    Raises MalformedCheckpoint when it is no view of its storage.
    """
    if isinstance(tensor, Unreadable):
        if isinstance(tensor, _Broken):
            _malformed(path, name, tensor.reason)
        return tensor.reason
    storage = tensor.storage
    if not isinstance(storage, Storage):
        _malformed(path, name, f"expected a storage, found {_shown(storage)}")
    element = tensor.element or storage.element
    size, stride, offset = tensor.size, tensor.stride, tensor.offset
    if not isinstance(size, (tuple, list)) or not isinstance(stride, (tuple, list)):
        _malformed(path, name, f"expected a shape and strides, found {_shown(size)} and {_shown(stride)}")
    # First of all: a shape of a million dimensions may be shared by a million tensors.
    if len(size) > MAX_RANK:
        _malformed(path, name, f"it has {len(size)} dimensions, more than {MAX_RANK}")
    if len(size) != len(stride):
        _malformed(path, name, f"its shape has {len(size)} dimensions, its strides {len(stride)}")
    size, stride = tuple(size), tuple(stride)
    for number in (offset, *size, *stride):
        if type(number) is not int or not 0 <= number < _END_OF_INTEGERS:
            _malformed(path, name, f"offset, shape and strides must be integers of at least 0, found {_shown(number)}")
    assert isinstance(offset, int)
    if storage.offset < 0:
        _malformed(path, name, f"its storage {quoted(storage.key)} is not in the file")
    if element.dtype is None:
        return f"its element type torch.{element.label} has no counterpart in safetensors"
    if tensor.metadata:
        flags = tensor.metadata
        if not isinstance(flags, dict):
            _malformed(path, name, f"expected flags of the view, found {_shown(flags)}")
        if any(flags.get(flag) for flag in ("conj", "neg")):
            return "it is a view that conjugates or negates what is stored"
    itemsize = element.itemsize
    expected = 1
    last = offset
    contiguous = True
    for length, step in zip(size[::-1], stride[::-1], strict=True):
        if length != 1:
            contiguous = contiguous and step == expected
            last += (length - 1) * step
        expected *= length
    if not 0 < expected * itemsize < _END_OF_INTEGERS:
        problem = shape_problem(itemsize * 8, size)
        if problem is not None:
            _malformed(path, name, problem)
    if not expected:
        return TensorRecord(
            name, element.dtype, _true_shape(element, size), StoredBytes(storage.path, storage.offset, 0)
        )
    if (last + 1) * itemsize > storage.nbytes:
        _malformed(
            path,
            name,
            f"it reaches to byte {(last + 1) * itemsize} of its storage {quoted(storage.key)}, "
            f"which has {storage.nbytes}",
        )
    begin = storage.offset + offset * itemsize
    swapped = element.unit if storage.swapped and element.unit > 1 else 0
    if contiguous and not swapped:
        return TensorRecord(
            name, element.dtype, _true_shape(element, size), StoredBytes(storage.path, begin, expected * itemsize)
        )
    if element.dtype is DType.F4:
        return "it is no contiguous view, and its elements are stored in pairs"
    strides = tuple(0 if length == 1 else step for length, step in zip(size, stride, strict=True))
    return TensorRecord(
        name,
        element.dtype,
        size,
        StridedBytes(storage.path, begin, (last + 1 - offset) * itemsize, itemsize, size, strides, swapped),
    )


def _true_shape(element: Element, size: tuple[int, ...]) -> tuple[int, ...]:
    """Of four-bit floats torch counts pairs, safetensors single elements."""
    return (*size[:-1], size[-1] * 2) if element.dtype is DType.F4 and size else size


def _shown(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, Inert) else found(value)


def _malformed(path: Path, name: str, problem: str) -> NoReturn:
    raise MalformedCheckpoint(f"{shown_path(path)}: tensor {quoted(name)}: {problem}.")
