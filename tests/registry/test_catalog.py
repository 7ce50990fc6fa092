from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import AmbiguousName, InvalidInput, NameNotFound
from zoo.plugins import Entry
from zoo.registry import Registry
from zoo.spec import CommandSpec


def entry(full_name, *aliases, fallback=False, version="1.0", plugin=None):
    distribution, _, name = full_name.partition(":")
    spec = CommandSpec(name=name, aliases=aliases, command="a:b", fallback=fallback)
    return Entry(spec, distribution, version, plugin or f"{distribution}:p")


def commands(*entries, **prefer):
    return Registry({"commands": entries}, prefer=prefer).commands


def test_a_name_an_alias_and_a_full_name_mean_the_same():
    swin = entry("zoo-swin:swin", "swin-transformer")
    catalog = commands(swin, entry("zoo-vit:vit"))
    for name in ("swin", "swin-transformer", "zoo-swin:swin", "zoo-swin:swin-transformer", "Zoo_Swin:swin"):
        assert catalog.get(name) is swin
        assert catalog.find(name) is swin
    assert swin.full_name == "zoo-swin:swin"


def test_entries_are_sorted_by_name():
    catalog = commands(entry("b:y"), entry("a:z"), entry("c:x"))
    assert [each.spec.name for each in catalog] == ["x", "y", "z"]
    assert catalog.entries() == tuple(catalog)
    assert len(catalog) == 3


def test_an_unknown_name_is_none_to_find_and_an_error_to_get():
    catalog = commands(entry("a:x"))
    for name in ("y", "a:y", "b:x", ":x:", ""):
        assert catalog.find(name) is None
        with pytest.raises(NameNotFound, match="There is no command"):
            catalog.get(name)


CLAIMS = {
    "two names": (entry("zoo-swin:swin", version="0.1"), entry("other:swin", version="2.0")),
    "a name and an alias": (entry("zoo-swin:swin", version="0.1"), entry("other:shifted", "swin", version="2.0")),
    "two aliases": (entry("zoo-swin:a", "swin", version="0.1"), entry("other:b", "swin", version="2.0")),
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_name_claimed_twice_is_ambiguous_in_either_order(claims):
    for order in itertools.permutations(claims):
        with pytest.raises(AmbiguousName) as caught:
            commands(*order).find("swin")
        text = str(caught.value)
        assert "command name 'swin' is claimed by" in text
        assert "zoo-swin 0.1" in text
        assert "other 2.0" in text
        assert claims[0].full_name in text
        assert claims[1].full_name in text
        assert "ZOO_PREFER=swin=" in text
        for claim in claims:
            assert commands(*order).get(claim.full_name) is claim
            assert commands(*order, swin=claim.distribution).get("swin") is claim


def test_two_plugins_of_one_distribution_are_ambiguous_too():
    catalog = commands(entry("a:x", plugin="a:one"), entry("a:x", plugin="a:two"), x="a")
    for name in ("x", "a:x"):
        with pytest.raises(AmbiguousName, match="report it to the author of a") as caught:
            catalog.get(name)
        assert "plugin a:one" in str(caught.value)
        assert "plugin a:two" in str(caught.value)


def test_a_preference_for_who_does_not_claim_the_name_does_not_help():
    with pytest.raises(AmbiguousName, match="preference x=c names none of them"):
        commands(entry("a:x"), entry("b:x"), x="c").get("x")
    assert commands(entry("a:x"), x="c").get("x").distribution == "a"


def test_a_fallback_yields_to_any_other_claim_but_its_full_name_reaches_it():
    native, bridge = entry("zoo-llama:llama"), entry("zoo-transformers:llama", fallback=True)
    for order in ((native, bridge), (bridge, native)):
        assert commands(*order).get("llama") is native
        assert commands(*order).get("zoo-transformers:llama") is bridge
        assert commands(*order, llama="zoo-transformers").get("llama") is bridge
    assert commands(bridge).get("llama") is bridge
    alias = entry("zoo-llama:native-llama", "llama")
    assert commands(bridge, alias).get("llama") is alias


def test_two_fallbacks_are_ambiguous():
    with pytest.raises(AmbiguousName):
        commands(entry("a:x", fallback=True), entry("b:x", fallback=True)).get("x")


names = st.sampled_from(["x", "y", "z"])
entries = st.lists(
    st.builds(
        lambda distribution, name, aliases, fallback: entry(f"{distribution}:{name}", *aliases, fallback=fallback),
        st.sampled_from(["a", "b", "c"]),
        names,
        st.lists(names, max_size=2, unique=True),
        st.booleans(),
    ),
    max_size=5,
)


@given(entries=entries, name=names, prefer=st.dictionaries(names, st.sampled_from(["a", "b", "c"])), data=st.data())
def test_no_order_of_entries_changes_what_a_name_means(entries, name, prefer, data):
    def outcome(entries):
        try:
            return commands(*entries, **prefer).find(name)
        except AmbiguousName as error:
            return str(error)

    first = outcome(entries)
    assert outcome(data.draw(st.permutations(entries))) == first
    claims = [each for each in entries if name in (each.spec.name, *each.spec.aliases)]
    if not claims:
        assert first is None
    elif isinstance(first, Entry):
        rivals = [each for each in claims if each is not first and not each.spec.fallback]
        assert not rivals or prefer.get(name) == first.distribution


@pytest.mark.parametrize("name", [5, None, b"swin"])
def test_what_is_no_text_is_no_name(name):
    with pytest.raises(InvalidInput, match="name of a command is a text"):
        commands(entry("zoo-swin:swin")).get(name)


def test_a_spec_means_what_its_own_distribution_brings_before_any_other():
    mine, other = entry("mine:swin"), entry("other:swin")
    catalog = commands(mine, other, entry("other:vit"))
    assert catalog.meant_by("mine", "swin") is mine
    assert catalog.meant_by("mine", "other:swin") is other
    assert catalog.meant_by("mine", "vit").full_name == "other:vit"
    with pytest.raises(AmbiguousName):
        catalog.meant_by("third", "swin")
    with pytest.raises(NameNotFound):
        catalog.meant_by("mine", "deit")


def test_what_this_process_registered_is_no_distribution_to_prefer():
    """Although its place-holder sorts before every distribution."""
    with pytest.raises(AmbiguousName) as caught:
        commands(entry("zoo-swin:swin"), entry("(this process):swin")).get("swin")
    assert caught.value.hint.endswith("ZOO_PREFER=swin=zoo-swin")
