"""Real torch files in, safetensors out: what the reference library reads there is what torch itself loads."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zoo_tools
from zoo.checkpoint import open_checkpoint
from zoo.checkpoint.aliases import with_aliases
from zoo.errors import CheckpointError, SaveError, UnsupportedFeature
from zoo_tools import conversion
from zoo_tools.migrate_report import MigrateReport
from zoo_tools.migration import migrate
from zoo_tools.resharding import merge, shard

INDEX = "model.safetensors.index.json"


def model() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {f"layers.{number}.weight": torch.randn(10, 20, generator=generator) for number in range(12)}
    state["embed"] = torch.randn(30, 4, generator=generator)
    state["head"] = state["embed"]
    state["transposed"] = state["layers.0.weight"].t()
    state["ids"] = torch.arange(5)
    state["rounded"] = torch.randn(7, generator=generator).to(torch.bfloat16)
    state["scalar"] = torch.tensor(3.5, dtype=torch.float64)
    state["empty"] = torch.zeros(0, 3)
    return state


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    torch.save(model(), path)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory as people have them."""
    path = tmp_path / "model"
    (path / "tokenizer" / "deep").mkdir(parents=True)
    torch.save(model(), path / "pytorch_model.bin")
    torch.save({"step": torch.tensor(1)}, path / "training_args.bin")
    torch.save({}, path / "optimizer.pt")
    (path / "config.json").write_text("{}")
    (path / "tokenizer" / "deep" / "vocab.txt").write_text("a b")
    (path / "spm.bin").write_bytes(b"no pickle")
    (path / "data.npz").write_bytes(b"PK\x03\x04 no pickle")
    (path / "tf_model.h5").write_bytes(b"weights")
    (path / ".git").mkdir()
    (path / ".git" / "HEAD").write_text("ref")
    return path


def read(path: Path) -> dict[str, torch.Tensor]:
    """What the reference library reads, the other names of tied tensors filled in as the Hub's client notes them."""
    if path.is_file():
        tensors = load_file(path)
        length = int.from_bytes(path.read_bytes()[:8], "little")
        metadata = json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]
    elif (path / INDEX).exists():
        index = json.loads((path / INDEX).read_text())
        metadata = index["metadata"]
        tensors = {}
        for name in sorted(set(index["weight_map"].values())):
            tensors |= load_file(path / name)
        assert tensors.keys() == index["weight_map"].keys()
        assert metadata["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    else:
        return read(path / "model.safetensors")
    return tensors | {other: tensors[kept] for other, kept in metadata.items() if kept in tensors}


def assert_equal(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert torch.equal(tensors[name], tensor), name


def contents(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("limit", ["10GB", 2000, 1])
def test_a_file_into_a_directory(source: Path, tmp_path: Path, limit: int | str, jobs: int) -> None:
    before = source.read_bytes()
    told: list[tuple[int, int]] = []
    report = migrate(
        source,
        tmp_path / "out",
        max_shard_size=limit,
        jobs=jobs,
        progress=lambda done, total: told.append((done, total)),
    )
    assert_equal(read(tmp_path / "out"), model())
    assert report.ties == {"head": "embed"}
    assert report.verified
    assert {file.name: file.bytes for file in report.files} == {
        path.name: path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors")
    }
    assert told == sorted(told)
    assert told[-1] == (2 * report.bytes, 2 * report.bytes)
    assert source.read_bytes() == before
    again = migrate(source, tmp_path / "again", max_shard_size=limit, verify=False, sync=False)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    assert not again.verified


def test_a_file_into_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("not ours")
    report = migrate(source, tmp_path / "y.safetensors", max_shard_size=1)
    assert_equal(read(tmp_path / "y.safetensors"), model())
    assert {path.name for path in tmp_path.iterdir()} == {"weights.bin", "config.json", "y.safetensors"}
    assert report.files[0].name == "y.safetensors"
    assert "one file was asked for" in report.warnings[0]


def test_a_model_directory(directory: Path, tmp_path: Path) -> None:
    os.mkfifo(directory / "pipe")
    (tmp_path / "secret").write_text("secret")
    (directory / "outside.txt").symlink_to(tmp_path / "secret")
    (directory / "inside.json").symlink_to("config.json")
    (directory / "dangling").symlink_to("nowhere")
    report = migrate(directory, tmp_path / "out")
    assert_equal(read(tmp_path / "out"), model())
    assert set(contents(tmp_path / "out")) == {
        *("model.safetensors", "config.json", "inside.json", "spm.bin", "data.npz", "tokenizer/deep/vocab.txt"),
    }
    assert set(report.copied) == set(contents(tmp_path / "out")) - {"model.safetensors"}
    assert report.left_out.keys() == {"pytorch_model.bin", "training_args.bin", "optimizer.pt", "tf_model.h5"}
    assert report.skipped.keys() == {"pipe", "outside.txt", "dangling", ".git/"}
    assert not (tmp_path / "out" / "inside.json").is_symlink()
    for fact in ("leads out of the directory", "a pipe", "hidden folder", "'optimizer.pt' (it is a pickle)"):
        assert fact in "\n".join(report.sentences)


def test_a_snapshot_of_the_hubs_cache(directory: Path, tmp_path: Path) -> None:
    """There every file is a link to a blob outside of the directory, and all of them belong to it."""
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, name in enumerate(("pytorch_model.bin", "config.json")):
        shutil.copy(directory / name, repository / "blobs" / str(number))
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    report = migrate(snapshot, tmp_path / "out")
    assert report.copied == ("config.json",)
    assert_equal(read(tmp_path / "out"), model())


def test_beside_the_source(directory: Path) -> None:
    """People put the new file beside the old one; nothing that is there is touched."""
    before = contents(directory)
    migrate(directory / "pytorch_model.bin", directory)
    after = contents(directory)
    assert after.pop("model.safetensors")
    assert after == before


def test_a_training_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": model(), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "epoch": 3}, path)
    report = migrate(path, tmp_path / "out")
    assert_equal(read(tmp_path / "out"), model())
    assert report.selection == "state_dict"
    assert "optimizer" in report.not_selected
    assert any("Taken was 'state_dict'" in sentence for sentence in report.sentences)
    migrate(path, tmp_path / "all.safetensors", select=".")
    assert "optimizer.state.0.exp_avg" in read(tmp_path / "all.safetensors")


def test_there_and_back(source: Path, tmp_path: Path) -> None:
    """Sharding and merging change no tensor, no name, and not what else a file says."""
    migrate(source, tmp_path / "one")
    report = shard(tmp_path / "one", tmp_path / "many", max_shard_size=1500)
    assert len(report.files) > 5
    assert_equal(read(tmp_path / "many"), model())
    checkpoint = open_checkpoint(tmp_path / "many")
    assert checkpoint.aliases == {"head": "embed"}
    assert with_aliases(checkpoint).keys() == model().keys()
    shard(tmp_path / "many", tmp_path / "fewer", max_shard_size="3kB")
    merge(tmp_path / "fewer", tmp_path / "merged")
    merge(tmp_path / "fewer", tmp_path / "merged.safetensors")
    expected = (tmp_path / "one" / "model.safetensors").read_bytes()
    assert (tmp_path / "merged" / "model.safetensors").read_bytes() == expected
    assert (tmp_path / "merged.safetensors").read_bytes() == expected


def test_metadata_go_along(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3), "b": torch.ones(3)}, tmp_path / "x.safetensors", metadata={"note": "mine"})
    shard(tmp_path / "x.safetensors", tmp_path / "many", max_shard_size=12)
    merge(tmp_path / "many", tmp_path / "y.safetensors")
    assert open_checkpoint(tmp_path / "y.safetensors").metadata == {"format": "pt", "note": "mine"}


@pytest.mark.parametrize(
    ("metadata", "options", "left_out"),
    [
        ({"k": "y", "note": "y is good"}, {"drop": ["k"]}, {"k": "y"}),
        ({"author": "z"}, {"rename": ["x=z"]}, {"author": "z"}),
        ({"k": "y"}, {"max_shard_size": 12}, {"k": "y"}),
        ({"tied": "x"}, {"rename": ["x=z"]}, {}),
    ],
)
def test_metadata_that_would_become_another_name_of_a_tensor(
    tmp_path: Path, metadata: dict[str, str], options: dict[str, Any], left_out: dict[str, str]
) -> None:
    from safetensors.torch import save_file

    tensors = {"k": torch.zeros(3), "x": torch.ones(3), "y": torch.arange(3.0)}
    save_file(tensors, tmp_path / "a.safetensors", metadata=metadata)
    before = open_checkpoint(tmp_path / "a.safetensors").aliases
    report = migrate(tmp_path / "a.safetensors", tmp_path / "out", **options)
    for path in (tmp_path / "out", *(tmp_path / "out").glob("*.safetensors")):
        checkpoint = open_checkpoint(path)
        assert checkpoint.aliases.keys() <= before.keys()
        assert checkpoint.metadata.keys().isdisjoint(left_out)
    assert open_checkpoint(tmp_path / "out").metadata.keys() >= metadata.keys() - left_out.keys()
    warned = [warning for warning in report.warnings if "left out of the metadata" in warning]
    assert len(warned) == bool(left_out)
    for key, value in left_out.items():
        assert f"'{key}': '{value}'" in warned[0]


def test_what_the_hubs_client_wrote_sharded(tmp_path: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    (tmp_path / "hub").mkdir()
    state = {name: tensor for name, tensor in model().items() if name != "transposed"}
    save_torch_state_dict(dict(state), tmp_path / "hub", max_shard_size=2000)
    report = merge(tmp_path / "hub", tmp_path / "one")
    assert set(report.ties) in ({"head"}, {"embed"})
    assert_equal(read(tmp_path / "one"), state)


def test_the_hubs_client_reads_our_shards(source: Path, tmp_path: Path) -> None:
    from huggingface_hub import load_torch_model

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, tensor in model().items():
                self.register_buffer(name.replace(".", "_"), torch.zeros_like(tensor))

    migrate(source, tmp_path / "out", max_shard_size=2000, rename=[r"layers\.(\d+)\.weight=layers_\1_weight"])
    net = Net()
    load_torch_model(net, tmp_path / "out", strict=False)
    for name, tensor in model().items():
        if name != "head":
            assert torch.equal(getattr(net, name.replace(".", "_")), tensor)


class TestRules:
    def test_names(self, source: Path, tmp_path: Path) -> None:
        report = migrate(
            source,
            tmp_path / "out",
            keep=[r"layers\..*", "head"],
            drop=[r"layers\.1\d\..*", "nothing"],
            rename=[r"layers\.(\d)\.weight=blocks.\1.w", r"layers\..*=never"],
        )
        assert set(read(tmp_path / "out")) == {"head", *(f"blocks.{number}.w" for number in range(10))}
        assert report.ties == {}
        assert {"embed", "layers.10.weight", "ids"} <= set(report.dropped)
        assert report.renamed["layers.3.weight"] == "blocks.3.w"
        assert set(report.warnings) == {"no tensor matches 'nothing'", r"no tensor matches 'layers\\..*=never'"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rename": [r"layers\.\d+\.weight=w"]}, "'layers.0.weight' and 'layers.1.weight'"),
            ({"rename": ["embed=ids"]}, "'embed' and 'ids' -> 'ids'"),
            ({"rename": ["head=ids"]}, "'head' and 'ids' -> 'ids'|'ids' and 'head' -> 'ids'"),
            ({"rename": ["no template"]}, "expected 'regex=template'"),
            ({"rename": ["(=x"]}, "no regular expression"),
            ({"rename": [r"embed=\7"]}, "template .* is not valid"),
            ({"drop": ["("]}, "--drop .* no regular expression"),
            ({"keep": ["absent"]}, "No tensor is left"),
            ({"dtype": "int8"}, "'int8' is no type"),
            ({"max_shard_size": "big"}, "'big' is not a size"),
            ({"jobs": 0}, "at least 1"),
        ],
    )
    def test_refusals(self, source: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(SaveError, match=message):
            migrate(source, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("dtype", ["bf16", "float16", "f32"])
    def test_rounding(self, source: Path, tmp_path: Path, dtype: str) -> None:
        target = {"bf16": torch.bfloat16, "float16": torch.float16, "f32": torch.float32}[dtype]
        report = migrate(source, tmp_path / "out", dtype=dtype, max_shard_size=1000)
        expected = {
            name: tensor.to(target) if tensor.is_floating_point() else tensor for name, tensor in model().items()
        }
        assert_equal(read(tmp_path / "out"), expected)
        assert sum(report.cast.values()) > 0
        assert report.verified

    def test_equal_tensors_that_are_not_tied_stay_two(self, tmp_path: Path) -> None:
        torch.save({"a": torch.ones(5), "b": torch.ones(5)}, tmp_path / "x.pt")
        assert migrate(tmp_path / "x.pt", tmp_path / "out").ties == {}
        assert len(load_file(tmp_path / "out" / "model.safetensors")) == 2

    def test_a_tied_tensor_whose_name_means_something_else(self, tmp_path: Path) -> None:
        """`format` in the metadata is the framework; it can't be another name of a tensor as well."""
        tensor = torch.ones(5)
        torch.save({"a": tensor, "format": tensor, "total_size": tensor}, tmp_path / "x.pt")
        assert migrate(tmp_path / "x.pt", tmp_path / "out", max_shard_size=1).ties == {}
        assert set(read(tmp_path / "out")) == {"a", "format", "total_size"}

    def test_unsupported_tensors(self, tmp_path: Path) -> None:
        torch.save({"a": torch.ones(5), "s": torch.eye(3).to_sparse()}, tmp_path / "x.pt")
        with pytest.raises(UnsupportedFeature, match=r"1 of its tensors can't be read: 's'.*") as raised:
            migrate(tmp_path / "x.pt", tmp_path / "out")
        assert "--skip-unsupported" in str(raised.value)
        report = migrate(tmp_path / "x.pt", tmp_path / "out", skip_unsupported=True)
        assert list(report.unsupported) == ["s"]
        assert set(read(tmp_path / "out")) == {"a"}


class TestTargets:
    def test_what_is_there_is_not_replaced_without_being_told(self, source: Path, tmp_path: Path) -> None:
        target = tmp_path / "out"
        migrate(source, target, max_shard_size=2000)
        before = contents(target)
        for limit in (2000, "10GB"):
            with pytest.raises(SaveError, match=r"exists already") as raised:
                migrate(source, target, max_shard_size=limit)
            assert "--force" in str(raised.value)
        assert contents(target) == before
        migrate(source, target, force=True)
        assert set(contents(target)) == {"model.safetensors"}

    def test_other_files_in_the_way(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "config.json").write_text("mine")
        with pytest.raises(SaveError, match=r"config\.json: exists already"):
            migrate(directory, tmp_path / "out")
        with pytest.raises(SaveError, match=r"config\.json: exists already"):
            migrate(directory, tmp_path / "out", dry_run=True)
        assert (tmp_path / "out" / "config.json").read_text() == "mine"

    def test_force_removes_the_index_first(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two sets of shards, no index may point at a mixture."""
        target = tmp_path / "out"
        migrate(source, target, max_shard_size=2000)
        calls: list[str] = []
        for name in ("unlink", "replace"):
            really = getattr(os, name)

            def call(path: Any, *rest: Any, name: str = name, really: Callable[..., Any] = really) -> None:
                calls.append(f"{name} {Path(path).name}")
                really(path, *rest)

            monkeypatch.setattr(os, name, call)
        migrate(source, target, max_shard_size=1000, force=True)
        about_shards = [number for number, call in enumerate(calls) if "model-" in call]
        assert calls.index(f"unlink {INDEX}") < about_shards[0]
        assert calls.index(f"replace {INDEX}") > about_shards[-1]

    @pytest.mark.parametrize("options", [{}, {"force": True}, {"resume": True}, {"dry_run": True}])
    def test_the_source_is_no_target(self, directory: Path, source: Path, options: dict[str, bool]) -> None:
        migrate(source, source.parent / "x.safetensors")
        before = contents(source.parent)
        for place, target in (
            (directory, directory),
            (directory, directory.parent / "." / "model"),
            (source.parent / "x.safetensors", source.parent / "x.safetensors"),
        ):
            with pytest.raises(SaveError, match="the source is never written to"):
                migrate(place, target, **options)
        (source.parent / "link").symlink_to(directory)
        with pytest.raises(SaveError, match="the source is never written to"):
            migrate(directory, source.parent / "link", **options)
        (source.parent / "link").unlink()
        assert contents(source.parent) == before

    def test_a_directory_over_itself(self, source: Path, tmp_path: Path) -> None:
        migrate(source, tmp_path / "out")
        with pytest.raises(SaveError, match="a file of the source"):
            migrate(tmp_path / "out" / "model.safetensors", tmp_path / "out", force=True)

    @pytest.mark.parametrize("named", ["plainly", "by a link", "by a folder that is a link"])
    @pytest.mark.parametrize("options", [{"force": True}, {"force": True, "dry_run": True}, {"resume": True}])
    @pytest.mark.parametrize("sharded", [True, False])
    def test_the_source_among_the_targets_weights(
        self, source: Path, tmp_path: Path, sharded: bool, options: dict[str, bool], named: str
    ) -> None:
        """New weights replace all that the directory has, under whatever names; the source is not to be among them."""
        target = tmp_path / "d"
        migrate(source, target, max_shard_size=2000 if sharded else "10GB")
        before = contents(target)
        place = target / (INDEX if sharded else "model.safetensors")
        if named == "by a link" and not sharded:
            place = tmp_path / "link.safetensors"
            (tmp_path / "between").symlink_to(target / "model.safetensors")
            place.symlink_to("between")
        elif named != "plainly":
            (tmp_path / "folder").symlink_to(target)
            place = tmp_path / "folder" / place.name
        for convert in (partial(migrate, max_shard_size=700), partial(shard, max_shard_size=3000), merge):
            with pytest.raises(SaveError, match=r"is a file of the source") as raised:
                convert(place, target, **options)
            assert "source is never" in str(raised.value)
        assert contents(target) == before

    def test_one_shard_of_the_target(self, source: Path, tmp_path: Path) -> None:
        migrate(source, tmp_path / "d", max_shard_size=2000)
        before = contents(tmp_path / "d")
        shards = sorted((tmp_path / "d").glob("model-*"))
        with pytest.raises(SaveError, match="Write into another directory"):
            merge(shards[0], tmp_path / "d", force=True)
        assert contents(tmp_path / "d") == before
        merge(tmp_path / "d" / INDEX, tmp_path / "d" / "whole.safetensors")
        assert contents(tmp_path / "d").items() >= before.items()

    def test_a_link_that_leads_nowhere(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "dangling").symlink_to("nowhere")
        with pytest.raises(SaveError, match="dangling is a symbolic link that leads nowhere; expected a directory"):
            migrate(source, tmp_path / "dangling", force=True)

    def test_a_folder_of_the_target_that_is_a_link(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "victim").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "tokenizer").symlink_to(tmp_path / "victim")
        with pytest.raises(SaveError, match="tokenizer is a symbolic link"):
            migrate(directory, tmp_path / "out", force=True)
        assert contents(tmp_path / "victim") == {}
        assert os.listdir(tmp_path / "out") == ["tokenizer"]

    def test_what_is_there_can_not_be_read(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        migrate(directory, tmp_path / "out")

        def failing(*paths: Path) -> bool:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(conversion, "same_contents", failing)
        with pytest.raises(SaveError, match=r"out: what an earlier run wrote can't be read: Input/output error"):
            migrate(directory, tmp_path / "out", resume=True)

    def test_a_file_of_another_kind(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(SaveError, match="is a file; expected a directory"):
            migrate(source, tmp_path / "notes.txt", force=True)
        with pytest.raises(SaveError, match="shards are written into a directory"):
            shard(source, tmp_path / "x.safetensors")

    def test_a_dry_run_writes_nothing(self, directory: Path, tmp_path: Path) -> None:
        dry = migrate(directory, tmp_path / "out", max_shard_size=2000, dry_run=True)
        assert not (tmp_path / "out").exists()
        wet = migrate(directory, tmp_path / "out", max_shard_size=2000)
        assert (dry.files, dry.copied, dry.ties) == (wet.files, wet.copied, wet.ties)
        assert "would be written" in dry.sentences[0]


class TestManifest:
    def test_contents_in_one_number(self, source: Path, tmp_path: Path) -> None:
        one = migrate(source, tmp_path / "one", manifest=True)
        many = shard(tmp_path / "one", tmp_path / "many", max_shard_size=1000, manifest=True)
        file = merge(tmp_path / "many", tmp_path / "y.safetensors", manifest=True)
        plain = migrate(source, tmp_path / "other", drop=["ids"], manifest=True)
        assert one.content_sha256 == many.content_sha256 == file.content_sha256 != plain.content_sha256
        assert (tmp_path / "y.safetensors.manifest.json").exists()
        manifest = json.loads((tmp_path / "many" / "manifest.json").read_text())
        assert manifest["content_sha256"] == many.content_sha256
        assert manifest["tensors"] == len(model())
        assert manifest["files"].keys() == contents(tmp_path / "many").keys() - {"manifest.json"}

    def test_sums_of_files(self, directory: Path, tmp_path: Path) -> None:
        import hashlib

        migrate(directory, tmp_path / "out", manifest=True)
        files = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
        for name, content in contents(tmp_path / "out").items():
            if name != "manifest.json":
                assert files[name] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_reports_are_json_and_words(source: Path, tmp_path: Path) -> None:
    report = migrate(source, tmp_path / "out", dtype="bf16")
    values = json.loads(json.dumps(report.to_json()))
    assert values["tensors"] == report.tensors == len(model()) - 1
    assert values["files"][0]["name"] == "model.safetensors"
    text = "\n".join(report.sentences)
    for fact in (str(source), "18 tensors", "'head' is 'embed'", "F32 -> BF16", "every element is the same"):
        assert fact in text
    assert isinstance(report, MigrateReport)
    assert zoo_tools.migrate is migrate


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError):
        migrate(tmp_path / "x.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_a_model_that_is_migrated_alone_says_what_is_missing(directory, tmp_path):
    alone = migrate(directory / "pytorch_model.bin", tmp_path / "alone")
    assert any("config.json lies beside pytorch_model.bin and was not copied" in line for line in alone.sentences)
    whole = migrate(directory, tmp_path / "whole")
    assert not any("lies beside" in line for line in whole.sentences)
