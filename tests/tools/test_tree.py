"""Names folded by their dots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_tools.inspection import TensorReport
from zoo_tools.tree import fold


def tensor(name, shape=(2,), dtype="F32", tied_to=None):
    elements = 1
    for size in shape:
        elements *= size
    return TensorReport(name, dtype, shape, elements, 4 * elements, Path("a"), None, True, tied_to)


def lines(*tensors, depth=None):
    return [(branch.path, branch.tensors, branch.nbytes) for _, branch in fold(tensors).walk(depth)]


def test_prefixes_have_totals():
    assert lines(tensor("a.x"), tensor("a.y", (3,)), tensor("b")) == [
        ("a", 2, 20),
        ("a.x", 1, 8),
        ("a.y", 1, 12),
        ("b", 1, 8),
    ]


def test_a_chain_of_prefixes_is_one():
    root = fold([tensor("a.b.c.x"), tensor("a.b.c.y")])
    assert [(level, branch.label) for level, branch in root.walk()] == [(0, "a.b.c"), (1, "x"), (1, "y")]


def test_siblings_that_are_alike_are_one():
    tensors = [tensor(f"layers.{number}.{part}") for number in range(12) for part in ("q", "k")]
    root = fold(tensors)
    (layers,) = root.children
    assert (layers.label, layers.copies, layers.tensors, layers.nbytes) == ("layers.{0-11}", 12, 24, 192)
    assert [(child.path, child.tensors, child.nbytes) for child in layers.children] == [
        ("layers.{0-11}.q", 12, 96),
        ("layers.{0-11}.k", 12, 96),
    ]


def test_numbers_are_numbers():
    """Not text, in which 10 comes before 2."""
    names = sorted((f"{number}.w" for number in range(12)), key=str)
    assert lines(*map(tensor, names)) == [("{0-11}.w", 12, 96)]


@pytest.mark.parametrize(
    "odd", [tensor("l.5.w", (3,)), tensor("l.5.w", dtype="F16"), tensor("l.5.v"), tensor("l.5.w", tied_to="l.0.w")]
)
def test_what_differs_stands_alone(odd):
    tensors = [tensor(f"l.{number}.w") for number in range(5)] + [odd] + [tensor(f"l.{n}.w") for n in (6, 7, 9)]
    labels = [branch.label for branch in fold(tensors).children[0].children]
    assert [label.partition(".")[0] for label in labels] == ["{0-4}", "5", "{6-7}", "9"]


def test_runs_inside_runs():
    tensors = [tensor(f"l.{i}.experts.{j}.w") for i in range(3) for j in range(4)]
    assert lines(*tensors) == [("l.{0-2}.experts.{0-3}.w", 12, 96)]
    assert fold(tensors).children[0].copies == 12


def test_a_name_that_is_also_a_prefix():
    assert lines(tensor("a"), tensor("a.b")) == [("a", 2, 16), ("a.b", 1, 8)]


def test_tied_tensors_have_their_bytes_once():
    root = fold([tensor("embed"), tensor("head", tied_to="embed")])
    assert (root.tensors, root.nbytes) == (2, 8)
    assert [branch.tied_to for branch in root.children] == [None, "embed"]


def test_depth():
    assert lines(tensor("a.b.x"), tensor("a.c.x"), tensor("d"), depth=1) == [("a", 2, 16), ("d", 1, 8)]


@pytest.mark.parametrize("name", ["", ".", "a..b", "." * 10_000, "a." * 5_000 + "w", "007.w"])
def test_odd_names_stay_whole(name):
    (branch,) = (branch for _, branch in fold([tensor(name)]).walk() if branch.stored_as)
    assert branch.path == name


def test_numbers_with_a_leading_zero_are_names():
    """`1` and `01` must not become one."""
    assert [path for path, *_ in lines(tensor("l.1.w"), tensor("l.01.w"), tensor("l.2.w"))] == [
        "l",
        "l.01.w",
        "l.{1-2}.w",
    ]


NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "0", "1", "2", "3"]), min_size=1, max_size=4).map(".".join), unique=True
)


@given(NAMES)
def test_totals_are_those_of_all_tensors(names):
    root = fold(map(tensor, names))
    assert (root.tensors, root.nbytes) == (len(names), 8 * len(names))
    assert sum(child.tensors for child in root.children) == len(names)
    for _, branch in root.walk():
        own = branch.tensors - sum(child.tensors for child in branch.children)
        assert own >= (branch.stored_as is not None)
