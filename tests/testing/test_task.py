"""The core's tasks keep what every task promises, and one with something wrong is caught."""

from __future__ import annotations

import dataclasses

import pytest

from zoo.registry import registry
from zoo.testing import TaskConformance


class TestTextGeneration(TaskConformance):
    task = "text-generation"


class TestTextClassification(TaskConformance):
    task = "text-classification"


class TestImageClassification(TaskConformance):
    task = "image-classification"


class TestImageFeatures(TaskConformance):
    task = "image-feature-extraction"


def no_arguments():
    """Stands for a pipeline that takes none."""


WRONG = {
    "it says nothing": ({"inputs": " "}, "test_listings_say_what_goes_in_and_comes_out", "says nothing of its inputs"),
    "an alias is another's": (
        {"aliases": ("chat",)},
        "test_names_mean_this_task_alone",
        "'chat' means zoo-sdk:image-classification, and zoo-sdk:text-generation too",
    ),
    "the pipeline takes nothing": (
        {"pipeline": f"{__name__}:no_arguments"},
        "test_pipeline_takes_a_model_and_a_preprocessor",
        "can't be called with (model, preprocessor)",
    ),
    "the model is no model": (
        {"model": "zoo.spec:TaskSpec"},
        "test_model_joins_backbone_and_head",
        "is no ComposedTaskModel",
    ),
    "there is no such head": (
        {"default_heads": {"map": "image-classifer"}},
        "test_default_heads_exist_and_are_for_this_task",
        "The default head for map: There is no head 'image-classifer'",
    ),
    "the head is another task's": (
        {"default_heads": {"map": "causal-lm"}},
        "test_default_heads_exist_and_are_for_this_task",
        "'causal-lm', is for the task 'text-generation'",
    ),
    "there is no head": ({"default_heads": {}}, "test_default_heads_exist_and_are_for_this_task", "no default head"),
    "a headless task has a head": (
        {"headless": True},
        "test_default_heads_exist_and_are_for_this_task",
        "is headless and has default heads",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_caught_by_its_check_alone(outcomes, wrong):
    changes, check, said = WRONG[wrong]
    entry = registry().tasks.get("image-classification")

    class Wrong(TaskConformance):
        task = "image-classification"

        def task_entry(self):
            return entry._replace(spec=dataclasses.replace(entry.spec, **changes))

    failed = outcomes(Wrong, left_out=frozenset({"test_manifest_loads_in_a_fresh_process_without_torch"}))
    assert set(failed) >= {check}
    assert said in failed[check]
