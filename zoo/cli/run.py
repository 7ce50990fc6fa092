"""`zoo run`: a task on inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import click

import zoo
from zoo.cli.destination import destinations
from zoo.cli.inputs import batched, read_inputs
from zoo.cli.output import has_colours, is_terminal, json_text
from zoo.cli.progress import progress_bar
from zoo.cli.results import result_fields, result_text
from zoo.cli.settings import check_settings, generation_options, given, keywords, loading_options
from zoo.cli.task_options import TaskCommand, pipeline_class
from zoo.cli.text import escaped_lines, without_controls
from zoo.errors import InvalidInput
from zoo.registry import registry

__all__ = ["command"]

DEFAULT_BATCH = 8


@click.command(
    cls=TaskCommand,
    epilog="""\b
Examples:
  zoo run text-generation llama "The capital of France is" --max-new-tokens 8
  zoo run text-generation path/to/model --file prompts.txt --json
  cat reviews.txt | zoo run text-classification path/to/classifier
  zoo run image-classification path/to/classifier photo.jpg --top 5
  zoo run image-segmentation path/to/model photo.jpg --out overlay.png --window 512
  zoo run text-generation llama "Once upon a time" --temperature 0.8 --seed 1
  zoo run text-generation llama "Name three fruits:" --stop $'\\n\\n'
  zoo run text-generation llama "1, 2, 3," --set min_new_tokens=20 --set logprobs=true

TASK is a name of `zoo list tasks`; REF the name of an architecture or preset, a directory, a file, or
pkg://DISTRIBUTION/path. Each INPUT is worked on by itself; an image is given by its path. Without any, each line of
standard input is one.

Any setting of the task's pipeline is an option of its name, --window 512, or --set window=512. Values are read as JSON
where they can be.

Results are printed as text, without control characters; classes as label and score, or as label and share of the
pixels. With --json each is one object on a line: "input", and the fields of the result, e.g. "text", "token_ids",
"finish_reason", "prompt_tokens" for text-generation, "results", a list with "label" and "score", for classification,
or "segments" for image-segmentation.

Pictures and arrays are written with --out: for one input to the file of this name, for several into a directory, or to
names in which {name} stands for the input's.""",
)
@click.argument("task")
@click.argument("reference", metavar="REF")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("--file", metavar="PATH", help="Read inputs from this file, one per line; - is standard input.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help=f"Inputs at a time. [default: {DEFAULT_BATCH}]"
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="For classes: show the N likeliest. [default: 1]")
@click.option("--stream/--no-stream", default=None, help="Print text as it is made. The default on a terminal.")
@click.option("--out", metavar="PATH", help="Write each result to a file; see below.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per input, for programs.")
@generation_options
@loading_options
def command(
    task: str,
    reference: str,
    inputs: tuple[str, ...],
    file: str | None,
    batch_size: int | None,
    top: int | None,
    stream: bool | None,
    out: str | None,
    as_json: bool,
    dtype: str | None,
    device: str | None,
    attention: str | None,
    **settings: Any,
) -> None:
    """Run TASK with the model REF on each INPUT."""
    if stream and as_json:
        raise click.UsageError("--stream and --json exclude each other: an object is printed when it is complete.")
    items: Iterable[str] = read_inputs(inputs, file)
    entry = registry().tasks.get(task)
    name = entry.spec.name
    targets: Iterable[Path | None] = repeat(None)
    if out is not None:
        items = list(items)
        targets = destinations(out, items, _file_suffixes(entry.full_name, name))
    chosen = given(top=top, **settings)
    with progress_bar(f"Loading {reference}") as progress:
        load_options = given(dtype=dtype, device=device, attention=attention, progress=progress)
        pipeline = zoo.pipeline(entry.full_name, reference, **load_options)
    check_settings(name, pipeline, chosen)
    can_stream = hasattr(pipeline, "stream")
    if stream and not can_stream:
        raise click.UsageError(f"{name} does not make its results piece by piece; leave out --stream.")
    by_default = can_stream and batch_size is None and not as_json and is_terminal(sys.stdout)
    if stream if stream is not None else by_default:
        _run_streaming(pipeline, items, chosen)
        return
    are_several = len(inputs) != 1 or inputs == ("-",)
    results = _results(pipeline, items, chosen, batch_size or DEFAULT_BATCH, are_several)
    failed = 0
    for (item, result), target in zip(results, targets, strict=False):  # as many, or an endless number of none
        if isinstance(result, InvalidInput):
            failed += 1
            click.echo(f"zoo: error: {escaped_lines(str(result))}", err=True)
            if as_json:
                click.echo(json_text({"input": item, "error": str(result)}))
            continue
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            result.save(target)
        if as_json:
            written = {} if target is None else {"out": str(target)}
            click.echo(json_text({"input": item, **written, **result_fields(result)}))
        else:
            shown = result if "top" in chosen else _best(result)
            click.echo(result_text(shown, item if are_several else None))
    if failed:
        click.echo(f"zoo: error: {failed} of the inputs can't be used.", err=True)
        click.get_current_context().exit(1)


def _file_suffixes(task: str, name: str) -> tuple[str, ...]:
    """Of the files that the results of a task are saved in: a pipeline has them under this name if there are any."""
    suffixes: tuple[str, ...] = getattr(pipeline_class(task), "file_suffixes", ())
    if not suffixes:
        raise click.UsageError(f"{name} makes nothing that is written to files; leave out --out.")
    return suffixes


def _run_streaming(pipeline: Any, items: Iterable[str], settings: Mapping[str, Any]) -> None:
    """One after another. On a terminal the text follows what it continues."""
    for number, item in enumerate(items):
        if number and is_terminal(sys.stdout):
            click.echo()
        if is_terminal(sys.stdout):
            shown = without_controls(item)
            click.echo(click.style(shown, dim=True) if has_colours(sys.stdout) else shown, nl=False)
        for piece in pipeline.stream(item, **settings):
            click.echo(without_controls(piece), nl=False)
        click.echo()


def _results(
    pipeline: Any, items: Iterable[str], settings: Mapping[str, Any], batch_size: int, are_several: bool
) -> Iterator[tuple[str, Any]]:
    """Each input with its result; of several, one that can't be used gets the error, and costs the others nothing.

    batch_size: of a pipeline that makes batches itself, also what it is told.
    """
    if "batch_size" in keywords(pipeline):
        settings = {"batch_size": batch_size, **settings}
    for batch in batched(items, batch_size):
        try:
            yield from zip(batch, list(pipeline(batch, **settings)), strict=True)
        except InvalidInput:
            if not are_several:
                raise
            for item in batch:
                yield item, _result_or_error(pipeline, item, settings)


def _result_or_error(pipeline: Any, item: str, settings: Mapping[str, Any]) -> Any:
    try:
        return next(iter(pipeline([item], **settings)))
    except InvalidInput as error:
        return error


def _best(result: Any) -> Any:
    """The first of several classes, which are in the order of their scores; any other result as it is."""
    return result[:1] if isinstance(result, list) else result
