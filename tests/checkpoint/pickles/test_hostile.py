"""Every way from a pickle to a callable ends in a record that the report names, and in nothing else."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.checkpoint import open_checkpoint, select_tensors
from zoo.checkpoint.pickles import modules, tree
from zoo.checkpoint.pickles.arrays import ARRAY_REBUILDS, Array, array_record
from zoo.checkpoint.pickles.inert import Global
from zoo.checkpoint.pickles.tensors import Storage, Tensor, storage_element, tensor_record
from zoo.errors import CheckpointError

Payload = Callable[[SimpleNamespace, bytes, bytes], bytes]
"""(assembler, opcodes that push the canary's path, those that push a shell command) -> opcodes that push one object."""


def called(module: str, name: str, *arguments: str) -> Payload:
    """A REDUCE of a global with text arguments; '@' is the canary's path and '!' the command that makes it."""

    def build(asm: SimpleNamespace, path: bytes, command: bytes) -> bytes:
        known = {"@": path, "!": command}
        return asm.call(asm.global_(module, name), *(known.get(item, asm.text(item)) for item in arguments))

    return build


# What really makes the canary when an unpickler runs it; the control below proves that of each.
LIVE: dict[str, Payload] = {
    "os.system": called("os", "system", "!"),
    "posix.system": called("posix", "system", "!"),
    "os.mkdir": called("os", "mkdir", "@"),
    "builtins.eval": lambda asm, path, command: asm.call(
        asm.global_("builtins", "eval"),
        asm.text("__import__('os').mkdir(P)"),
        asm.mapping((asm.text("P"), path)),
    ),
    "builtins.exec": lambda asm, path, command: asm.call(
        asm.global_("builtins", "exec"), asm.text("import os; os.mkdir(P)"), asm.mapping((asm.text("P"), path))
    ),
    "__builtin__.eval, by its Python 2 name": lambda asm, path, command: asm.call(
        asm.global_("__builtin__", "eval"), asm.text("__import__('os').mkdir(P)"), asm.mapping((asm.text("P"), path))
    ),
    "subprocess.check_output": lambda asm, path, command: asm.call(
        asm.global_("subprocess", "check_output"), b"](" + asm.text("mkdir") + path + b"e"
    ),
    "subprocess.call": lambda asm, path, command: asm.call(
        asm.global_("subprocess", "call"), b"](" + asm.text("mkdir") + path + b"e"
    ),
    "getattr of an imported module": lambda asm, path, command: asm.call(
        asm.call(
            asm.global_("builtins", "getattr"),
            asm.call(asm.global_("importlib", "import_module"), asm.text("os")),
            asm.text("mkdir"),
        ),
        path,
    ),
    "operator.attrgetter": lambda asm, path, command: asm.call(
        asm.call(
            asm.call(asm.global_("operator", "attrgetter"), asm.text("mkdir")),
            asm.call(asm.global_("builtins", "__import__"), asm.text("os")),
        ),
        path,
    ),
    "operator.methodcaller": lambda asm, path, command: asm.call(
        asm.call(asm.global_("operator", "methodcaller"), asm.text("mkdir"), path),
        asm.call(asm.global_("importlib", "import_module"), asm.text("os")),
    ),
    "functools.partial": lambda asm, path, command: asm.call(
        asm.call(asm.global_("functools", "partial"), asm.global_("os", "mkdir"), path)
    ),
    "map in a list": lambda asm, path, command: asm.call(
        asm.global_("builtins", "list"),
        asm.call(asm.global_("builtins", "map"), asm.global_("os", "mkdir"), b"](" + path + b"e"),
    ),
    "timeit": lambda asm, path, command: asm.call(
        asm.global_("timeit", "timeit"),
        asm.text("import os; os.mkdir(P)"),
        asm.text("pass"),
        asm.global_("time", "perf_counter"),
        asm.integer(1),
        asm.mapping((asm.text("P"), path)),
    ),
    "a dotted name": lambda asm, path, command: asm.call(asm.text("shutil") + asm.text("os.mkdir") + b"\x93", path),
    "STACK_GLOBAL": lambda asm, path, command: asm.call(asm.text("os") + asm.text("mkdir") + b"\x93", path),
    "INST": lambda asm, path, command: b"(" + path + b"ios\nmkdir\n",
    "OBJ": lambda asm, path, command: b"(" + asm.global_("os", "mkdir") + path + b"o",
    "NEWOBJ_EX": lambda asm, path, command: (
        asm.global_("pathlib", "Path") + asm.tuple_(path) + b"}\x92" + b"0" + called("os", "mkdir", "@")(asm, path, b"")
    ),
    "BUILD, with a __setstate__ that BUILD planted": lambda asm, path, command: (
        asm.call(asm.global_("collections", "OrderedDict"))
        + asm.mapping((asm.text("__setstate__"), asm.global_("os", "mkdir")))
        + b"b"
        + path
        + b"b"
    ),
    "APPEND, with an append that BUILD planted": lambda asm, path, command: (
        asm.call(asm.global_("collections", "OrderedDict"))
        + asm.mapping((asm.text("append"), asm.global_("os", "mkdir")))
        + b"b"
        + path
        + b"a"
    ),
    "ADDITEMS, with an add that BUILD planted": lambda asm, path, command: (
        asm.call(asm.global_("collections", "OrderedDict"))
        + asm.mapping((asm.text("add"), asm.global_("os", "mkdir")))
        + b"b("
        + path
        + b"\x90"
    ),
    "a result that is thrown away": lambda asm, path, command: called("os", "mkdir", "@")(asm, path, command) + b"0N",
    "a result below a mark that is thrown away": lambda asm, path, command: (
        b"(" + called("os", "mkdir", "@")(asm, path, command) + b"1N"
    ),
    "a memo that is written twice": lambda asm, path, command: (
        asm.global_("collections", "OrderedDict")
        + b"q\x07"
        + asm.global_("os", "mkdir")
        + b"q\x0700h\x07"
        + path
        + b"\x85R"
    ),
    "a far memo": lambda asm, path, command: (
        asm.global_("os", "mkdir") + b"r\x40\x42\x0f\x000j\x40\x42\x0f\x00" + path + b"\x85R"
    ),
    "GET and PUT in text": lambda asm, path, command: asm.global_("os", "mkdir") + b"p77\n0g77\n" + path + b"\x85R",
    "DUP": lambda asm, path, command: asm.global_("os", "mkdir") + b"2" + path + b"\x85R" + b"00N",
    "the key of a dictionary": lambda asm, path, command: asm.mapping(
        (called("os", "getcwd")(asm, path, command), called("os", "mkdir", "@")(asm, path, command))
    ),
    "an argument of a harmless call": lambda asm, path, command: asm.call(
        asm.global_("collections", "OrderedDict"),
        b"](" + asm.tuple_(asm.text("x"), called("os", "mkdir", "@")(asm, path, command)) + b"e",
    ),
    "copyreg._reconstructor": lambda asm, path, command: (
        asm.call(
            asm.global_("copy_reg", "_reconstructor"),
            asm.global_("subprocess", "CompletedProcess"),
            asm.global_("__builtin__", "object"),
            b"N",
        )
        + b"0"
        + called("os", "mkdir", "@")(asm, path, command)
    ),
    "torch calls it to rebuild a tensor": lambda asm, path, command: asm.call(
        asm.global_("torch._tensor", "_rebuild_from_type_v2"),
        asm.global_("os", "mkdir"),
        asm.global_("torch", "Tensor"),
        asm.tuple_(path),
        b"}",
    ),
}

# Not run as a control: they would open browsers and networks, or need what is not installed.
DEAD: dict[str, Payload] = {
    "subprocess.Popen": called("subprocess", "Popen", "!"),
    "NEWOBJ of a class": lambda asm, path, command: asm.global_("subprocess", "Popen") + asm.tuple_(command) + b"\x81",
    "EXT1": lambda asm, path, command: b"\x82\x01" + asm.tuple_(command) + b"R",
    "EXT2": lambda asm, path, command: b"\x83\x01\x02" + asm.tuple_(command) + b"R",
    "EXT4": lambda asm, path, command: b"\x84\x01\x02\x03\x04" + asm.tuple_(command) + b"R",
    "attributes of a function": lambda asm, path, command: (
        asm.global_("shutil", "rmtree") + asm.mapping((asm.text("__code__"), b"N")) + b"b"
    ),
    "items of a module's dictionary": lambda asm, path, command: (
        asm.global_("os", "environ") + asm.text("PATH") + asm.text("/tmp") + b"s"
    ),
    "appending to sys.path": lambda asm, path, command: asm.global_("sys", "path") + path + b"a",
    "importlib.import_module": called("importlib", "import_module", "this"),
    "runpy.run_path": called("runpy", "run_path", "@"),
    "runpy._run_code": called("runpy", "_run_code", "!"),
    "pip.main": called("pip", "main", "install"),
    "pip._internal.main": called("pip._internal", "main", "install"),
    "torch.hub.load": called("torch.hub", "load", "owner/repo", "model"),
    "torch.load": called("torch.serialization", "load", "@"),
    "torch.jit.load": called("torch.jit", "load", "@"),
    "torch.storage._load_from_bytes": called("torch.storage", "_load_from_bytes", "x"),
    "numpy.load": called("numpy", "load", "@"),
    "numpy.testing._private.utils.runstring": called("numpy.testing._private.utils", "runstring", "!"),
    "numpy.ndarray's subclass": lambda asm, path, command: asm.call(
        asm.global_("numpy.core.multiarray", "_reconstruct"),
        asm.global_("evil", "Array"),
        asm.tuple_(asm.integer(0)),
        asm.text("b"),
    ),
    "pickle.loads": called("pickle", "loads", "x"),
    "pandas.read_pickle": called("pandas", "read_pickle", "@"),
    "joblib.load": called("joblib", "load", "@"),
    "builtins.open": called("builtins", "open", "@", "w"),
    "io.open": called("io", "open", "@", "w"),
    "builtins.setattr": called("builtins", "setattr", "x", "y", "z"),
    "builtins.compile": called("builtins", "compile", "x", "y", "exec"),
    "types.FunctionType": called("types", "FunctionType", "x"),
    "ctypes.CDLL": called("ctypes", "CDLL", "@"),
    "webbrowser.open": called("webbrowser", "open", "http://localhost"),
    "code.interact": called("code", "interact"),
    "pdb.run": called("pdb", "run", "!"),
    "cProfile.run": called("cProfile", "run", "!"),
    "pty.spawn": called("pty", "spawn", "!"),
    "socket.create_connection": called("socket", "create_connection", "localhost"),
    "urllib.request.urlopen": called("urllib.request", "urlopen", "http://localhost"),
    "shutil.rmtree": called("shutil", "rmtree", "@"),
    "logging.config.listen": called("logging.config", "listen"),
    "a class of the file's own module": called("__main__", "Model"),
    "a look-alike of torch's function": called("torch._utils ", "_rebuild_tensor_v2"),
    "torch's function under another module": called("torch", "_utils._rebuild_tensor_v2"),
    "a name with a newline in Latin disguise": lambda asm, path, command: asm.call(
        asm.text("os") + asm.text("sys\u0442em") + b"\x93", command
    ),
}
PAYLOADS = {**LIVE, **DEAD}


def arguments(asm: SimpleNamespace, canary: Path) -> tuple[SimpleNamespace, bytes, bytes]:
    return asm, asm.text(str(canary)), asm.text(f"mkdir '{canary}'")


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_are_reported_and_the_tensors_still_read(
    asm: SimpleNamespace, write_program: Callable[..., Path], canary: Path, payload: str, container: str
) -> None:
    program = asm.mapping(
        (asm.text("weight"), asm.tensor()), (asm.text("extra"), PAYLOADS[payload](*arguments(asm, canary)))
    )
    checkpoint = open_checkpoint(write_program(program, container=container))
    assert checkpoint["weight"].shape == (4,)
    assert checkpoint.code is not None and checkpoint.code.runs_code
    assert any("would run code" in warning for warning in checkpoint.warnings)


# An array of unknown type is a tensor, though one that can't be read.
@pytest.mark.parametrize("payload", sorted(set(PAYLOADS) - {"numpy.ndarray's subclass"}))
def test_payloads_without_tensors_are_reported_and_are_no_checkpoint(
    asm: SimpleNamespace, write_program: Callable[..., Path], canary: Path, payload: str
) -> None:
    program = PAYLOADS[payload](*arguments(asm, canary))
    for container in ("zip", "plain"):
        checkpoint = open_checkpoint(write_program(program, container=container))
        assert checkpoint.code is not None and checkpoint.code.runs_code
        with pytest.raises(CheckpointError, match="holds no tensors"):
            select_tensors(checkpoint)


def test_there_are_enough_of_them() -> None:
    assert len(PAYLOADS) >= 40


CONTROL = """
import io, pathlib, pickle, sys
try:
    pickle.Unpickler(io.BytesIO(bytes.fromhex(sys.argv[1]))).load()
except BaseException:
    pass
print(pathlib.Path(sys.argv[2]).exists())
"""


@pytest.mark.parametrize("payload", LIVE)
def test_an_unpickler_would_run_them(asm: SimpleNamespace, tmp_path: Path, payload: str) -> None:
    """The control: without it the tests above would pass on payloads that do nothing anyway."""
    victim = tmp_path / "victim"
    program = b"\x80\x04" + LIVE[payload](*arguments(asm, victim)) + b"."
    if payload.startswith("__builtin__") or payload == "copyreg._reconstructor":
        program = b"\x80\x02" + program[2:]  # Python 2's names are translated only in its protocols
    done = subprocess.run(
        [sys.executable, "-c", CONTROL, program.hex(), str(victim)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "True"


def test_a_payload_before_a_broken_stream(
    asm: SimpleNamespace, zips: SimpleNamespace, tmp_path: Path, canary: Path
) -> None:
    path = tmp_path / "broken.pt"
    program = b"\x80\x02" + LIVE["os.mkdir"](*arguments(asm, canary)) + b"\xff."
    path.write_bytes(zips.archive(zips.right(program)))
    with pytest.raises(CheckpointError, match="no opcode"):
        open_checkpoint(path)


def test_a_second_pickle_behind_the_first_is_not_read_but_reported(
    asm: SimpleNamespace, zips: SimpleNamespace, tmp_path: Path, canary: Path
) -> None:
    path = tmp_path / "two.pt"
    first = b"\x80\x02" + asm.mapping((asm.text("weight"), asm.tensor())) + b"."
    path.write_bytes(zips.archive(zips.right(first + LIVE["os.mkdir"](*arguments(asm, canary)) + b".")))
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["weight"]
    assert any("after its end" in warning for warning in checkpoint.warnings)


def test_a_protocol_that_lies(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    """Unpicklers take the opcodes of any protocol whatever the first one says."""
    program = asm.mapping(
        (asm.text("weight"), asm.tensor()), (asm.text("extra"), asm.text("os") + asm.text("system") + b"\x93)R")
    )
    checkpoint = open_checkpoint(write_program(program, protocol=0))
    assert checkpoint.code is not None and checkpoint.code.runs_code


@pytest.mark.parametrize("name", ["weights.bin", "weights.txt", "weights.gguf", "weights"])
def test_the_suffix_changes_nothing(
    asm: SimpleNamespace, write_program: Callable[..., Path], canary: Path, name: str
) -> None:
    program = asm.mapping(
        (asm.text("weight"), asm.tensor()), (asm.text("x"), LIVE["os.mkdir"](*arguments(asm, canary)))
    )
    path = write_program(program)
    renamed = path.rename(path.with_name(name))
    assert list(open_checkpoint(renamed)) == ["weight"]


def test_a_pickle_that_is_called_safetensors_is_refused(
    asm: SimpleNamespace, write_program: Callable[..., Path], canary: Path
) -> None:
    path = write_program(LIVE["os.mkdir"](*arguments(asm, canary)))
    with pytest.raises(CheckpointError, match="only carries the name"):
        open_checkpoint(path.rename(path.with_name("weights.safetensors")))


def test_what_is_only_named_is_imported_and_that_is_code(
    asm: SimpleNamespace, write_program: Callable[..., Path]
) -> None:
    """Module `this` prints when it is imported; others do worse."""
    program = asm.mapping(
        (asm.text("weight"), asm.tensor()),
        (asm.text("activation"), asm.global_("this", "s")),
        (asm.text("dtype"), asm.global_("torch", "float16")),
        (asm.text("container"), asm.global_("builtins", "list")),
    )
    checkpoint = open_checkpoint(write_program(program))
    code = checkpoint.code
    assert code is not None and code.runs_code
    uses = {use.dotted: (use.verdict, use.called, use.use) for use in code.globals}
    assert uses["this.s"] == ("code", False, "imported")
    assert uses["torch.float16"] == ("tensor", False, "named")
    assert uses["builtins.list"] == ("data", False, "named")
    (warning,) = checkpoint.warnings
    assert "it names 'this.s': its module would be imported" in warning
    assert "calls" not in warning


def test_a_harmless_checkpoint_is_said_to_be_harmless(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(write_program(asm.mapping((asm.text("weight"), asm.tensor()))))
    assert checkpoint.code is not None and not checkpoint.code.runs_code
    assert [use.dotted for use in checkpoint.code.globals if use.called] == [
        "torch._utils._rebuild_tensor_v2",
        "collections.OrderedDict",
    ]
    assert not checkpoint.warnings


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no value at the end": b".",
    "an unknown opcode": b"\xfe.",
    "protocol 6": b"\x80\x06N.",
    "protocol 255": b"\x80\xffN.",
    "a frame past the end": b"\x95\xff\xff\xff\x7f\x00\x00\x00\x00N.",
    "text past the end": b"X\xff\xff\x00\x00a.",
    "long text past the end": b"X\xff\xff\xff\xffa.",
    "text of 2^63 bytes": b"\x8d\x00\x00\x00\x00\x00\x00\x00\x80a.",
    "text of 2^64 - 1 bytes": b"\x8d" + b"\xff" * 8 + b"a.",
    "bytes of 2^64 - 1": b"\x8e" + b"\xff" * 8 + b"a.",
    "a bytearray of 2^64 - 1": b"\x96" + b"\xff" * 8 + b"a.",
    "a string of -1 bytes": b"T\xff\xff\xff\xffa.",
    "short text past the end": b"\x8c\xffa.",
    "a short string past the end": b"U\xffa.",
    "text that is not UTF-8": b"X\x01\x00\x00\x00\xff.",
    "a length cut short": b"X\x01\x00",
    "an integer cut short": b"J\x01\x00",
    "an integer of 2^31 - 1 bytes": b"\x8b\xff\xff\xff\x7f.",
    "an integer of -1 bytes": b"\x8b\xff\xff\xff\xff.",
    "an integer of 100,000 digits": b"I" + b"9" * 100_000 + b"\n.",
    "an integer that is none": b"Ione\n.",
    "a long that is none": b"L12x\n.",
    "a float that is none": b"Fabc\n.",
    "a line without an end": b"I12",
    "a string without quotes": b"Sabc\n.",
    "a string with a broken escape": b"S'\\x'\n.",
    "a global without a name": b"cos\n",
    "a global of 10,000 letters": b"c" + b"a" * 10_000 + b"\nx\n.",
    "a global that is not UTF-8": b"c\xff\nx\n.",
    "STACK_GLOBAL of numbers": b"K\x01K\x02\x93.",
    "STACK_GLOBAL of nothing": b"\x93.",
    "extension 0": b"\x82\x00.",
    "extension 2^31": b"\x84\x00\x00\x00\x80.",
    "REDUCE of nothing": b"R.",
    "REDUCE without a function": b")R.",
    "NEWOBJ of nothing": b"\x81.",
    "OBJ of nothing": b"(o.",
    "BUILD of nothing": b"b.",
    "BUILD on a number": b"K\x01}b.",
    "BUILD on a list": b"]}b.",
    "APPEND to a number": b"K\x01K\x01a.",
    "APPENDS without a mark": b"]K\x01e.",
    "ADDITEMS to a list": b"](K\x01\x90.",
    "SETITEM on a tuple": b")K\x01K\x01s.",
    "SETITEMS with a key too many": b"}(K\x01u.",
    "DICT with a key too many": b"(K\x01d.",
    "TUPLE without a mark": b"K\x01t.",
    "TUPLE3 of two": b"K\x01K\x02\x87.",
    "POP of nothing": b"0.",
    "POP_MARK without a mark": b"N1.",
    "DUP of nothing": b"2.",
    "a memo that was never written": b"h\x05.",
    "a far memo that was never written": b"j\xff\xff\xff\xff.",
    "a memo in text that was never written": b"g5\n.",
    "a negative memo": b"Np-1\n.",
    "MEMOIZE of nothing": b"\x94.",
    "an outside buffer": b"\x97.",
    "a persistent id in text": b"Pabc\n.",
    "a persistent id that is a number": b"K\x01Q.",
    "a million marks": b"(" * 1_000_000,
    "a stack that STOP finds under a mark": b"N(.",
}


@pytest.mark.parametrize("container", ["zip", "plain"])
@pytest.mark.parametrize("broken", BROKEN)
def test_broken_pickles_are_refused(
    zips: SimpleNamespace, tmp_path: Path, canary: Path, broken: str, container: str
) -> None:
    program = b"\x80\x02" + BROKEN[broken]
    path = tmp_path / "x.pt"
    path.write_bytes(zips.archive(zips.right(program)) if container == "zip" else program)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("broken", sorted(set(BROKEN) - {"protocol 6", "protocol 255"}))
def test_python_refuses_them_too(broken: str) -> None:
    """The oracle for the table above; pickles with a persistent id have nobody to ask."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - an unpickler raises whatever comes
        pickle.Unpickler(io.BytesIO(b"\x80\x02" + BROKEN[broken])).load()


def sharing(levels: int, asm: SimpleNamespace) -> bytes:
    """A list in a list twice, in a list twice, and so on: 2^levels paths to one tensor."""
    program = b"](" + asm.tensor() + b"e"
    for _ in range(levels):
        program = b"](" + program + b"2e"
    return program


@pytest.mark.parametrize("levels", [3, 16, 40, 150])
def test_shared_containers_end(asm: SimpleNamespace, write_program: Callable[..., Path], levels: int) -> None:
    checkpoint = open_checkpoint(write_program(sharing(levels, asm)))
    if levels == 3:
        assert len(checkpoint) == 8, "what is reached by several paths has several names"
    else:
        assert len(checkpoint) == 1
        assert any("only once" in warning for warning in checkpoint.warnings)


def test_cycles_end(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    program = b"}q\x01(" + asm.text("self") + b"h\x01" + asm.text("weight") + asm.tensor() + b"u"
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["weight"]
    assert any("hold themselves" in warning for warning in checkpoint.warnings)


def test_functions_that_call_themselves_end(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    function = asm.global_("torch._tensor", "_rebuild_from_type_v2")
    nested = function + b"q\x01" + b"h\x01N" * 20_000 + b")" + b"\x87" * 20_000 + b"R"
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text("nested"), nested))
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["weight"]
    assert "subclass" in checkpoint.unsupported["nested"]


MANY = 30_000
LIST = b"](" + b"N" * MANY + b"e"
COPIES: dict[str, tuple[Payload, Payload]] = {
    # What is made once, and what is then done with it (h\x07) again and again.
    "builtins.set": (lambda asm, *_: LIST, lambda asm, *_: asm.global_("builtins", "set") + b"h\x07\x85R"),
    "builtins.list": (lambda asm, *_: LIST, lambda asm, *_: asm.global_("builtins", "list") + b"h\x07\x85R"),
    "torch.Size": (lambda asm, *_: LIST, lambda asm, *_: asm.global_("torch", "Size") + b"h\x07\x85R"),
    "text to bytes": (
        lambda asm, *_: asm.text("x" * MANY),
        lambda asm, *_: asm.global_("_codecs", "encode") + b"h\x07" + asm.text("latin1") + b"\x86R",
    ),
    "pairs to a dictionary": (
        lambda asm, *_: b"](" + b"".join(asm.integer(number) + b"N\x86" for number in range(MANY)) + b"e",
        lambda asm, *_: asm.global_("collections", "OrderedDict") + b"h\x07\x85R",
    ),
    "a dictionary to a dictionary": (
        lambda asm, *_: b"}(" + b"".join(asm.integer(number) + b"N" for number in range(MANY)) + b"u",
        lambda asm, *_: asm.global_("collections", "defaultdict") + b"N" + b"h\x07\x86R",
    ),
    "arguments": (
        lambda asm, *_: b"(" + asm.global_("m", "Class") + b"N" * MANY + b"t",
        lambda asm, *_: asm.global_("copyreg", "__newobj__") + b"h\x07R",
    ),
    "what torch calls": (
        lambda asm, *_: b"(" + LIST + b"t",
        lambda asm, *_: asm.call(
            asm.global_("torch._tensor", "_rebuild_from_type_v2"), asm.global_("torch", "Size"), b"N", b"h\x07"
        ),
    ),
}


@pytest.mark.parametrize("container", ["zip", "plain"])
@pytest.mark.parametrize("copies", COPIES)
def test_copies_without_end(
    asm: SimpleNamespace, write_program: Callable[..., Path], copies: str, container: str
) -> None:
    """A few bytes copy tens of thousands of items each; a gigabyte of them would be asked for by a small file."""
    made, used = (part(asm, b"", b"") for part in COPIES[copies])
    few = made + b"q\x070" + (used + b"0") * 20 + b"N"
    open_checkpoint(write_program(few, container=container))
    many = made + b"q\x070" + (used + b"0") * 1000 + b"N"
    with pytest.raises(CheckpointError, match="copied again and again"):
        open_checkpoint(write_program(many, container=container))


class Walked(tuple[object, ...]):
    """Counts how often its elements are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[object]:
        Walked.looks += 1
        return super().__iter__()


def test_a_shape_of_very_many_dimensions_is_not_walked_through() -> None:
    shape = Walked([1] * 1000)
    assert not Tensor(None, 0, shape, shape).is_scalar
    assert not Array(None, shape).is_scalar
    storage = Storage(
        "0", storage_element(Global("torch", "ComplexDoubleStorage", "tensor", None), "0", Path()), 4, Path(), 0
    )
    with pytest.raises(CheckpointError, match="1000 dimensions"):
        tensor_record("w", Tensor(storage, 0, shape, shape), Path("x.pt"))
    with pytest.raises(CheckpointError, match="1000 dimensions"):
        array_record("w", Array(ARRAY_REBUILDS["numpy", "dtype"](("f4",)), shape), Path("x.pt"))
    assert Walked.looks == 0


@pytest.mark.parametrize("shared", ["state", "args", "a state of many dictionaries"])
def test_instances_that_share_what_they_hold(
    asm: SimpleNamespace, write_program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, shared: str
) -> None:
    """Each takes some bytes and has tens of thousands of attributes."""
    attributes = b"}(" + b"".join(asm.integer(number) + b"N" for number in range(MANY)) + b"u"
    makers = {
        "state": (attributes, asm.global_("m", "C") + b")\x81h\x07b"),
        "args": (b"(" + b"N" * MANY + b"t", asm.global_("m", "C") + b"h\x07R"),
        "a state of many dictionaries": (
            attributes + b"q\x080" + b"(" + b"h\x08" * MANY + b"t",
            asm.global_("m", "C") + b")\x81h\x07b",
        ),
    }
    made, used = makers[shared]
    program = made + b"q\x070" + asm.mapping((asm.text("weight"), asm.tensor()))[:-1]
    program += asm.text("many") + b"](" + used * 300 + b"eu"
    steps = 0
    parts = tree._parts

    def counted(value: object, branch: object) -> Iterator[modules.Part]:
        for part in parts(value, branch):
            yield part._replace(members=counting(part.members))

    def counting(members: Iterable[tuple[object, object]]) -> Iterator[tuple[object, object]]:
        nonlocal steps
        for member in members:
            steps += 1
            yield member

    monkeypatch.setattr(tree, "_parts", counted)
    path = write_program(program)
    assert list(open_checkpoint(path)) == ["weight"]
    assert steps < 8 * path.stat().st_size + 100_000


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_keys_that_can_not_be_spelled(asm: SimpleNamespace, write_program: Callable[..., Path], container: str) -> None:
    """A tuple of the same tuple twice, and so on: as text it takes 2^100 characters."""
    doubled = b")" + b"2\x86" * 100
    instance = asm.global_("m", "C") + b")\x81" + doubled + asm.tensor() + b"s"
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text("instance"), instance))
    assert "instance.<tuple>" in open_checkpoint(write_program(program, container=container))
    identity = asm.tuple_(asm.text("storage"), doubled, asm.text("0"), asm.text("cpu"), asm.integer(4)) + b"Q"
    program = asm.mapping((asm.text("weight"), asm.tensor(held=identity)))
    with pytest.raises(CheckpointError, match="unknown type: a Python tuple"):
        open_checkpoint(write_program(program, container=container))


def long4(size: int) -> bytes:
    return b"\x8b" + struct.pack("<i", size) + b"\x7f" * size


HUGE: dict[str, bytes] = {
    "LONG4": long4(1024),
    "negative": b"\x8b" + struct.pack("<i", 1024) + b"\x80" * 1024,
    "LONG": b"L" + b"9" * 1000 + b"L\n",
    "INT": b"I" + b"9" * 1000 + b"\n",
}


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("container", ["zip", "legacy", "plain"])
def test_huge_integers_wherever_a_number_is_expected(
    asm: SimpleNamespace, write_program: Callable[..., Path], huge: str, container: str
) -> None:
    """Python raises ValueError when it has to spell them, sooner still where it is told to."""
    number = HUGE[huge]
    view = [asm.storage(), asm.integer(0), asm.tuple_(asm.integer(4)), asm.tuple_(asm.integer(1)), b"\x89", b"}"]
    tensors = [
        asm.call(
            asm.global_("torch._utils", "_rebuild_tensor_v2"),
            *(new if at == place else old for at, old in enumerate(view)),
        )
        for place, new in [(0, number), (1, number), (2, asm.tuple_(number)), (3, asm.tuple_(number)), (5, number)]
    ]
    identity = [
        asm.text("storage"),
        asm.global_("torch", "FloatStorage"),
        asm.text("0"),
        asm.text("cpu"),
        asm.integer(4),
    ]
    for place in range(5):
        changed = [number if at == place else old for at, old in enumerate(identity)]
        tensors.append(asm.tensor(held=asm.tuple_(*changed) + b"Q"))
    tensors.append(asm.tensor(held=number + b"Q"))
    array = asm.call(
        asm.global_("numpy.core.numeric", "_frombuffer"),
        asm.text("abcd"),
        asm.call(asm.global_("numpy", "dtype"), asm.text("f4")),
        asm.tuple_(number),
        asm.text("C"),
    )
    programs = [asm.mapping((asm.text("weight"), tensor)) for tensor in [*tensors, array]]
    programs += [number, asm.mapping((number, asm.tensor())), b"N" + number + b"b", number + number + b"\x93"]
    programs.append(asm.global_("m", "C") + b")\x81" + number + asm.tensor() + b"s")
    limit = sys.get_int_max_str_digits()
    try:
        for digits in (limit, 640):
            sys.set_int_max_str_digits(digits)
            for program in programs:
                try:
                    open_checkpoint(write_program(program, container=container))
                except CheckpointError as error:
                    assert len(str(error)) < 2000
    finally:
        sys.set_int_max_str_digits(limit)


def test_integers_of_more_bytes_are_refused(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    for program in (long4(1025), b"L" + b"9" * 1025 + b"L\n", b"I" + b"9" * 1025 + b"\n", b"g" + b"9" * 1025 + b"\n"):
        with pytest.raises(CheckpointError, match="at most 1024"):
            open_checkpoint(write_program(program))


def test_globals_without_end(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    program = b"".join(asm.global_("m", f"n{number}") + b"0" for number in range(10_001))
    with pytest.raises(CheckpointError, match="globals"):
        open_checkpoint(write_program(program + b"N"))


def test_deep_nesting_ends(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    deep = b"]" * 300_000 + b"a" * 299_999
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text("deep"), deep))
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["weight"]
    assert ["levels deep" in reason for reason in checkpoint.unsupported.values()] == [True]


def test_a_path_that_is_too_long_is_not_lost_in_silence(
    asm: SimpleNamespace, write_program: Callable[..., Path]
) -> None:
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text("n" * 5000), asm.tensor()))
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["weight"]
    ((name, reason),) = checkpoint.unsupported.items()
    assert name == "n" * 200 + "..."
    assert "longer than 4096 characters" in reason


def test_keys_that_would_take_forever_to_hash(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    doubled = b")" + b"2\x86" * 100
    deep = b")" + b"\x85" * 500_000
    colliding = b"".join(asm.integer(number * (2**61 - 1)) + b"N" for number in range(1, 60_000))
    program = asm.mapping((asm.text("weight"), asm.tensor()), (doubled, b"N"), (deep, b"N"))
    program = program[:-1] + colliding + b"u"
    assert list(open_checkpoint(write_program(program))) == ["weight"]


def test_unhashable_keys_do_no_harm(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    program = asm.mapping((asm.text("weight"), asm.tensor()), (b"]", b"N"), (b"}", b"N"))
    assert list(open_checkpoint(write_program(program))) == ["weight"]


def test_names_without_end_are_not_spelled(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    """One long key, used again and again, would make names of gigabytes."""
    key = asm.text("k" * 60_000) + b"q\x05"
    nested = b"}" * 100 + asm.mapping((asm.text("weight"), asm.tensor()))
    program = key + b"0" + b"".join(b"}h\x05" for _ in range(100)) + nested[100:] + b"s" * 100
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text("deep"), b""))[:-1] + program + b"u"
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["weight"]
    assert ["longer than" in reason for reason in checkpoint.unsupported.values()] == [True]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("\x1b[31mred", True),
        ("[bold]markup[/bold]", True),
        ("<script>alert(1)</script>", True),
        ("line\nbreak", True),
        ("../../etc/passwd", True),
        ("nul\0l", False),
        ("half \ud800", False),
        ("__metadata__", False),
    ],
)
def test_odd_names(asm: SimpleNamespace, write_program: Callable[..., Path], name: str, kept: bool) -> None:
    program = asm.mapping((asm.text("weight"), asm.tensor()), (asm.text(name), asm.tensor()))
    checkpoint = open_checkpoint(write_program(program))
    assert (name in checkpoint) is kept
    assert (name in checkpoint.unsupported) is not kept


def test_two_tensors_under_one_path_are_both_refused(asm: SimpleNamespace, write_program: Callable[..., Path]) -> None:
    program = asm.mapping(
        (asm.text("a.b"), asm.tensor()),
        (asm.text("a"), asm.mapping((asm.text("b"), asm.tensor()))),
        (asm.text("c"), asm.tensor()),
    )
    checkpoint = open_checkpoint(write_program(program))
    assert list(checkpoint) == ["c"]
    assert "two tensors" in checkpoint.unsupported["a.b"]


@pytest.mark.parametrize(
    "change",
    [
        {"size": (5,)},
        {"size": (2, 2), "stride": (4, 1)},
        {"offset": 1},
        {"offset": -1},
        {"size": (-4,)},
        {"stride": (-1,)},
        {"size": (2**62,), "stride": (0,)},
        {"size": (2,), "stride": (2**63,)},
        {"size": (4, 1), "stride": (1,)},
        {"size": (1,) * 65, "stride": (1,) * 65},
    ],
)
def test_views_outside_of_their_storage(
    asm: SimpleNamespace, write_program: Callable[..., Path], change: dict[str, object]
) -> None:
    program = asm.mapping((asm.text("weight"), asm.tensor(**change)))
    for container in ("zip", "legacy"):
        with pytest.raises(CheckpointError, match="'weight'"):
            open_checkpoint(write_program(program, container=container))


@pytest.mark.parametrize(
    "held",
    [
        "wrong key",
        "wrong size",
        "wrong class",
        "none",
    ],
)
def test_storages_that_are_none(asm: SimpleNamespace, write_program: Callable[..., Path], held: str) -> None:
    storages = {
        "wrong key": asm.storage("../0"),
        "wrong size": asm.storage(elements=5),
        "wrong class": asm.storage(kind="EvilStorage"),
        "none": b"N",
    }
    program = asm.mapping((asm.text("weight"), asm.tensor(held=storages[held])))
    for container in ("zip", "legacy"):
        with pytest.raises(CheckpointError):
            open_checkpoint(write_program(program, container=container))
