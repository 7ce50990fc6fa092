"""The registry of a whole process: these tests start fresh ones, as a user does."""

from __future__ import annotations

REGISTER = """
import zoo
from zoo.spec import HeadSpec, FeatureRequirement
spec = HeadSpec(name="mine", task="t", head="a:B", config="a:C", requires=FeatureRequirement(kind="tokens"))
zoo.register(spec)
zoo.register(spec)
from zoo.registry import registry
print(registry().heads.get("mine").full_name)
"""

SWIN = """
@hookimpl
def zoo_architectures():
    return [
        ArchitectureSpec(
            name="swin", config="a:B", model="a:C", modality="image", default_task="t", preprocessor="p"
        )
    ]
"""

GET = """
import zoo
from zoo.registry import registry
try:
    print(registry().architectures.get("swin").full_name)
except zoo.ZooError as error:
    print(type(error).__name__, error)
"""


def test_registering_says_that_it_is_for_this_process_only(run_python):
    process = run_python(REGISTER, ZOO_LOG="info")
    assert process.stdout == "(this process):mine\n"
    assert "zoo: INFO: Registered HeadSpec as (this process):mine. That is for this process only" in process.stderr
    assert run_python(REGISTER).stderr == ""


def test_two_plugins_that_claim_one_name_need_a_decision(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("other-models", SWIN, version="2.0")
    undecided = run_python(GET).stdout
    assert undecided.startswith("AmbiguousName")
    assert "zoo-swin 1.0" in undecided
    assert "other-models 2.0" in undecided
    assert run_python(GET, ZOO_PREFER="swin=other_models").stdout == "other-models:swin\n"
    assert run_python(GET, ZOO_PLUGINS="zoo-swin").stdout == "zoo-swin:swin\n"


def test_an_unknown_name_mentions_the_plugin_that_failed(run_python, fake_plugin):
    fake_plugin("zoo-swin", "1 / 0")
    process = run_python(GET, ZOO_LOG="error")
    assert process.stdout.startswith("NameNotFound There is no architecture 'swin'.")
    assert "zoo-swin:swin 1.0: importing zoo_swin._plugin raised ZeroDivisionError" in process.stdout
    assert process.stderr == ""


def test_an_odd_preference_is_an_error(run_python):
    assert run_python(GET, ZOO_PREFER="swin").stdout.startswith("PluginError ZOO_PREFER='swin'")
