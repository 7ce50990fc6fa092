"""The base of native configurations, which plugin authors derive theirs from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from zoo import ConfigError
from zoo.interfaces import TypedConfig


@dataclass(frozen=True, kw_only=True)
class Sample(TypedConfig):
    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"width": ("hidden_size", "n_embd")}

    width: int = 8
    rate: float = 0.5
    depths: tuple[int, ...] = (1, 2)
    pair: tuple[int, int] = (1, 2)
    kind: Literal["a", "b"] = "a"
    note: str | None = None

    def validate(self) -> None:
        self.require_positive("width")


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), True, "1"], ids=str)
def test_what_no_float_holds_is_refused(value):
    with pytest.raises(ConfigError, match="field 'rate': expected float"):
        Sample(rate=value)


@pytest.mark.parametrize("value", [10**400, 2**64, -(2**63) - 1])
def test_what_64_bits_do_not_hold_is_refused(value):
    with pytest.raises(ConfigError, match="field 'depths': expected a list of int"):
        Sample(depths=(1, value))


def test_a_value_of_any_size_is_shown_by_its_beginning():
    with pytest.raises(ConfigError, match=r"field 'rate': expected float, found int <of 16610 bits>\.$"):
        Sample(rate=10**5000)  # which Python refuses to write out
    with pytest.raises(ConfigError) as caught:
        Sample(note=["x" * 1000] * 1000)
    assert "expected str or null, found list ['xxx" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_any_of_the_hubs_keys_is_read_and_written_back_under_the_one_it_had():
    read = Sample.from_hub({"n_embd": 16})
    assert read.width == 16
    assert read.to_hub() == {"n_embd": 16}
    assert read.replace(width=4).to_hub() == {"n_embd": 4}


def test_a_fresh_one_is_written_under_the_newest_keys():
    written = Sample(width=4).to_hub()
    assert written["hidden_size"] == 4
    assert written["depths"] == [1, 2]
    assert Sample.from_hub(written) == Sample(width=4)


def test_an_integer_serves_as_a_float_and_a_list_as_a_tuple():
    read = Sample.from_hub({"rate": 1, "depths": [3, 4, 5]})
    assert read.rate == 1.0
    assert isinstance(read.rate, float)
    assert read.depths == (3, 4, 5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": "8"}, "field 'width': expected int, found str '8'"),
        ({"width": True}, "field 'width': expected int, found bool True"),
        ({"width": 0}, "field 'width': must be above 0, found 0"),
        ({"rate": float("inf")}, "field 'rate': expected float"),
        ({"depths": (1, "2")}, "field 'depths': expected a list of int"),
        ({"pair": (1, 2, 3)}, "field 'pair'"),
        ({"kind": "c"}, "field 'kind': expected one of 'a', 'b', found str 'c'"),
        ({"note": 3}, "field 'note': expected str or null, found int 3"),
    ],
)
def test_a_bad_value_is_refused_with_its_field(values, said):
    with pytest.raises(ConfigError) as caught:
        Sample(**values)
    assert said in str(caught.value)


def test_an_unknown_field_to_replace_is_refused():
    with pytest.raises(ConfigError, match="'widht'"):
        Sample().replace(widht=3)


def test_what_was_read_does_not_change_with_the_dictionary_it_came_from():
    values = {"hidden_size": 3, "other": 1}
    read = Sample.from_hub(values)
    values["other"] = 2
    assert read.to_hub() == {"hidden_size": 3, "other": 1}
