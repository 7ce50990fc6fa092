"""The pages for authors of plugins say what the code says: each hook, each record's fields, each public module."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import zoo.spec
from tools import record_api
from zoo.plugins import SPEC_TYPES, hooks

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HOOK_PAGES = DOCS / "plugins" / "hooks"
CONTRACT_PAGES = DOCS / "plugins" / "contracts"
HOOKS = ["zoo_manifest", *(f"zoo_{kind}" for kind in SPEC_TYPES)]
CONTRACTS = (
    "attention cache config format head layout model neck preprocessor task task-model".split()
)  # of what records refer to, and of what models keep


def signature(hook: str) -> str:
    """As it is written in the source: annotations there are not evaluated."""
    function = getattr(hooks, hook)
    parameters = ", ".join(
        f"{name}: {parameter.annotation}" for name, parameter in inspect.signature(function).parameters.items()
    )
    return f"def {hook}({parameters}) -> {inspect.signature(function).return_annotation}: ..."


def described(field: dataclasses.Field[object]) -> str:
    """A field as pages write it: `name: type = default`."""
    if field.default is not dataclasses.MISSING:
        return f"{field.name}: {field.type} = {field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}: {field.type} = {dict(field.default_factory())!r}"  # mappings all of them
    return f"{field.name}: {field.type}"


def sections(page: Path) -> dict[str, str]:
    """Heading -> text, of the headings that name a record."""
    parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {heading.strip("`"): text for heading, text in zip(parts[::2], parts[1::2], strict=True) if "`" in heading}


def test_the_hooks_are_those_of_the_specification():
    specified = {name for name in vars(hooks) if name.startswith("zoo_")}
    assert specified == set(HOOKS) == {name for name in hooks.__all__ if name.startswith("zoo_")}


def test_each_hook_has_a_page_and_each_page_a_hook():
    assert {page.stem for page in HOOK_PAGES.iterdir()} == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hooks_page_gives_its_exact_signature(hook):
    page = (HOOK_PAGES / f"{hook}.md").read_text(encoding="utf-8")
    written = re.findall(r"^```py\n(.*?)\n```", page, re.MULTILINE | re.DOTALL)
    assert written == [signature(hook)]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hooks_page_names_the_fields_of_its_record(hook):
    record = zoo.spec.Manifest if hook == "zoo_manifest" else SPEC_TYPES[hook.removeprefix("zoo_")]
    found = sections(HOOK_PAGES / f"{hook}.md")
    assert record.__name__ in found
    for name, text in found.items():
        fields = dataclasses.fields(getattr(zoo.spec, name))
        assert re.findall(r"^- `([^`]+)`: \S", text, re.MULTILINE) == [described(field) for field in fields], name


@pytest.mark.parametrize(
    "page", [*sorted(HOOK_PAGES.iterdir()), *sorted(CONTRACT_PAGES.iterdir())], ids=lambda p: p.stem
)
def test_a_page_has_an_example(page):
    """It is run with those of all other pages."""
    assert "```python\n" in page.read_text(encoding="utf-8")


def test_each_contract_has_a_page():
    assert {page.stem for page in CONTRACT_PAGES.iterdir()} == set(CONTRACTS)


def test_the_guide_to_plugins_leads_to_every_hook_and_contract():
    links = set(re.findall(r"\]\(plugins/([^)#]+)", (DOCS / "plugins.md").read_text(encoding="utf-8")))
    assert {f"hooks/{hook}.md" for hook in HOOKS} <= links
    assert {f"contracts/{contract}.md" for contract in CONTRACTS} <= links


def test_every_page_is_on_the_site():
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md")}
    listed = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(pages)


def test_the_reference_shows_everything_public():
    """A module, or each of its names."""
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md")]
    shown = {path for text in pages for path in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    missing = []
    for each in record_api.public_names():
        module, _, _ = each.path.rpartition(".")
        home, _, _ = each.target.path.rpartition(".")  # a package's names may be shown where they are defined
        if not shown & {each.path, module, each.target.path, home}:
            missing.append(each.path)
    assert not missing
    known = {each.path for each in record_api.public_names()} | set(record_api.public_modules())
    assert shown <= known, "on the pages of the reference, but not public"


def test_the_stability_promise_names_the_public_modules():
    text = (DOCS / "plugins" / "stability.md").read_text(encoding="utf-8")
    promised = set(re.findall(r"`([a-z_.]+)`", text[: text.index("Also:")]))
    for path in record_api.PUBLIC_MODULES:
        package, _, name = path.rpartition(".")
        assert path.removesuffix(".*") in promised or (package == "zoo.preprocess" and name in promised), path
