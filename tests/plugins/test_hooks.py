from __future__ import annotations

import pytest

import zoo.spec
from zoo.plugins import SPEC_TYPES, hooks
from zoo.spec import Spec


def test_every_kind_of_spec_has_a_documented_hook():
    declared = {name.removeprefix("zoo_") for name in vars(hooks) if name.startswith("zoo_")}
    assert declared == {*SPEC_TYPES, "manifest"}
    assert all(getattr(hooks, f"zoo_{kind}").__doc__ for kind in declared)


def test_every_spec_of_the_contract_can_be_contributed():
    public = {getattr(zoo.spec, name) for name in zoo.spec.__all__}
    specs = {each for each in public if isinstance(each, type) and issubclass(each, Spec) and each is not Spec}
    assert specs == set(SPEC_TYPES.values())


@pytest.mark.parametrize("spec_type", SPEC_TYPES.values())
def test_specs_are_frozen(spec_type):
    with pytest.raises(AttributeError):
        spec_type.__new__(spec_type).name = "other"
