"""Vision side by side with transformers, timm and torchvision: images per second, memory, compiled. Run by
`make bench-vision`, in an environment of its own: timm needs torchvision, which needs another torch than the tests.

All sides have the same weights, but for torchvision's, whose names nobody else's files have.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.table import Row, in_turns, render, write

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
}
PEERS = ("transformers", "timm", "torchvision")
BAR = 1.2


def main() -> None:
    """Run everything and write the table; or, for a process of its own, measure the memory of one side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default 2)")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="default: float32 bfloat16")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes")
    parser.add_argument("--memory-of", nargs=2, metavar=("SIDE", "DIRECTORY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    if arguments.memory_of is not None:
        print(peak_of_forward(*arguments.memory_of))
        return
    dtypes = [getattr(torch, name) for name in arguments.dtypes]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in chain(
            memory(folder / "tiny", arguments.threads),
            classification(folder, dtypes, arguments.rounds, not arguments.no_compile),
            segmentation(folder, dtypes, arguments.rounds, not arguments.no_compile),
        ):
            print(f"{row.what}: {row.zoo}; {row.peer}; {row.ratio}", file=sys.stderr, flush=True)
            rows.append(row)
    table = render(title(arguments), rows)
    print(table)
    write("vision", table)


def classification(folder: Path, dtypes: Sequence[torch.dtype], rounds: int, compiled: bool) -> Iterator[Row]:
    """Images per second of classifiers for images of 224 x 224."""
    for size in SIZES:
        make_classifier(folder / size, size)
        for dtype in dtypes:
            models = {name: side(name, folder / size, dtype) for name in ("zoo", *PEERS)}
            if dtype is torch.float32:
                require_same(models, torch.randn(1, 3, 224, 224))
            for batch in (1, 8):
                pixels = torch.randn(batch, 3, 224, 224, dtype=dtype)
                what = f"Swin-{size[0].upper()}, batch {batch}, {name_of(dtype)}"
                yield from speed(what, models, pixels, rounds, compiled and size == "tiny")


def segmentation(folder: Path, dtypes: Sequence[torch.dtype], rounds: int, compiled: bool) -> Iterator[Row]:
    """Images per second of UperNet with Swin-T for images of 512 x 512, at the resolution of the images."""
    import transformers

    import zoo

    backbone = transformers.SwinConfig(**SIZES["tiny"], out_features=[f"stage{stage}" for stage in range(1, 5)])
    config = transformers.UperNetConfig(backbone_config=backbone, num_labels=150, auxiliary_in_channels=384)
    transformers.UperNetForSemanticSegmentation(config).eval().save_pretrained(folder / "upernet")
    for dtype in dtypes:
        ours, _ = zoo.load(folder / "upernet", dtype=dtype)
        theirs = transformers.UperNetForSemanticSegmentation.from_pretrained(folder / "upernet", dtype=dtype).eval()

        def whole(pixels: Tensor, model: nn.Module = ours) -> Tensor:
            logits = model({"pixel_values": pixels}).logits
            return nn.functional.interpolate(logits, pixels.shape[-2:], mode="bilinear", align_corners=False)

        def reference(pixels: Tensor, model: nn.Module = theirs) -> Tensor:
            logits: Tensor = model(pixel_values=pixels).logits
            return logits

        models = {"zoo": whole, "transformers": reference}
        pixels = torch.randn(1, 3, 512, 512, dtype=dtype)
        if dtype is torch.float32:
            require_same(models, pixels)
        yield from speed(f"UperNet-Swin-T, batch 1, 512 x 512, {name_of(dtype)}", models, pixels, rounds, compiled)


def memory(directory: Path, threads: int) -> Iterator[Row]:
    """What a forward pass of Swin-T at batch 8 takes at its peak, beyond the loaded model; each in its own process."""
    make_classifier(directory, directory.name)
    peaks = {}
    for name in ("zoo", "timm"):
        command = [sys.executable, "-m", "benchmarks.vision", "--threads", str(threads)]
        command += ["--memory-of", name, str(directory)]
        peaks[name] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    ratio = peaks["zoo"] / peaks["timm"]
    shown = {name: f"{peak / 1e6:.0f} MB" for name, peak in peaks.items()}
    what = "peak memory of a forward of Swin-T, batch 8, float32; peer: timm"
    yield Row(what, shown["zoo"], shown["timm"], f"{ratio:.2f}", "<= 1.0", ratio <= 1)


def peak_of_forward(name: str, directory: str) -> int:
    """Bytes by which the resident memory grows at the peak of a forward pass, beyond what it is before."""
    model = side(name, Path(directory), torch.float32)
    model(torch.randn(1, 3, 224, 224))  # what is made once
    pixels = torch.randn(8, 3, 224, 224)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak; see proc(5)
    before = _status("VmRSS")
    model(pixels)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def make_classifier(directory: Path, size: str) -> None:
    """Random weights, written by transformers."""
    import transformers

    torch.manual_seed(0)
    config = transformers.SwinConfig(**SIZES[size], num_labels=1000)
    transformers.SwinForImageClassification(config).eval().save_pretrained(directory)


def side(name: str, directory: Path, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """One of the implementations with the weights of a directory: pixels to logits."""
    if name == "transformers":
        import transformers

        reference = transformers.SwinForImageClassification.from_pretrained(directory, dtype=dtype).eval()
        return lambda pixels: reference(pixel_values=pixels).logits
    if name == "torchvision":
        import torchvision

        make = torchvision.models.swin_t if directory.name == "tiny" else torchvision.models.swin_b
        return make().eval().to(dtype)
    import zoo

    model, _ = zoo.load(directory, dtype=dtype)
    if name == "zoo":
        return lambda pixels: model({"pixel_values": pixels}).logits
    import timm

    peer = timm.create_model(f"swin_{directory.name}_patch4_window7_224", pretrained=False).eval().to(dtype)
    peer.load_state_dict(under_timms_names(model), strict=False)  # what is absent are the derived buffers
    return peer


def under_timms_names(model: Any) -> dict[str, Tensor]:
    """A model's tensors as timm calls them, by the key map that reads timm's files, backwards."""
    from zoo.interfaces import LayoutConfigs
    from zoo_swin.keys import timm as timms_names

    tensors = model.state_dict()
    matches, unclaimed = timms_names(LayoutConfigs(architecture=model.config)).match_model(tensors)
    if unclaimed:
        raise SystemExit(f"timm has no place for {', '.join(unclaimed)}")
    return {
        name: tensor
        for match in matches
        for name, tensor in zip(match.stored, match.operation.save([tensors[key] for key in match.model]), strict=True)
    }


def require_same(models: dict[str, Callable[[Tensor], Tensor]], pixels: Tensor) -> None:
    """End with a message where sides of the same weights differ."""
    expected = models["zoo"](pixels)
    for name, model in models.items():
        if name == "torchvision":
            continue
        difference = (model(pixels) - expected).abs().max().item()
        if not difference <= 1e-4 * max(1, expected.abs().max().item()):
            raise SystemExit(f"{name} differs from zoo by {difference:.2e} with the same weights")


def speed(
    what: str, models: dict[str, Callable[[Tensor], Tensor]], pixels: Tensor, rounds: int, compiled: bool
) -> list[Row]:
    """Rows of images per second: as written, against the best peer; and compiled by inductor."""
    sides = dict(models)
    if compiled:
        sides["zoo, compiled"] = torch.compile(models["zoo"], fullgraph=True)
    for model in sides.values():
        model(pixels)

    def seconds(model: Callable[[Tensor], Tensor]) -> Callable[[], float]:
        def run() -> float:
            begin = time.perf_counter()
            model(pixels)
            return time.perf_counter() - begin

        return run

    medians = in_turns({name: seconds(model) for name, model in sides.items()}, rounds)
    rates = {name: pixels.shape[0] / took for name, took in medians.items()}
    best = max((name for name in models if name != "zoo"), key=lambda name: rates[name])
    peers = ", ".join(f"{name} {rates[name]:.2f}" for name in models if name != "zoo")
    rows = []
    for name in ("zoo", "zoo, compiled"):
        if name in rates:
            ratio = rates[name] / rates[best]
            bar, met = (f">= {BAR}", ratio >= BAR) if name == "zoo" else ("", None)
            shown = what if name == "zoo" else f"{what}, `torch.compile`; peers as they are"
            rows.append(Row(shown, f"{rates[name]:.2f} images/s", f"{peers} images/s", f"{ratio:.2f}", bar, met))
    return rows


def name_of(dtype: torch.dtype) -> str:
    """ "float32"."""
    return str(dtype).removeprefix("torch.")


def title(arguments: argparse.Namespace) -> str:
    """What it was measured on."""
    from importlib.metadata import version

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *PEERS))
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, Python "
        f"{platform.python_version()}, {versions}; medians of {arguments.rounds} rounds; {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
