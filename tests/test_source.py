"""Opening a checkpoint among the plugins of others: none of them can stand in the way."""

from __future__ import annotations

import pytest

import zoo

CONFIG = {
    "model_type": "llama",
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
}

CLAIMS = """
@hookimpl
def zoo_tasks():
    return [TaskSpec(name=name, inputs="", outputs="") for name in ("text-generation", "text-classification")]

@hookimpl
def zoo_heads():
    requires = FeatureRequirement(kind="tokens")
    return [
        HeadSpec(name=name, task="text-generation", head="zoo_other.a:B", config="zoo_other.a:B", requires=requires)
        for name in ("causal-lm", "last-token-classifier")
    ]

@hookimpl
def zoo_preprocessors():
    return [PreprocessorSpec(name="text", preprocessor="zoo_other.a:B", modality="text")]
"""

LAYOUTS = """
@hookimpl
def zoo_layouts():
    return [
        LayoutSpec(name=f"l{index}", architecture="other", matches=matches, read_config="a:b", key_map="a:b")
        for index, matches in enumerate(("zoo_other.absent:f", "zoo_other.needs:f", "zoo_other.raises:f"))
    ]
"""

USE = """
import sys, zoo
from zoo.describe import describe
model = zoo.create({config!r})
zoo.save(model, {path!r})
again, _ = zoo.load({path!r})
print(type(again).__name__, again.origin.head, describe({path!r})["head"], describe("llama")["default_task"])
classifier, _ = zoo.load({path!r}, task="zoo-sdk:text-classification", init_head=True)
zoo.save(classifier, {path!r} + "-c")
print(type(zoo.load({path!r} + "-c")[0]).__name__, zoo.load({path!r}, task=None)[0].origin.head)
"""


@pytest.fixture
def other(fake_plugin):
    """A plugin that claims the core's names and brings layouts that can't be asked."""
    plugin = fake_plugin("zoo-other", CLAIMS + LAYOUTS)
    plugin.with_name("needs.py").write_text("import no_such_library")
    plugin.with_name("raises.py").write_text("def f(metadata): return metadata.config['no such key']")
    return plugin


def test_another_plugin_stands_in_nobodys_way(other, run_python, tmp_path):
    result = run_python(USE.format(config=CONFIG, path=str(tmp_path / "model")))
    assert result.stdout.splitlines() == [
        "CausalLanguageModel zoo-sdk:causal-lm zoo-sdk:causal-lm zoo-sdk:text-generation",
        "TextClassifier None",
    ], result.stderr
    assert "the layout zoo-other:l0 was not asked" in result.stderr


def test_layouts_that_could_not_be_asked_are_named_when_no_other_fits(other, run_python, tmp_path):
    script = (
        USE.partition("again, _")[0]
        + """
import json, pathlib
file = pathlib.Path({path!r}, "config.json")
file.write_text(file.read_text().replace("llama", "lamb"))
try:
    zoo.load({path!r})
except zoo.NameNotFound as error:
    print(error)
"""
    )
    result = run_python(script.format(config=CONFIG, path=str(tmp_path / "model")), ZOO_LOG="error")
    assert "model_type='lamb'" in result.stdout, result.stderr
    assert "zoo-other:l0 1.0: The reference 'zoo_other.absent:f' can't be used" in result.stdout
    assert "zoo-other:l1 1.0: zoo_other.needs needs no_such_library" in result.stdout
    assert "zoo-other:l2 1.0: KeyError: 'no such key'" in result.stdout


TWIN = """
from dataclasses import replace
import zoo_llama._plugin as original

@hookimpl
def zoo_architectures():
    return original.zoo_architectures()

@hookimpl
def zoo_layouts():
    return original.zoo_layouts()

@hookimpl
def zoo_presets():
    return original.zoo_presets()
"""

TRY = """
import zoo
try:
    print(zoo.load({path!r})[0].origin.architecture)
except zoo.AmbiguousName as error:
    print(error)
"""


def test_two_plugins_that_read_one_architecture(fake_plugin, run_python, tmp_path):
    """Nothing is guessed: a preference decides, or leaving one of them out; else the error names both and the cures."""
    path = tmp_path / "model"
    zoo.save(zoo.create(CONFIG), path)
    fake_plugin("zoo-twin", TWIN)
    script = TRY.format(path=str(path))
    for preferred in ("zoo-llama", "zoo-twin"):
        result = run_python(script, ZOO_PREFER=f"llama={preferred}")
        assert result.stdout.split() == [f"{preferred}:llama"], result.stderr
    undecided = run_python(script).stdout
    for fact in ("zoo-llama:llama", "zoo-twin:llama", "ZOO_PREFER=llama="):
        assert fact in undecided
