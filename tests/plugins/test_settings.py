from __future__ import annotations

import pytest

from zoo.errors import PluginError
from zoo.plugins.discovery import EntryPoint
from zoo.plugins.settings import PluginSettings

INSTALLED = [EntryPoint("zoo-sdk", "1", "builtin", "", ""), EntryPoint("zoo-swin", "1", "swin", "", "")]


def test_nothing_set_means_all_and_not_strict():
    assert PluginSettings.from_environment({"ZOO_PLUGINS": " ", "ZOO_STRICT": ""}) == PluginSettings()


def test_names_are_normalised_and_may_be_full():
    settings = PluginSettings.from_environment({"ZOO_PLUGINS": "Zoo_Swin, zoo.vit:Vit_1,", "ZOO_STRICT": "1"})
    assert settings == PluginSettings(allowed=frozenset({"zoo-swin", "zoo-vit:Vit_1"}), strict=True)


def test_an_odd_value_of_strict_is_an_error():
    with pytest.raises(PluginError, match="ZOO_STRICT='maybe'"):
        PluginSettings.from_environment({"ZOO_STRICT": "maybe"})


@pytest.mark.parametrize("name", ["zoo-swin", "zoo-swin:swin", "zoo-sdk"])
def test_what_is_installed_may_be_allowed(name):
    PluginSettings(allowed=frozenset({name})).check_allowed(INSTALLED)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zoo-swim", "Did you mean 'zoo-swin'"),
        ("zoo-swin:vit", "zoo-swin:vit"),
        ("qqqq", "Installed plugins: zoo-sdk:builtin, zoo-swin:swin."),
    ],
)
def test_allowing_what_is_not_installed_is_an_error(name, said):
    with pytest.raises(PluginError, match="no such plugin is installed") as caught:
        PluginSettings(allowed=frozenset({name, "zoo-swin"})).check_allowed(INSTALLED)
    assert said in str(caught.value)
