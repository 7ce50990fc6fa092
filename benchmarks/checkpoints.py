"""The checkpoint tools side by side with `cp` and with the libraries: time, memory, growth. Run by `make bench`.

Whole processes, interleaved, medians. The peak of a process's memory begins at that of its parent, so this program
imports neither torch nor numpy: what needs them runs in processes of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Row, compile_all, render, write

# The types and shapes of a language model.
MAKE_MODEL = """
import sys, torch
generator = torch.Generator().manual_seed(0)
state, layer = {{}}, 0
size = 0
while size < {size}:
    for name, shape in {shapes}.items():
        tensor = torch.empty(shape, dtype=torch.bfloat16).normal_(generator=generator)
        state[f"model.layers.{{layer}}.{{name}}.weight"] = tensor
        size += tensor.nbytes
    layer += 1
torch.save(state, {path!r})
"""
SHAPES = {
    "self_attn.q_proj": (2048, 2048),
    "self_attn.k_proj": (256, 2048),
    "self_attn.v_proj": (256, 2048),
    "self_attn.o_proj": (2048, 2048),
    "mlp.gate_proj": (5632, 2048),
    "mlp.up_proj": (5632, 2048),
    "mlp.down_proj": (2048, 5632),
    "input_layernorm": (2048,),
    "post_attention_layernorm": (2048,),
}
MAKE_MANY = """
import torch
torch.save({{f"layers.{{number}}.weight": torch.full((8,), float(number)) for number in range({count})}}, {path!r})
"""
MIGRATE = "from zoo_tools import migrate; migrate({source!r}, {target!r}{options})"
SHARD = "from zoo_tools import shard; shard({source!r}, {target!r}, max_shard_size='500MB'{options})"
LOAD_AND_SAVE = (
    "import torch, safetensors.torch as st; "
    "st.save_file(torch.load({source!r}, mmap=True, weights_only=True), {target!r} + '.safetensors')"
)
HUB = (
    "import os, torch; from huggingface_hub import save_torch_state_dict; os.mkdir({target!r}); "
    "save_torch_state_dict(torch.load({source!r}, mmap=True, weights_only=True), {target!r}, max_shard_size='500MB')"
)
OPEN = (
    "import time, zoo.checkpoint as c; from zoo.checkpoint import open_checkpoint; begin = time.perf_counter(); "
    "len(open_checkpoint({source!r})); print(time.perf_counter() - begin)"
)
TORCH_LOAD = (
    "import time, torch; begin = time.perf_counter(); "
    "len(torch.load({source!r}, weights_only=True, mmap=True)); print(time.perf_counter() - begin)"
)
PLAIN = ", sync=False, verify=False"
VERIFIED = ", sync=False"


@dataclass(frozen=True)
class Run:
    """What one process took. printed: the number that it printed, if it did."""

    seconds: float
    megabytes: float
    printed: float | None = None


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default 5)")
    parser.add_argument("--size", type=float, default=2.5, help="GB of the checkpoint (default 2.5)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a new folder in the system's own)")
    parser.add_argument("--keep", action="store_true", help="print the table and don't write it")
    arguments = parser.parse_args()
    compile_all()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        size = int(arguments.size * 1e9)
        need(folder, 4 * size)
        rows = [
            *copying(folder, size, arguments.rounds),
            *many_tensors(folder, arguments.rounds),
            inspecting(folder, arguments.rounds),
            *growth(folder),
        ]
    table = render(title(arguments.rounds, arguments.size), rows)
    print(table)
    if not arguments.keep:
        write("checkpoints", table)


def copying(folder: Path, size: int, rounds: int) -> list[Row]:
    """Migrating and sharding against copying the bytes and against the libraries."""
    source, target = folder / "model.bin", folder / "out"
    python(MAKE_MODEL.format(size=size, shapes=SHAPES, path=str(source)))
    subprocess.run(["sync", str(source)], check=True)
    copy = ["cp", "--reflink=never", str(source), str(target)]
    cp_and_sync = ["sh", "-c", 'cp --reflink=never "$0" "$1" && sync "$1"', str(source), str(target)]

    def code(template: str, options: str = "") -> list[str]:
        return [sys.executable, "-c", template.format(source=str(source), target=str(target), options=options)]

    flushless = compare(
        {
            "cp": copy,
            "migrate": code(MIGRATE, PLAIN),
            "verified": code(MIGRATE, VERIFIED),
            "shard": code(SHARD, PLAIN),
            "shard verified": code(SHARD, VERIFIED),
            "load and save": code(LOAD_AND_SAVE),
            "hub": code(HUB),
        },
        target,
        rounds,
    )
    durable = compare(
        {
            "cp": cp_and_sync,
            "migrate": code(MIGRATE, ", verify=False"),
            "verified": code(MIGRATE),
            "shard": code(SHARD, ", verify=False"),
            "shard verified": code(SHARD),
        },
        target,
        rounds,
    )
    source.unlink()
    rows = []
    for what, runs, bars in (("not flushed", flushless, (1.3, 1.8)), ("flushed to disk", durable, (1.3, 1.3))):
        for name, bar in (("migrate", bars[0]), ("shard", bars[0]), ("verified", bars[1]), ("shard verified", bars[1])):
            title = {"verified": "migrate, verified", "shard verified": "shard into 500 MB, verified"}.get(
                name, f"{name}, unverified" if name == "migrate" else "shard into 500 MB, unverified"
            )
            rows.append(timed_row(f"{title}, {what}; peer: `cp`", runs[name], runs["cp"], f"<= {bar}", bar))
    for ours, theirs, title in (
        ("migrate", "load and save", "migrate, unverified, not flushed; peer: `torch.load(mmap=True)` + `save_file`"),
        ("verified", "load and save", "migrate, verified, not flushed; peer: the same"),
        ("shard", "hub", "shard into 500 MB, unverified, not flushed; peer: `save_torch_state_dict`"),
        ("shard verified", "hub", "shard into 500 MB, verified, not flushed; peer: the same"),
    ):
        rows.append(timed_row(title, flushless[ours], flushless[theirs], "<= 0.333", 1 / 3))
    peak = max(run.megabytes for name in ("migrate", "verified", "shard", "shard verified") for run in flushless[name])
    peer = max(run.megabytes for name in ("load and save", "hub") for run in flushless[name])
    rows.append(
        Row("peak resident memory of these; peer: the libraries", *megabytes(peak, peer), "<= 100 MB", peak <= 100)
    )
    return rows


def many_tensors(folder: Path, rounds: int) -> list[Row]:
    """Opening a checkpoint of 200,000 tensors; imports are not counted."""
    source = folder / "many.bin"
    python(MAKE_MANY.format(count=200_000, path=str(source)))
    runs = compare(
        {
            "zoo": [sys.executable, "-c", OPEN.format(source=str(source))],
            "torch": [sys.executable, "-c", TORCH_LOAD.format(source=str(source))],
        },
        folder / "none",
        min(rounds, 3),
    )
    seconds = {side: statistics.median(run.printed or 0 for run in of_side) for side, of_side in runs.items()}
    peak = max(run.megabytes for run in runs["zoo"])
    peer = max(run.megabytes for run in runs["torch"])
    migrated = [sys.executable, "-c", MIGRATE.format(source=str(source), target=str(folder / "out"), options="")]
    whole = compare({"migrate": migrated}, folder / "out", 1)["migrate"][0]
    source.unlink()
    ratio = seconds["zoo"] / seconds["torch"]
    return [
        Row(
            "open 200,000 tensors; peer: `torch.load(weights_only=True, mmap=True)`",
            f"{seconds['zoo']:.2f} s",
            f"{seconds['torch']:.2f} s",
            f"{ratio:.2f}",
            "<= 0.25",
            ratio <= 0.25,
        ),
        Row("peak resident memory of that; peer: the same", *megabytes(peak, peer), "<= 450 MB", peak <= 450),
        Row(
            "migrate 200,000 tensors, verified and flushed: time; memory",
            f"{whole.seconds:.1f} s; {whole.megabytes:.0f} MB",
            "",
            "",
            "<= 450 MB",
            whole.megabytes <= 450,
        ),
    ]


def inspecting(folder: Path, rounds: int) -> Row:
    """`zoo inspect` of a file of 10 GB, most of it a hole."""
    path = folder / "sparse.safetensors"
    sparse(path, 10_000_000_000, 400)
    command = [str(Path(sys.executable).with_name("zoo")), "inspect", str(path)]
    runs = compare({"zoo": command}, folder / "none", rounds * 2)["zoo"]
    path.unlink()
    seconds = median(runs)
    return Row(
        "`zoo inspect` of a 10 GB checkpoint, process", f"{seconds * 1e3:.0f} ms", "", "", "< 300 ms", seconds < 0.3
    )


def growth(folder: Path) -> list[Row]:
    """How the cost grows with bytes (read out of a file with a hole, written for real) and with tensors."""
    rows = []
    target = folder / "out"
    by_size = []
    for gigabytes in (1, 2, 4, 8):
        need(folder, gigabytes * 10**9)
        path = folder / "sparse.safetensors"
        sparse(path, gigabytes * 10**9, 200)
        command = [sys.executable, "-c", SHARD.format(source=str(path), target=str(target), options=VERIFIED)]
        by_size.append(compare({"run": command}, target, 3)["run"])
        path.unlink()
    rows.append(growth_row("shard 1, 2, 4, 8 GB into 500 MB, verified, not flushed", by_size, (1, 2, 4, 8)))
    by_count = []
    for count in (1_000, 10_000, 100_000):
        path = folder / "many.bin"
        python(MAKE_MANY.format(count=count, path=str(path)))
        command = [sys.executable, "-c", MIGRATE.format(source=str(path), target=str(target), options=VERIFIED)]
        by_count.append(compare({"run": command}, target, 3)["run"])
        path.unlink()
    rows.append(growth_row("migrate 1k, 10k, 100k tensors, verified, not flushed", by_count, (1, 10, 100)))
    return rows


def growth_row(what: str, runs: Sequence[Sequence[Run]], factors: Sequence[int]) -> Row:
    """The times, and as the ratio what a unit of work costs at the last of the factors against the one before."""
    seconds = [median(each) for each in runs]
    # The start of the process is the same for all; it is taken off by differences.
    last, before = ((seconds[place] - seconds[0]) / (factors[place] - factors[0]) for place in (-1, -2))
    rate = last / before
    times = ", ".join(f"{second:.2f} s" for second in seconds)
    peak = ", ".join(f"{max(run.megabytes for run in each):.0f} MB" for each in runs)
    return Row(f"{what}: times; memory; growth", f"{times}; {peak}", "", f"{rate:.2f}", "linear: <= 1.3", rate <= 1.3)


def compare(commands: dict[str, list[str]], target: Path, rounds: int) -> dict[str, list[Run]]:
    """Run each command in turns; who begins changes from round to round."""
    results: dict[str, list[Run]] = {name: [] for name in commands}
    names = list(commands)
    for round_ in range(rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            clear(target)
            os.sync()  # what others have left to write is not to disturb
            results[name].append(measured(commands[name]))
    clear(target)
    return results


def measured(command: list[str]) -> Run:
    """Time and peak memory of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    try:
        printed: float | None = float(output)
    except ValueError:
        printed = None
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return Run(seconds, usage.ru_maxrss / scale, printed)


def timed_row(what: str, ours: Sequence[Run], theirs: Sequence[Run], bar: str, limit: float) -> Row:
    """A row of medians."""
    ratio = median(ours) / median(theirs)
    return Row(what, f"{median(ours):.2f} s", f"{median(theirs):.2f} s", f"{ratio:.2f}", bar, ratio <= limit)


def megabytes(ours: float, theirs: float) -> tuple[str, str, str]:
    """Memory of both sides and its ratio."""
    return f"{ours:.0f} MB", f"{theirs:.0f} MB", f"{ours / theirs:.2f}"


def median(runs: Sequence[Run]) -> float:
    """The median of the times."""
    return statistics.median(run.seconds for run in runs)


def sparse(path: Path, size: int, tensors: int) -> None:
    """A safetensors file of about this size whose data are a hole."""
    import json

    each = size // tensors // 4096 * 4096
    header = {
        f"model.layers.{number}.weight": {
            "dtype": "BF16",
            "shape": [each // 4096, 2048],
            "data_offsets": [number * each, (number + 1) * each],
        }
        for number in range(tensors)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + each * tensors)


def python(code: str) -> None:
    """Run code in a process of its own."""
    subprocess.run([sys.executable, "-c", code], check=True)


def clear(target: Path) -> None:
    """Remove what a run has written."""
    if target.is_dir():
        shutil.rmtree(target)
    for path in (target, target.with_name(target.name + ".safetensors")):
        path.unlink(missing_ok=True)


def need(folder: Path, size: int) -> None:
    """End with a message when the disk has not so much room."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SystemExit(f"{folder}: {size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def title(rounds: int, size: float) -> str:
    """What it was measured on."""
    import platform
    from importlib.metadata import version

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}, "
        f"safetensors {version('safetensors')}, huggingface_hub {version('huggingface_hub')}; "
        f"a checkpoint of {size} GB, medians of {rounds} rounds, warm caches; {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
