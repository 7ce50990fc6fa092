"""The conformance of a task."""

from __future__ import annotations

import inspect
from typing import ClassVar

from zoo.errors import ZooError
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import TaskSpec
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail

__all__ = ["TaskConformance"]


class TaskConformance(DeclarationChecks):
    """What a task promises. task: its name."""

    kind = "tasks"

    task: ClassVar[str]

    def subject_name(self) -> str:
        return self.task

    def task_entry(self) -> Entry[TaskSpec]:
        """The task in the registry."""
        return registry().tasks.get(self.task)

    def test_listings_say_what_goes_in_and_comes_out(self) -> None:
        """`zoo list` and `zoo info` have nothing else to say."""
        spec = self.task_entry().spec
        empty = [name for name in ("inputs", "outputs", "summary") if not getattr(spec, name).strip()]
        if empty:
            fail(f"The task '{spec.name}' says nothing of its {', '.join(empty)}.", "Say it in its TaskSpec, in words.")

    def test_names_mean_this_task_alone(self) -> None:
        """A name or alias that another task claims is an error for whoever uses it."""
        entry = self.task_entry()
        for name in (entry.spec.name, *entry.spec.aliases):
            claims = [
                other.full_name
                for other in registry().tasks
                if name in (other.spec.name, *other.spec.aliases) and other.full_name != entry.full_name
            ]
            if claims:
                fail(
                    f"'{name}' means {entry.full_name}, and {', '.join(claims)} too.",
                    "Choose another alias; a task's name is the Hub's pipeline_tag.",
                )

    def test_pipeline_takes_a_model_and_a_preprocessor(self) -> None:
        """`zoo.pipeline` calls it so."""
        spec = self.task_entry().spec
        if spec.pipeline is None:
            return
        pipeline = resolve_object(spec.pipeline)
        if not callable(pipeline):
            fail(f"{spec.pipeline} is {pipeline!r}, which can't be called.", "Name the pipeline's class.")
        try:
            inspect.signature(pipeline).bind("model", "preprocessor")
        except TypeError as error:
            fail(
                f"{spec.pipeline} can't be called with (model, preprocessor): {error}.",
                "Give every other parameter a default.",
            )
        if isinstance(pipeline, type) and not callable(getattr(pipeline, "__call__", None)):  # noqa: B004
            fail(f"A {spec.pipeline} can't be called with inputs.", "Define __call__(self, inputs, ...).")

    def test_model_joins_backbone_and_head(self) -> None:
        """The class that `zoo.load` and `zoo.create` make for this task."""
        from zoo.interfaces.task_model import ComposedTaskModel

        spec = self.task_entry().spec
        model = resolve_object(spec.model)
        if not (isinstance(model, type) and issubclass(model, ComposedTaskModel)):
            fail(
                f"The model of '{spec.name}', {spec.model}, is no ComposedTaskModel.",
                "Derive it from zoo.interfaces.task_model.ComposedTaskModel, or leave `model` out.",
            )

    def test_default_heads_exist_and_are_for_this_task(self) -> None:
        """For each kind of features, the head that `task=` alone means."""
        entry = self.task_entry()
        spec = entry.spec
        if spec.headless:
            if spec.default_heads:
                fail(f"The task '{spec.name}' is headless and has default heads.", "Leave one of both out.")
            return
        if not spec.default_heads:
            fail(
                f"The task '{spec.name}' has no default head, so it can't be asked for by its name.",
                "Name one per kind of features in `default_heads`, or say headless=True.",
            )
        for kind, name in spec.default_heads.items():
            try:
                head = registry().heads.meant_by(entry.distribution, name)
            except ZooError as error:
                fail(f"The default head for {kind}: {error}", "Correct `default_heads`.")
            if not entry.goes_by(head.spec.task):
                fail(
                    f"The default head for {kind}, '{name}', is for the task '{head.spec.task}'.",
                    f"Name a head whose task is '{spec.name}'.",
                )
