"""Which heads fit which features, decided from specs alone, before anything is imported or allocated. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors import CompositionError
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.registry import Entry, registry
from zoo.spec import ArchitectureSpec, FeatureRequirement, HeadSpec, TaskSpec

__all__ = ["choose_head", "default_head", "features_for", "serving", "unmet"]


def serving(requirement: FeatureRequirement, features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Those of a backbone's features that serve the requirement; a head is built from these and meets no other."""
    return tuple(feature for feature in features if feature.unmet(requirement) is None)


def unmet(requirement: FeatureRequirement, features: Sequence[FeatureSpec]) -> str | None:
    """Why these features don't serve the requirement, or None when they do."""
    if not features:
        return f"needs {requirement.kind}, but there are no features"
    served = serving(requirement, features)
    if not served:
        return features[0].unmet(requirement)
    absent = sorted(set(requirement.strides) - {feature.stride for feature in served})
    if absent:
        given = ", ".join(str(feature.stride) for feature in served)
        return f"needs {requirement.kind}s at strides {', '.join(map(str, absent))}; there are some at {given}"
    return None


def features_for(head: HeadSpec, features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """The features that a head is built from: those that serve the first of its requirements that is met."""
    for requirement in head.requirements:
        if unmet(requirement, features) is None:
            return serving(requirement, features)
    return ()


def _unmet_by(features: Sequence[FeatureSpec], head: HeadSpec) -> str | None:
    """Why these features don't serve the head, or None when they do; of several reasons the one that is nearest to
    what there is.
    """
    reasons = [unmet(requirement, features) for requirement in head.requirements]
    if None in reasons:
        return None
    kinds = {feature.kind for feature in features}
    return min(zip(head.requirements, reasons, strict=True), key=lambda pair: pair[0].kind not in kinds)[1]


def default_head(task: Entry[TaskSpec], features: Sequence[FeatureSpec]) -> Entry[HeadSpec] | None:
    """The head that a task takes by default for these features, or None when it has none for their kinds."""
    for feature in features:
        name = task.spec.default_heads.get(feature.kind)
        if name is not None:
            return registry().heads.meant_by(task.distribution, name)
    return None


def choose_head(
    architecture: Entry[ArchitectureSpec],
    features: Sequence[FeatureSpec],
    task: Entry[TaskSpec],
    head: str | None = None,
) -> Entry[HeadSpec]:
    """The head to build: the named one, or the task's default for these features.

    Raises CompositionError, in one sentence with the reason, when there is none or it does not fit.
    """
    name, task_name = architecture.spec.name, task.spec.name
    if head is not None:
        entry = registry().heads.get(head)
        if not task.goes_by(entry.spec.task):
            raise CompositionError(f"The head '{head}' is for the task '{entry.spec.task}', not for '{task_name}'.")
    else:
        found = default_head(task, features)
        if found is None:
            given = ", ".join(sorted({f"{feature.modality} {feature.kind}" for feature in features}))
            wanted = ", ".join(task.spec.default_heads) or "none"
            raise CompositionError(
                f"{name} can't do '{task_name}': it gives {given}, and the task has heads for {wanted} only.",
                hint=f"`zoo info {name}` lists the tasks that it can do.",
            )
        entry = found
    reason = _unmet_by(features, entry.spec)
    if reason is not None:
        raise CompositionError(
            f"{name} can't do '{task_name}': its head '{entry.spec.name}' {reason}.",
            hint=f"`zoo info {name}` lists the tasks that it can do.",
        )
    return entry
