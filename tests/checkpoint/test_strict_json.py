"""What JSON is refused before it is parsed, for what it would take."""

from __future__ import annotations

import json

import pytest

from zoo.checkpoint.strict_json import parse_object
from zoo.errors import MalformedCheckpoint


@pytest.mark.parametrize("filling", ["{},", "[],", "[[]],"])
def test_objects_and_arrays_without_use_are_refused(filling: str) -> None:
    content = f'{{"a":[{filling * 300_000}0]}}'.encode()
    with pytest.raises(MalformedCheckpoint, match="objects and arrays in"):
        parse_object(content, place="a header")


def test_the_tersest_header_of_many_tensors_is_none_of_these() -> None:
    values = {f"{index:x}": {"dtype": "U8", "shape": [], "data_offsets": [0, 0]} for index in range(120_000)}
    assert len(parse_object(json.dumps(values, separators=(",", ":")).encode(), place="a header")) == 120_000
