from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import zoo.checkpoint.open as opening
from zoo.checkpoint import Checkpoint, MemoryFiles, open_checkpoint
from zoo.errors import AmbiguousName, CheckpointError, MalformedCheckpoint, UnknownFormat
from zoo.registry import Entry
from zoo.spec import FormatSpec

WriteTensors = Callable[..., Path]


def open_fake(path: Path) -> Checkpoint:
    """The opener of the formats that these tests register."""
    return Checkpoint(
        format="fake",
        location=path,
        files=(path,),
        records={},
        side_files=MemoryFiles(str(path), {"config.json": b"{}"}),
    )


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Register formats: (distribution, fields of a FormatSpec) each; safetensors is there always."""

    def register(*claims: tuple[str, dict[str, Any]]) -> None:
        safetensors = FormatSpec(
            name="safetensors", open="zoo.checkpoint.safetensors:open_file", suffixes=(".safetensors",)
        )
        specs = [("zoo-sdk", safetensors)]
        specs += [(owner, FormatSpec(**{"open": "fake:open", **fields})) for owner, fields in claims]
        entries = tuple(Entry(spec=spec, distribution=owner, version="1.0", plugin=owner) for owner, spec in specs)
        monkeypatch.setattr(
            opening, "registry", lambda: SimpleNamespace(formats=SimpleNamespace(entries=lambda: entries))
        )
        resolve = opening.resolve_object
        monkeypatch.setattr(opening, "resolve_object", lambda name: open_fake if name == "fake:open" else resolve(name))

    return register


GGUF = ("zoo-gguf", {"name": "gguf", "suffixes": (".gguf",), "magic": b"GGUF"})


def write_index(directory: Path, weight_map: dict[str, str], name: str = "model.safetensors.index.json") -> Path:
    path = directory / name
    path.write_text(json.dumps({"weight_map": weight_map}))
    return path


class TestFiles:
    def test_a_safetensors_file(self, write_tensors: WriteTensors) -> None:
        path = write_tensors({"w": b"1"}, name="Other.SafeTensors")
        (path.parent / "config.json").write_text("{}")
        checkpoint = open_checkpoint(path)
        assert (checkpoint.format, list(checkpoint), checkpoint.files) == ("safetensors", ["w"], (path,))
        assert checkpoint.side_files.read("config.json") == b"{}"

    def test_a_path_as_text(self, write_tensors: WriteTensors) -> None:
        assert list(open_checkpoint(str(write_tensors({"w": b"1"})))) == ["w"]

    def test_content_goes_before_the_suffix(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF)
        path = tmp_path / "renamed.bin"
        path.write_bytes(b"GGUF and more")
        assert open_checkpoint(path).format == "fake"

    def test_the_suffix_decides_where_content_does_not(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF)
        path = tmp_path / "empty.gguf"
        path.write_bytes(b"")
        assert open_checkpoint(path).format == "fake", "its opener says what is wrong with it"

    def test_a_fallback_stands_back(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(("other", {"name": "any", "suffixes": (".safetensors",), "fallback": True}))
        path = tmp_path / "x.safetensors"
        path.write_bytes(b"")
        with pytest.raises(CheckpointError, match="0 bytes long"):
            open_checkpoint(path)

    def test_two_formats_that_claim_a_file(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF, ("other-gguf", {"name": "gguf2", "magic": b"GGUF"}))
        path = tmp_path / "x.gguf"
        path.write_bytes(b"GGUF")
        with pytest.raises(AmbiguousName, match=r"zoo-gguf:gguf 1\.0, other-gguf:gguf2 1\.0"):
            open_checkpoint(path)

    def test_an_unknown_format(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF)
        path = tmp_path / "weights.h5"
        path.write_bytes(b"\x89HDF\r\n\x1a\n")
        with pytest.raises(UnknownFormat) as raised:
            open_checkpoint(path)
        for fact in (str(path), r"b'\x89HDF'", "safetensors (.safetensors)", "gguf (.gguf)", "zoo plugins"):
            assert fact in str(raised.value)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "m.pt", "m.PTH", "m.ckpt"])
    def test_what_only_has_the_name_of_a_torch_file(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"anything")
        with pytest.raises(UnknownFormat, match=f"{name}: no torch checkpoint begins with"):
            open_checkpoint(path)

    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_torch_file_by_content(self, tmp_path: Path, write_torch: WriteTensors, legacy: bool) -> None:
        path = write_torch({"w": b"1"}, name="weights", legacy=legacy)
        checkpoint = open_checkpoint(path)
        assert (checkpoint.format, list(checkpoint)) == ("torch-legacy" if legacy else "torch", ["w"])

    @pytest.mark.parametrize("length", [2, 127, 0x80, 0x0280, 0x0480])
    @pytest.mark.parametrize("name", ["model.safetensors", "without-its-suffix"])
    def test_safetensors_whose_length_looks_like_another_magic(
        self, write_raw: WriteTensors, length: int, name: str
    ) -> None:
        """The file begins with the length of its header, which may begin with the byte that pickles begin with."""
        path = write_raw(b"{}" + b" " * (length - 2), name=name)
        assert open_checkpoint(path).format == "safetensors"

    def test_a_torch_file_under_the_name_of_safetensors(self, tmp_path: Path, write_torch: WriteTensors) -> None:
        for legacy, kind in ((True, "Python pickle"), (False, "zip archive")):
            path = write_torch({"w": b"1"}, name="model.safetensors", legacy=legacy)
            with pytest.raises(MalformedCheckpoint, match=f"looks like a {kind}"):
                open_checkpoint(path)

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no such file"):
            open_checkpoint(tmp_path / "absent")


class TestDirectories:
    def test_the_single_file_goes_before_the_index_as_in_transformers(
        self, tmp_path: Path, write_tensors: WriteTensors
    ) -> None:
        write_tensors({"w": b"single"})
        write_tensors({"w": b"sharded"}, name="shard.safetensors")
        write_index(tmp_path, {"w": "shard.safetensors"})
        checkpoint = open_checkpoint(tmp_path)
        assert checkpoint["w"].nbytes == len(b"single")
        assert checkpoint.location == tmp_path

    def test_the_index_goes_before_loose_files(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"}, name="model-00001-of-00001.safetensors")
        write_tensors({"w": b"1"}, name="consolidated.safetensors")
        write_index(tmp_path, {"w": "model-00001-of-00001.safetensors"})
        assert [path.name for path in open_checkpoint(tmp_path).files] == ["model-00001-of-00001.safetensors"]

    def test_the_only_index_of_another_name(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"}, name="unet-1.safetensors")
        write_tensors({"other": b"1"}, name="extra.safetensors")
        write_index(tmp_path, {"w": "unet-1.safetensors"}, "diffusion.safetensors.index.json")
        assert list(open_checkpoint(tmp_path)) == ["w"]

    def test_several_indexes(self, tmp_path: Path) -> None:
        write_index(tmp_path, {"w": "x"}, "a.safetensors.index.json")
        write_index(tmp_path, {"w": "x"}, "b.safetensors.index.json")
        with pytest.raises(CheckpointError, match=r"'a\.safetensors\.index\.json', 'b\.safetensors\.index\.json'"):
            open_checkpoint(tmp_path)

    def test_one_loose_file_of_any_name(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"}, name="adapter_model.safetensors")
        assert list(open_checkpoint(tmp_path)) == ["w"]

    def test_loose_shards(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        for number in (2, 1, 3):
            write_tensors({f"w{number}": b"1"}, name=f"model-{number:05d}-of-00003.safetensors")
        assert list(open_checkpoint(tmp_path)) == ["w1", "w2", "w3"]

    def test_absent_loose_shards_are_named(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"}, name="model-00002-of-00004.safetensors")
        with pytest.raises(CheckpointError) as raised:
            open_checkpoint(tmp_path)
        assert (
            "of 4 shards 3 are absent: model-00001-of-00004.safetensors, model-00003-of-00004.safetensors, "
            "model-00004-of-00004.safetensors."
        ) in str(raised.value)

    def test_a_shard_that_says_it_is_one_of_very_many(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"}, name="model-00002-of-99999.safetensors")
        with pytest.raises(CheckpointError, match=r"of 99999 shards 99998 are absent.* and 99978 more") as raised:
            open_checkpoint(tmp_path)
        assert len(str(raised.value)) < 2000

    def test_a_loose_shard_past_the_last(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"a": b"1"}, name="model-00001-of-00001.safetensors")
        write_tensors({"b": b"1"}, name="model-00002-of-00001.safetensors")
        with pytest.raises(CheckpointError, match=r"model-00002-of-00001\.safetensors can't be a shard: there are 1"):
            open_checkpoint(tmp_path)

    def test_loose_shards_of_two_saves(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"a": b"1"}, name="model-00001-of-00001.safetensors")
        write_tensors({"b": b"1"}, name="model-00001-of-00002.safetensors")
        write_tensors({"c": b"1"}, name="model-00002-of-00002.safetensors")
        with pytest.raises(CheckpointError, match="several totals: of 1, of 2; they are from different saves"):
            open_checkpoint(tmp_path)

    def test_loose_files_that_share_a_tensor(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1", "only": b"1"}, name="a.safetensors")
        write_tensors({"w": b"2"}, name="b.safetensors")
        with pytest.raises(CheckpointError, match=r"'w' in a\.safetensors and b\.safetensors"):
            open_checkpoint(tmp_path)

    def test_the_only_file_of_another_format(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF)
        (tmp_path / "README.md").write_text("hello")
        (tmp_path / "model.Q4_1.gguf").write_bytes(b"GGUF")
        checkpoint = open_checkpoint(tmp_path)
        assert checkpoint.format == "fake"
        assert checkpoint.side_files.names() == ("config.json",), "what the file itself carries"

    def test_several_files_of_another_format(self, tmp_path: Path, formats: Callable[..., None]) -> None:
        formats(GGUF)
        for name in ("Q4.gguf", "Q8.gguf"):
            (tmp_path / name).write_bytes(b"GGUF")
        with pytest.raises(CheckpointError, match=r"several checkpoints: 'Q4\.gguf', 'Q8\.gguf'"):
            open_checkpoint(tmp_path)

    @pytest.mark.parametrize("beside", [(), ("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin")])
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "other.pth"])
    def test_the_only_torch_file_but_for_what_trainers_write(
        self, tmp_path: Path, write_torch: WriteTensors, name: str, beside: tuple[str, ...]
    ) -> None:
        write_torch({"w": b"1"}, name=name)
        for other in beside:
            write_torch({"exp_avg": b"1"}, name=other)
        (tmp_path / "config.json").write_text("{}")
        checkpoint = open_checkpoint(tmp_path)
        assert (list(checkpoint), checkpoint.location) == (["w"], tmp_path)
        assert checkpoint.side_files.read("config.json") == b"{}"

    def test_pytorch_model_comes_before_other_torch_files(self, tmp_path: Path, write_torch: WriteTensors) -> None:
        write_torch({"w": b"1"}, name="pytorch_model.bin")
        write_torch({"v": b"1"}, name="another.bin")
        assert list(open_checkpoint(tmp_path)) == ["w"]

    @pytest.mark.parametrize("indexed", [True, False])
    def test_torch_shards(self, tmp_path: Path, write_torch: WriteTensors, indexed: bool) -> None:
        names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
        write_torch({"a": b"1"}, name=names[0])
        write_torch({"b": b"2"}, name=names[1])
        write_torch({"exp_avg": b"1"}, name="optimizer.bin")
        if indexed:
            write_index(tmp_path, {"a": names[0], "b": names[1]}, "pytorch_model.bin.index.json")
        checkpoint = open_checkpoint(tmp_path)
        assert {name: record.data.path.name for name, record in checkpoint.items()} == {"a": names[0], "b": names[1]}
        (tmp_path / names[1]).unlink()
        with pytest.raises(CheckpointError, match=f"absent.*{names[1]}"):
            open_checkpoint(tmp_path)

    def test_shards_that_hold_more_than_tensors_by_name(self, tmp_path: Path, write_torch: WriteTensors) -> None:
        for number in (1, 2):
            write_torch({f"w{number}": b"1"}, name=f"m-0000{number}-of-00002.pt", inside="state_dict")
        with pytest.raises(CheckpointError, match=r"m-00001-of-00002\.pt holds them inside other containers"):
            open_checkpoint(tmp_path)

    def test_several_torch_files(self, tmp_path: Path, write_torch: WriteTensors) -> None:
        for name in ("a.pt", "b.pth"):
            write_torch({"w": b"1"}, name=name)
        with pytest.raises(CheckpointError, match=r"several checkpoints: 'a\.pt', 'b\.pth'"):
            open_checkpoint(tmp_path)

    def test_pickles_beside_safetensors_do_not_matter(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"})
        (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
        assert list(open_checkpoint(tmp_path)) == ["w"]

    def test_no_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("hello")
        with pytest.raises(UnknownFormat) as raised:
            open_checkpoint(tmp_path)
        for fact in (str(tmp_path), "model.safetensors", "*.safetensors.index.json", "It holds 'README.md'"):
            assert fact in str(raised.value)

    def test_an_empty_directory(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownFormat, match="It holds no files"):
            open_checkpoint(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_in_the_models_place(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match="named pipe"):
            open_checkpoint(tmp_path)

    def test_a_model_that_is_a_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").symlink_to("../../blobs/0123")
        with pytest.raises(CheckpointError, match=r"symbolic link to .*0123, which does not exist"):
            open_checkpoint(tmp_path)

    def test_a_circular_link_beside_the_model(self, tmp_path: Path, write_tensors: WriteTensors) -> None:
        write_tensors({"w": b"1"})
        (tmp_path / "loop").symlink_to("loop")
        assert list(open_checkpoint(tmp_path)) == ["w"]


def test_only_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten gigabytes of tensors, as a file of holes, in two shards."""
    size = 5 * 10**9
    weight_map = {}
    for name in ("a", "b"):
        header = json.dumps({name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(path, 8 + len(header) + size)
        weight_map[name] = path.name
    write_index(tmp_path, weight_map)
    pread = os.pread
    taken = []

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        content = pread(descriptor, length, offset)
        taken.append(len(content))
        return content

    monkeypatch.setattr(os, "pread", counting)
    monkeypatch.setattr(os, "read", None)
    monkeypatch.setattr("mmap.mmap", None)
    checkpoint = open_checkpoint(tmp_path)
    assert sum(record.nbytes for record in checkpoint.values()) == 2 * size
    assert sum(taken) < 1000
