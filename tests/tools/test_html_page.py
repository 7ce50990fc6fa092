"""The page of a checkpoint: it shows what is there, and nothing that is in a name acts on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from zoo.checkpoint import Checkpoint, DType, StoredBytes, TensorRecord
from zoo.checkpoint.records import CodeReport, GlobalUse
from zoo_tools import html_report
from zoo_tools.inspection import inspect_checkpoint

HOSTILE = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "' onload='alert(1)",
    '" onload="alert(1)',
    "--><svg/onload=alert(1)>",
    "]]><script>",
    "\x1b[31mred\x9b",
    "half\udce9",
    "\u202egnp.exe",
    "[bold red]markup[/]",
    "&lt;already&gt;",
    "nul\x01\x00",
]


class Page(HTMLParser):
    """What a browser would make of it: elements, attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.style = [], [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.style = tag == "style"

    def handle_data(self, data):
        if not self.style:
            self.text.append(data)

    def handle_endtag(self, tag):
        self.style = False


@pytest.fixture
def page(tmp_path):
    def make(sizes, **options):
        path = tmp_path / options.pop("name", "model.bin")
        path.write_bytes(b"")
        records, offset = {}, 0
        for name, size in sizes.items():
            records[name] = TensorRecord(name, DType.U8, (size,), StoredBytes(path, offset, size))
            offset += size
        checkpoint = Checkpoint(format="torch", location=path, files=[path], records=records, **options)
        return html_report(inspect_checkpoint(checkpoint))

    return make


def test_it_needs_nothing_from_anywhere(page):
    text = page({"a.weight": 100})
    assert not set(Page(text).tags) & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", text)
    assert "Content-Security-Policy" in text and "default-src 'none'" in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_checkpoint_says_stays_text(page, hostile):
    text = page(
        {f"{hostile}.weight": 100, hostile: 50},
        metadata={hostile: hostile},
        unsupported={hostile: hostile},
        warnings=[hostile],
        aliases={f"{hostile}2": hostile},
        code=CodeReport((GlobalUse(hostile, hostile, "code", True),)),
    )
    harmless = page({"x.weight": 100, "x": 50})
    parsed = Page(text)
    assert set(parsed.tags) <= set(Page(harmless).tags) | {"ul", "li", "em", "code", "i"}
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    text.encode("utf-8")
    if hostile.isprintable():
        assert any(hostile in part for part in parsed.text)


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name and "\0" not in name])
def test_so_does_the_name_of_the_file(page, name):
    text = page({"a": 1}, name=name)
    assert not any(attribute.startswith("on") for attribute, _ in Page(text).attributes)
    text.encode("utf-8")


def svg(text):
    return ElementTree.fromstring(re.search("<svg.*</svg>", text, re.DOTALL)[0])


def test_the_map_is_well_formed_and_areas_are_bytes(page):
    root = svg(page({"a.weight": 600, "b.weight": 300, "c<": 100}))
    areas = {}
    for group in root.iter("g"):
        box = group.find("rect")
        areas[group.find("title").text.splitlines()[0]] = float(box.get("width")) * float(box.get("height"))
    shares = {name: round(area / sum(areas.values()), 2) for name, area in areas.items()}
    assert shares == {"a.weight": 0.6, "b.weight": 0.3, "c<": 0.1}


def test_a_page_stays_small_however_many_tensors(page):
    text = page({f"part{number}.{letter}.weight": number + 1 for number in range(4000) for letter in "abc"})
    assert len(text) < 4_000_000 and "Cut after 4,000 lines" in text


def test_no_tensor_at_all(page):
    text = page({})
    assert "<svg" not in text and "0 bytes" in text


def test_code_that_would_run_is_said_first(page):
    text = page({"a": 1}, code=CodeReport((GlobalUse("os", "system", "code", True),)))
    assert text.index("would run code") < text.index("Where the bytes are")
    assert "os.system" in text


def test_tied_and_overlapping_tensors_are_shown(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(b"")
    records = {
        name: TensorRecord(name, DType.U8, (size,), StoredBytes(path, 0, size))
        for name, size in (("one", 4), ("two", 4), ("view", 2))
    }
    checkpoint = Checkpoint(format="torch", location=Path(path), files=[path], records=records)
    text = html_report(inspect_checkpoint(checkpoint))
    assert "<code>one</code> = <code>two</code>" in text and "Views into one storage" in text
