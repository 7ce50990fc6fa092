"""Side by side with transformers, in one run: start-up, loading, memory, decoding. Run by `make bench`.

Each pair is interleaved and the median of each side taken, so that a noisy machine disturbs both alike; what counts is
the ratio. The table is printed and written into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, compile_all, interleaved, render, write

LOAD_ZOO = "import zoo; zoo.load({path!r})"
LOAD_TRANSFORMERS = (
    "from transformers import LlamaForCausalLM; LlamaForCausalLM.from_pretrained({path!r}, dtype='auto')"
)
MEMORY_ZOO = "import zoo, tokenizers, zoo_llama.model; zoo.load; load = lambda: zoo.load({path!r})"
MEMORY_TRANSFORMERS = (
    "from transformers import AutoTokenizer, LlamaForCausalLM; import tokenizers; load = lambda: "
    "(LlamaForCausalLM.from_pretrained({path!r}, dtype='auto'), AutoTokenizer.from_pretrained({path!r}))"
)
GROWTH = """
import psutil
process = psutil.Process()
before = process.memory_info().rss
model = load()
print(process.memory_info().rss - before)
"""


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default 5)")
    parser.add_argument("--tokens", type=int, default=64, help="how many tokens are decoded (default 64)")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        path = make_model(Path(folder))
        rows = [
            *start_up(arguments.rounds),
            *loading(path, arguments.rounds),
            *memory(path),
            *decoding(path, arguments.rounds, arguments.tokens),
        ]
    table = render(title(), rows, "transformers (or the peer named)")
    print(table)
    write("results", table)


def make_model(folder: Path) -> str:
    """SmolLM2-135M-Instruct as a Hub directory in bfloat16, as it is published."""
    import zoo

    model, preprocessor = zoo.load("llama", dtype="bfloat16")
    zoo.save(model, folder / "smollm2", preprocessor=preprocessor)
    return str(folder / "smollm2")


def start_up(rounds: int) -> list[Row]:
    """The whole process of `zoo list`."""
    ours, theirs = interleaved(
        lambda: timed([str(Path(sys.executable).with_name("zoo")), "list"]),
        lambda: timed([sys.executable, "-c", "import transformers"]),
        rounds * 2,
    )
    ratio = ours / theirs
    return [
        Row(
            "`zoo list`, process; peer: `import transformers`",
            f"{ours * 1e3:.0f} ms",
            f"{theirs * 1e3:.0f} ms",
            f"{ratio:.2f}",
            "<= 0.167",
            ratio <= 1 / 6,
        )
    ]


def loading(path: str, rounds: int) -> list[Row]:
    """From process start to a loaded model."""
    ours, theirs = interleaved(
        lambda: timed([sys.executable, "-c", LOAD_ZOO.format(path=path)]),
        lambda: timed([sys.executable, "-c", LOAD_TRANSFORMERS.format(path=path)]),
        rounds,
    )
    torch_alone = statistics.median(timed([sys.executable, "-c", "import torch"]) for _ in range(rounds))
    ratio = ours / theirs
    return [
        Row(
            "process start to loaded model, 135M, bfloat16",
            f"{ours:.2f} s",
            f"{theirs:.2f} s",
            f"{ratio:.2f}",
            "<= 0.5",
            ratio <= 0.5,
        ),
        Row(
            "the same; peer: `import torch` alone",
            f"{ours:.2f} s",
            f"{torch_alone:.2f} s",
            f"{ours / torch_alone:.2f}",
            "<= import torch + 0.3 s",
            ours <= torch_alone + 0.3,
        ),
    ]


def memory(path: str) -> list[Row]:
    """Growth of the resident memory by loading, in a process of its own that has imported everything before."""
    size = sum(file.stat().st_size for file in Path(path).glob("*.safetensors"))
    growth = {}
    for name, setup in (("zoo", MEMORY_ZOO), ("transformers", MEMORY_TRANSFORMERS)):
        code = setup.format(path=path) + GROWTH
        growth[name] = int(
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1]
        )
    weights_only = resident_of_weights(path)
    return [
        Row(
            "resident growth by loading model and tokenizer, share of the file",
            f"{growth['zoo'] / size:.1%}",
            f"{growth['transformers'] / size:.1%}",
            f"{growth['zoo'] / growth['transformers']:.2f}",
        ),
        Row(
            "resident growth by loading the model alone, share of the file",
            f"{weights_only / size:.1%}",
            "",
            f"{weights_only / size:.2f}",
            "<= 0.05",
            weights_only / size <= 0.05,
        ),
    ]


def resident_of_weights(path: str) -> int:
    """The same growth without the tokenizer, whose vocabulary is no part of the weights."""
    setup = """
import zoo, torch, tokenizers
import zoo.loading, zoo_llama.model, zoo_llama.keys, zoo_llama.layouts, zoo.registry
import zoo.tasks.text_generation, zoo.preprocess.text
load = lambda: zoo.load({path!r})[0]
"""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "model.safetensors"):
            Path(folder, name).symlink_to(Path(path, name))
        code = setup.format(path=folder) + GROWTH
        return int(
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1]
        )


def decoding(path: str, rounds: int, tokens: int) -> list[Row]:
    """Tokens per second, batch 1, greedy, the same weights and prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import zoo

    rows = []
    for dtype in ("float32", "bfloat16"):
        model, _ = zoo.load(path, dtype=dtype)
        reference = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        tokenizer = AutoTokenizer.from_pretrained(path)
        prompt = "The history of the city begins in"
        inputs = tokenizer(prompt, return_tensors="pt")
        ids = inputs["input_ids"]

        def ours(model=model, ids=ids) -> float:
            begin = time.perf_counter()
            output = model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
            return len(output.token_ids[0]) / (time.perf_counter() - begin)

        def theirs(reference=reference, inputs=inputs) -> float:
            begin = time.perf_counter()
            output = reference.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
            return (output.shape[1] - inputs["input_ids"].shape[1]) / (time.perf_counter() - begin)

        ours(), theirs()
        mine, peer = interleaved(ours, theirs, rounds)
        rows.append(
            Row(
                f"decoding, batch 1, {dtype}, {tokens} tokens",
                f"{mine:.1f} tokens/s",
                f"{peer:.1f} tokens/s",
                f"{mine / peer:.2f}",
                ">= 1.0",
                mine >= peer,
            )
        )
    return rows


def timed(command: list[str]) -> float:
    """Seconds that a process takes."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def title() -> str:
    """What it was measured on."""
    import torch
    import transformers

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
