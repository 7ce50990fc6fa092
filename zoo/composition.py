"""Which heads and necks fit which features, decided from specs alone, before anything is imported or allocated.
Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zoo.errors import CompositionError
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.log import logger
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, FeatureRequirement, HeadSpec, NeckSpec, TaskSpec

__all__ = [
    "choose_head",
    "default_head",
    "features_after",
    "features_for",
    "helpful_necks",
    "require_fit",
    "require_modality",
    "require_neck",
    "served",
    "serving",
    "unmet",
]


def serving(requirement: FeatureRequirement, features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Those of a backbone's features that serve the requirement; a head is built from these and meets no other.

    A requirement that names strides is served by the maps of these strides alone.
    """
    return tuple(
        feature
        for feature in features
        if feature.unmet(requirement) is None
        and (not requirement.strides or feature.stride is None or feature.stride in requirement.strides)
    )


def unmet(requirement: FeatureRequirement, features: Sequence[FeatureSpec]) -> str | None:
    """Why these features don't serve the requirement, in words that go on a sentence, or None when they do."""
    strides = {feature.stride for feature in serving(requirement, features)}
    if strides and set(requirement.strides) <= strides:
        return None
    return f"needs {_wanted(requirement)}"


def served(requirements: Iterable[FeatureRequirement], features: Sequence[FeatureSpec]) -> FeatureRequirement | None:
    """The first of several requirements that is met."""
    return next((requirement for requirement in requirements if unmet(requirement, features) is None), None)


def features_for(head: HeadSpec, features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """The features that a head is built from: those that serve the first of its requirements that is met."""
    requirement = served(head.requirements, features)
    return () if requirement is None else serving(requirement, features)


def features_after(neck: NeckSpec, config: Any, features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """What a neck of this configuration makes of a backbone's features, which meet its requirement."""
    made: tuple[FeatureSpec, ...] = config.feature_specs(serving(neck.requires, features))
    return made


def default_head(
    architecture: Entry[ArchitectureSpec], task: Entry[TaskSpec], features: Sequence[FeatureSpec]
) -> Entry[HeadSpec] | None:
    """The head that a task takes by default with this architecture: the one that the architecture names, else the
    task's for the kinds of its features; None when it has none for these.
    """
    for name, head in architecture.spec.heads.items():
        if task.goes_by(name):
            return registry().heads.meant_by(architecture.distribution, head)
    for feature in features:
        default = task.spec.default_heads.get(feature.kind)
        if default is not None:
            return registry().heads.meant_by(task.distribution, default)
    return None


def choose_head(
    architecture: Entry[ArchitectureSpec],
    features: Sequence[FeatureSpec],
    task: Entry[TaskSpec],
    head: Entry[HeadSpec] | None = None,
) -> Entry[HeadSpec]:
    """The head to build: the named one, or the default one. Whether it fits is for `require_fit` to say.

    Raises CompositionError, in one sentence with the reason, when there is none or it is for another task.
    """
    name, task_name = architecture.spec.name, task.spec.name
    if task.spec.headless:
        raise CompositionError(f"The task '{task_name}' is done by the backbone alone, without a head.")
    if head is not None:
        if not task.goes_by(head.spec.task):
            raise CompositionError(
                f"The head '{head.spec.name}' is for the task '{head.spec.task}', not for '{task_name}'."
            )
        return head
    found = default_head(architecture, task, features)
    if found is None:
        wanted = ", ".join(_PLURALS[kind] for kind in task.spec.default_heads) or "none"
        heads = [registry().heads.meant_by(task.distribution, head) for head in task.spec.default_heads.values()]
        cure = _cure({neck for head in heads for neck in helpful_necks(features, head)})
        raise CompositionError(
            f"{name} can't do '{task_name}'{cure and ' as it is'}: it gives {_given(features)}, and the task has heads "
            f"for {wanted} only{cure}.",
            hint=None if cure else f"`zoo info {name}` lists the tasks that it can do.",
        )
    return found


def require_modality(architecture: Entry[ArchitectureSpec], task: Entry[TaskSpec]) -> None:
    """Raise CompositionError where a task that backbones do alone is for another modality than this one's."""
    name, ours, wanted = architecture.spec.name, architecture.spec.modality, task.spec.modality
    if wanted not in (None, ours):
        raise CompositionError(
            f"{name} can't do '{task.spec.name}': it is for {ours}, and the task is for {wanted}.",
            hint=f"`zoo info {name}` lists the tasks that it can do.",
        )


def require_neck(
    architecture: Entry[ArchitectureSpec], features: Sequence[FeatureSpec], neck: Entry[NeckSpec], neck_config: Any
) -> tuple[FeatureSpec, ...]:
    """What a neck makes of a backbone's features. Raises CompositionError where it needs others."""
    reason = unmet(neck.spec.requires, features)
    if reason is not None:
        raise CompositionError(
            f"The neck '{neck.spec.name}' {reason}; {architecture.spec.name} gives {_given(features)}."
        )
    return features_after(neck.spec, neck_config, features)


def require_fit(
    architecture: Entry[ArchitectureSpec],
    features: Sequence[FeatureSpec],
    task: Entry[TaskSpec],
    head: Entry[HeadSpec],
    neck: Entry[NeckSpec] | None = None,
    neck_config: Any = None,
) -> tuple[FeatureSpec, ...]:
    """What the head is given: the backbone's features, through the neck where there is one.

    features: of the backbone. Raises CompositionError, in one sentence with the reason and what helps, where the neck
    or the head needs others.
    """
    name = architecture.spec.name
    given = tuple(features)
    giver = name
    if neck is not None:
        given = require_neck(architecture, features, neck, neck_config)
        giver = f"the neck '{neck.spec.name}'"
    if served(head.spec.requirements, given) is not None:
        return given
    cure = _cure(helpful_necks(features, head) if neck is None else ())
    raise CompositionError(
        f"{name} can't do '{task.spec.name}'{cure and ' as it is'}: the head '{head.spec.name}' "
        f"{_unmet_by(given, head.spec)}; {giver} gives {_given(given)}{cure}.",
        hint=None if cure else f"`zoo info {name}` lists the tasks that it can do.",
    )


def helpful_necks(features: Sequence[FeatureSpec], head: Entry[HeadSpec]) -> list[str]:
    """The names of the necks with which, as they are by default, these features serve the head."""
    found = []
    for neck in registry().necks:
        if unmet(neck.spec.requires, features) is not None:
            continue
        try:
            made = features_after(neck.spec, resolve_object(neck.spec.config)(), features)
        except Exception as error:  # every plugin's necks are asked; a broken one is no help, and no obstacle
            logger.warning("the neck %s %s was not asked: %s", neck.full_name, neck.version, error)
            continue
        if served(head.spec.requirements, made) is not None:
            found.append(neck.spec.name)
    return found


def _cure(necks: Iterable[str]) -> str:
    """What a refusal goes on with: ": add neck='simple_fpn'", or nothing."""
    named = [f"neck={neck!r}" for neck in sorted(set(necks))]
    return f": add {' or '.join(named)}" if named else ""


def _unmet_by(features: Sequence[FeatureSpec], head: HeadSpec) -> str:
    """Why these features don't serve the head; of several reasons the one that is nearest to what there is."""
    kinds = {feature.kind for feature in features}
    nearest = min(head.requirements, key=lambda requirement: requirement.kind not in kinds)
    return unmet(nearest, features) or ""


def _wanted(requirement: FeatureRequirement) -> str:
    """A requirement in words, e.g. "image maps at strides 4, 8, 16 and 32"."""
    causal = {None: "", True: "causal", False: "bidirectional"}[requirement.causal]
    words = [causal, requirement.modality or "", _PLURALS[requirement.kind], _prefix(requirement.prefix_tokens)]
    words.append(_at(requirement.strides))
    return " ".join(filter(None, words))


def _given(features: Sequence[FeatureSpec]) -> str:
    """Features in words, e.g. "image tokens at stride 16 and an image vector"."""
    groups: dict[tuple[str, str, bool, int], list[int]] = {}
    for feature in features:
        strides = groups.setdefault((feature.kind, feature.modality, feature.causal, feature.prefix_tokens), [])
        if feature.stride is not None:
            strides.append(feature.stride)
    words = []
    for (kind, modality, causal, prefix), strides in groups.items():
        one = kind == "vector"
        parts = [
            "one" if one else "",
            "causal" if causal else "",
            modality,
            kind if one else _PLURALS[kind],
            _prefix(prefix),
            _at(strides),
        ]
        words.append(" ".join(filter(None, parts)))
    return _listed(words) or "no features"


_PLURALS = {"map": "maps", "tokens": "tokens", "vector": "vectors"}


def _prefix(count: int) -> str:
    return f"with {count} prefix token{'s' if count > 1 else ''}" if count else ""


def _at(strides: Sequence[int]) -> str:
    if not strides:
        return ""
    return f"at stride{'s' if len(strides) > 1 else ''} {_listed([str(stride) for stride in strides])}"


def _listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
