"""Everything public has a docstring, and keeps its signature unless CHANGELOG.md says otherwise."""

from __future__ import annotations

import difflib
import textwrap

import griffe

from tools import record_api


def test_every_public_name_has_a_docstring():
    names = record_api.public_names()
    classes = [each.target for each in names if isinstance(each.target, griffe.Class)]
    protocols = [
        {member.name for member in record_api.members(each)}
        for each in classes
        if any(str(base) == "Protocol" for base in each.bases)
    ]
    missing = []
    for each in names:
        if not each.target.docstring:
            missing.append(f"{each.path} ({each.target.relative_filepath}:{each.target.lineno})")
        if not isinstance(each.target, griffe.Class):
            continue
        # What keeps a contract is explained where the contract stands.
        own = set(each.target.all_members)
        contract = set().union(*(protocol for protocol in protocols if protocol <= own))
        for member in record_api.members(each.target):
            if not isinstance(member, griffe.Function) and "property" not in member.labels:
                continue  # fields are explained by their class
            inherited = any(
                member.name in base.members and base.members[member.name].docstring for base in each.target.mro()
            )
            if not member.docstring and not inherited and member.name not in {*contract, "__call__"}:
                missing.append(f"{each.path}.{member.name} ({member.relative_filepath}:{member.lineno})")
    assert not missing, "public, and without a docstring:\n" + "\n".join(missing)


def test_public_signatures_are_those_of_the_record():
    found, (before, entries) = record_api.signatures(), record_api.recorded()
    changes = [
        line
        for line in difflib.unified_diff(before, found, "recorded", "now", lineterm="", n=0)
        if not line.startswith("@@")
    ]
    assert not changes, (
        "What is public has changed. Say in CHANGELOG.md what that means for users, then run "
        "`python tools/record_api.py`:\n" + "\n".join(changes)
    )
    assert record_api.entries_in_changelog() >= entries, (
        f"The record of what is public was written when CHANGELOG.md had {entries} entries; it has "
        f"{record_api.entries_in_changelog()} now. A change without its line is not recorded."
    )


def test_a_change_is_recorded_only_with_a_line_in_the_changelog(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record_api, "ROOT", tmp_path)
    monkeypatch.setattr(record_api, "RECORD", tmp_path / "signatures.txt")
    monkeypatch.setattr(record_api, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(record_api, "signatures", lambda: ["zoo.load(reference: str)"])
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n- `zoo.load`\n", encoding="utf-8")
    assert record_api.main() == 0
    assert record_api.recorded() == (["zoo.load(reference: str)"], 1)

    monkeypatch.setattr(record_api, "signatures", lambda: ["zoo.load(path: str)"])
    assert record_api.main() == 1
    assert "Add one that says what changes" in capsys.readouterr().err
    assert record_api.recorded() == (["zoo.load(reference: str)"], 1)

    with (tmp_path / "CHANGELOG.md").open("a", encoding="utf-8") as file:
        file.write("- `zoo.load` calls its argument `path`.\n")
    assert record_api.main() == 0
    assert record_api.recorded() == (["zoo.load(path: str)"], 2)


def test_signatures_are_told_apart_by_what_callers_may_write():
    """Names, order, kinds, annotations and defaults of parameters; bases, classmethods and what is returned."""
    source = """
    class Base:
        x: int
        @property
        def size(self) -> int: ...
        @classmethod
        def make(cls, a, /, b=1, *rest, c: str = "d", **options) -> None: ...
        def _hidden(self): ...
    """
    with griffe.temporary_visited_module(textwrap.dedent(source)) as module:
        base = module["Base"]
        lines = [line for each in (base, *record_api.members(base)) for line in record_api._lines(each.name, each)]
    assert lines == [
        "class Base(): ()",
        "classmethod make(a, /, b = 1, *rest, c: str = 'd', **options) -> None",
        "property size: int",
        "x: int",
    ]
