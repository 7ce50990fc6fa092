"""Key maps: whole keys, both directions, each claimed once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo import PluginError
from zoo.weights.key_map import Ignore, KeyMap, Match, Rule
from zoo.weights.operations import RENAME, PermuteRotary, Split

MAP = KeyMap(
    (
        Rule("tok.weight", "embed.weight", aliases=("wte.weight",)),
        Rule("h.{i}.attn.q.weight", "layers.{i}.q.weight", PermuteRotary(2)),
        Rule("h.{i}.mlp.{j}.weight", "layers.{i}.experts.{j}.weight"),
        Rule("h.0.norm.weight", "first_norm.weight"),
    ),
    ignored=(Ignore("h.{i}.inv_freq", "derived"),),
)


def test_numbers_are_carried_over():
    matches, ignored, unclaimed = MAP.match_stored(["h.11.mlp.3.weight", "h.0.norm.weight"])
    assert [(match.stored, match.model) for match in matches] == [
        (("h.11.mlp.3.weight",), ("layers.11.experts.3.weight",)),
        (("h.0.norm.weight",), ("first_norm.weight",)),
    ]
    assert (ignored, unclaimed) == ({}, [])


@pytest.mark.parametrize(
    "key",
    [
        "xtok.weight",
        "tok.weight.extra",
        "h.1.norm.weight",
        "h.a.attn.q.weight",
        "h.1.attn.q.weight2",
        "H.1.attn.q.weight",
    ],
)
def test_a_key_that_only_resembles_a_template_is_unclaimed(key):
    assert MAP.match_stored([key])[2] == [key]


def test_ignored_keys_come_with_their_reason():
    assert MAP.match_stored(["h.4.inv_freq"])[1] == {"h.4.inv_freq": "derived"}


def test_an_alias_is_read_but_the_first_name_is_written():
    [match] = MAP.match_stored(["wte.weight"])[0]
    assert (match.stored, match.model) == (("wte.weight",), ("embed.weight",))
    assert MAP.match_model(["embed.weight"])[0] == [Match(("tok.weight",), ("embed.weight",), RENAME)]


def test_both_spellings_in_one_file_are_two_matches():
    assert len(MAP.match_stored(["tok.weight", "wte.weight"])[0]) == 2


def test_prefixes_go_before_every_template():
    prefixed = MAP.prefixed(stored="model.", model="backbone.")
    [match] = prefixed.match_stored(["model.h.2.attn.q.weight"])[0]
    assert match.model == ("backbone.layers.2.q.weight",)
    assert prefixed.match_stored(["h.2.attn.q.weight"])[2] == ["h.2.attn.q.weight"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((Rule("a.{i}", "b.{j}"),), "same variables"),
        ((Rule("a.{i}", "b"),), "same variables"),
        ((Rule("a.{i}", "b.{i}"), Rule("a.0", "c")), "claim the same keys"),
        ((Rule("a", "b"), Rule("a", "c")), "claim the same keys"),
        ((Rule("a", "b"), Rule("c", "b")), "claim the same keys"),
        ((Rule("a.x{i}", "b.x{i}"),), "brace"),
    ],
)
def test_a_map_that_is_not_one_to_one_is_refused_when_it_is_made(rules, said):
    with pytest.raises(PluginError, match=said):
        KeyMap(rules)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 99)), unique=True))
def test_stored_to_model_and_back_is_the_identity(numbers):
    keys = [f"h.{i}.mlp.{j}.weight" for i, j in numbers]
    matches, _, _ = MAP.match_stored(keys)
    back, unclaimed = MAP.match_model([name for match in matches for name in match.model])
    assert [name for match in back for name in match.stored] == keys
    assert not unclaimed


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6))
def test_the_rotary_permutation_is_undone_exactly(heads, pairs, columns):
    operation = PermuteRotary(heads)
    for shape in ((heads * pairs * 2, columns), (heads * pairs * 2,)):
        tensor = torch.arange(torch.Size(shape).numel()).view(shape)
        [model] = operation.load([tensor])
        assert torch.equal(operation.save([model])[0], tensor)


def test_the_rotary_permutation_puts_the_pairs_into_halves():
    [rows] = PermuteRotary(1).load([torch.arange(6)])
    assert rows.tolist() == [0, 2, 4, 1, 3, 5]


def test_a_fused_tensor_is_split_into_views_and_joined_again():
    fused = torch.randn(6, 5)
    parts = Split(3).load([fused])
    assert [tuple(part.shape) for part in parts] == [(2, 5)] * 3
    assert parts[1].data_ptr() == fused[2:].data_ptr()
    assert torch.equal(Split(3).save(parts)[0], fused)
    with pytest.raises(RuntimeError):
        Split(3).load([torch.empty(7, 5, device="meta")])
