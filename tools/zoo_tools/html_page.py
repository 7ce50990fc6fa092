"""A checkpoint on one page of HTML: it needs no network and no script, and works in a light and a dark room."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from zoo.cli.text import escaped
from zoo.cli.wording import plural, scaled_count, scaled_size
from zoo_tools.html_style import STYLE
from zoo_tools.html_treemap import TIMES, Colours, treemap
from zoo_tools.inspection import InspectReport
from zoo_tools.tree import Branch, fold

__all__ = ["html_report"]

MOST_ROWS = 4000
MOST_LISTED = 200
OPEN_ABOVE = 0.04
"""A prefix with a larger share of the bytes is shown with what is in it."""


def html_report(report: InspectReport) -> str:
    """The page, as text to be written in UTF-8. Whatever a checkpoint says of itself stands on it as text."""
    root = fold(report.tensors)
    colours = Colours(root)
    name = report.location.resolve().name or str(report.location)
    sections = [
        _header(report, name),
        _notes(report),
        _section("Where the bytes are", treemap(root, colours) + _legend(colours, root)) if root.nbytes else "",
        _section("Types", _types(report)),
        _section("Tensors by prefix", _tree(root, colours)),
        _section("Files", _files(report)),
        _section("Tied tensors", _groups(report.tied, " = ")) if report.tied else "",
        _section("Views into one storage", _groups(report.overlapping, ", ")) if report.overlapping else "",
        _section("Not readable", _pairs(report.unsupported.items())) if report.unsupported else "",
        _section("What unpickling would do", _code(report)) if report.code is not None else "",
        _section("Metadata", _metadata(report)) if report.metadata else "",
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{shown(name)}</title>
<style>{STYLE}{colours.style()}</style>
</head>
<body>
<main>
{"".join(sections)}
</main>
<footer>Read from the headers by <code>zoo inspect</code>; nothing in the checkpoint was run.</footer>
</body>
</html>
"""


def shown(text: str) -> str:
    """Others' text as HTML: what would act on a page or a terminal is written as an escape."""
    return html.escape(escaped(text), quote=True)


def _header(report: InspectReport, name: str) -> str:
    facts = [
        ("parameters", scaled_count(report.parameters)),
        ("in tensors", scaled_size(report.tensor_bytes)),
        ("tensors", f"{len(report.tensors):,}"),
        ("files", f"{len(report.files):,}"),
        ("format", report.format),
    ]
    cards = "".join(f"<div class=card><b>{shown(value)}</b><span>{shown(label)}</span></div>" for label, value in facts)
    path = f"<p class=path>{shown(str(report.location))}</p>"
    return f"<header><h1>{shown(name)}</h1>{path}<div class=cards>{cards}</div></header>"


def _notes(report: InspectReport) -> str:
    """What one should know first: which part is the model, and what is wrong or odd."""
    selection = report.selection
    chosen = "" if selection is None or not (selection.path or selection.left_out) else selection.reason
    notes = list(report.warnings)
    if report.code is not None and report.code.runs_code and not notes:
        notes.insert(0, "torch.load(weights_only=False) would run code from this file. Reading it with zoo does not.")
    if selection is not None and selection.path is None:
        notes.insert(0, f"Which part is the model can't be told: {selection.reason}.")
        chosen = ""
    items = "".join(f"<li>{shown(note)}</li>" for note in notes[:MOST_LISTED])
    return (f"<p class=chosen>{shown(chosen)}</p>" if chosen else "") + (
        f"<ul class=notes>{items}</ul>" if items else ""
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{shown(title)}</h2>{body}</section>\n"


def _legend(colours: Colours, root: Branch) -> str:
    items = "".join(
        f"<li><i class=c{place}></i>{shown(kind)} <span>{share(nbytes, root.nbytes)}</span></li>"
        for place, kind, nbytes in colours.entries()
    )
    return f"<ul class=legend>{items}</ul>"


def _types(report: InspectReport) -> str:
    whole = sum(total.nbytes for total in report.dtypes) or 1
    rows = [
        (
            shown(total.name),
            f"{total.tensors:,}",
            scaled_count(total.elements),
            scaled_size(total.nbytes),
            _bar(total.nbytes / whole),
        )
        for total in report.dtypes
    ]
    return _table(("type", "tensors", "elements", "bytes", "share"), rows)


def _files(report: InspectReport) -> str:
    rows = [
        (shown(file.path.name), f"{file.tensors:,}", scaled_size(file.tensor_bytes), scaled_size(file.nbytes), "")
        for file in report.files[:MOST_LISTED]
    ]
    more = _more(len(report.files), "file")
    return _table(("file", "tensors", "in tensors", "size", ""), rows) + more


def _tree(root: Branch, colours: Colours) -> str:
    """Prefixes as nested lists that open and close; the page stays of a size that browsers like."""
    left = [MOST_ROWS]
    body = "".join(_branch(child, root.nbytes or 1, colours, left) for child in root.children)
    columns = ("name", "type", "shape", "tensors", "elements", "bytes", "")
    head = f"<div class='row head'>{''.join(f'<span>{column}</span>' for column in columns)}</div>"
    cut = (
        ""
        if left[0] > 0
        else f"<p class=more>Cut after {MOST_ROWS:,} lines; <code>zoo inspect --json</code> has all.</p>"
    )
    return f"<div class=tree>{head}{body}</div>{cut}"


def _branch(branch: Branch, whole: int, colours: Colours, left: list[int]) -> str:
    left[0] -= 1
    if left[0] < 0:
        return ""
    mark = f"<i class=c{colours.place(branch.path)}></i>" if branch.stored_as else ""
    shape = "" if branch.shape is None else f" {TIMES} ".join(map(str, branch.shape)) or "scalar"
    copies = f" <em>{TIMES}{branch.copies:,}</em>" if branch.copies > 1 else ""
    tied = f" <em>= {shown(branch.tied_to)}</em>" if branch.tied_to is not None else ""
    cells = (
        f"<span class=name>{mark}{shown(branch.label)}{copies}{tied}</span>"
        f"<span>{shown(branch.stored_as or '')}</span><span>{shape}</span><span>{branch.tensors:,}</span>"
        f"<span>{scaled_count(branch.elements)}</span><span>{scaled_size(branch.nbytes)}</span>"
        f"{_bar(branch.nbytes / whole)}"
    )
    if not branch.children:
        return f"<div class=row>{cells}</div>"
    body = "".join(_branch(child, whole, colours, left) for child in branch.children)
    is_open = " open" if branch.nbytes / whole >= OPEN_ABOVE else ""
    return f"<details{is_open}><summary class=row>{cells}</summary>{body}</details>"


def _groups(groups: Sequence[Sequence[str]], between: str) -> str:
    items = "".join(
        "<li>"
        + between.join(f"<code>{shown(name)}</code>" for name in group[:8])
        + (f" and {len(group) - 8:,} more" if len(group) > 8 else "")
        + "</li>"
        for group in groups[:MOST_LISTED]
    )
    return f"<ul>{items}</ul>{_more(len(groups), 'group')}"


def _code(report: InspectReport) -> str:
    if report.code is None:
        return ""
    words = {"tensor": "how torch stores tensors", "data": "data", "code": "code"}
    uses = sorted(report.code.globals, key=lambda use: (use.verdict != "code", use.dotted))
    rows = [(f"<code>{shown(use.dotted)}</code>", words[use.verdict], use.use) for use in uses[:MOST_LISTED]]
    return _table(("global", "what it is", "use"), rows, "pairs") + _more(len(uses), "global")


def _metadata(report: InspectReport) -> str:
    items = list(report.metadata.items())
    pairs = [(str(key), _short(value)) for key, value in items[:MOST_LISTED]]
    return _pairs(pairs) + _more(len(items), "entry")


def _short(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        beginning = ", ".join(str(each)[:40] for each in value[:8])
        return f"{plural(len(value), 'item')}: {beginning}{', …' if len(value) > 8 else ''}"
    text = str(value)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text):,} characters)"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = [(f"<code>{shown(key)}</code>", shown(value)) for key, value in pairs]
    return _table(("", ""), rows[:MOST_LISTED], "pairs") + _more(len(rows), "line")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """columns: texts. rows: of HTML."""
    head = "".join(f"<th>{shown(column)}</th>" for column in columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table class='{kind}'>{head}<tbody>{body}</tbody></table></div>"


def _more(number: int, noun: str) -> str:
    rest = number - MOST_LISTED
    return f"<p class=more>and {rest:,} more; <code>zoo inspect --json</code> has all</p>" if rest > 0 else ""


def _bar(part: float) -> str:
    return f"<span class=bar title='{part:.2%}'><b style='width:{min(1.0, part):.1%}'></b></span>"


def share(part: int, whole: int) -> str:
    """A part of the bytes, in percent."""
    return f"{part / whole:.1%}" if whole else ""
