"""How the tensors of UperNet are called on disk: by the Hub's class, around any backbone, and by Swin's authors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo.errors import PluginError
from zoo.interfaces import LayoutConfigs
from zoo.layouts import key_map_of, writable_layout
from zoo.registry import registry
from zoo.weights.key_map import Ignore, KeyMap, Rule
from zoo_segmentation.config import UperNetConfig
from zoo_segmentation.layouts import STAGES
from zoo_segmentation.original import BACKBONE

__all__ = ["SWIN", "SWINV2", "UperNetKeys", "original"]

_CLASSIFIER_ONLY = "it belongs to the backbone of a classifier; the maps that UperNet sees come before it"

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class UperNetKeys:
    """A key map for one kind of backbone: the names of the architecture's own bare layout under `backbone.`, and those
    of neck and head. Called with the configurations.

    architecture: the full name of its ArchitectureSpec. unused: stored names of modules, in the bare layout, that a
    backbone has no use for that only gives maps. inside: what the Hub's classes in memory, whose names are read, too,
    put between `backbone.` and the names.
    """

    architecture: str
    unused: tuple[str, ...] = ()
    inside: str = ""

    def __call__(self, configs: LayoutConfigs) -> KeyMap:
        head: UperNetConfig = configs.head
        norms = [
            rule
            for index, stage in enumerate(STAGES)
            for rule in _both(f"backbone.hidden_states_norms.{stage}", f"neck.norms.{index}")
        ]
        return self._backbone(configs) + KeyMap((*(norms if configs.neck is not None else ()), *_head(head)))

    def _backbone(self, configs: LayoutConfigs) -> KeyMap:
        architecture = registry().architectures.get(self.architecture)
        layout = writable_layout(architecture, None)
        if layout is None:
            raise PluginError(
                f"The architecture '{self.architecture}' has no layout of its own without a head, whose names UperNet's"
                " files have inside."
            )
        bare = key_map_of(layout, LayoutConfigs(architecture=configs.architecture))
        rules = [self._inside(rule) for rule in bare.rules if not self._is_unused(rule)]
        ignored = [
            Ignore(f"{prefix}{ignore.stored}", ignore.reason) for prefix in self._prefixes() for ignore in bare.ignored
        ]
        ignored += [
            Ignore(f"{prefix}{template}", _CLASSIFIER_ONLY)
            for rule in bare.rules
            if self._is_unused(rule)
            for prefix in self._prefixes()
            for template in (*rule.stored_templates, *rule.aliases)
        ]
        return KeyMap(tuple(rules), tuple(ignored))

    def _prefixes(self) -> tuple[str, ...]:
        return ("backbone.", f"backbone.{self.inside}") if self.inside else ("backbone.",)

    def _inside(self, rule: Rule) -> Rule:
        """The rule with its stored names under `backbone.`."""
        stored = tuple(f"backbone.{template}" for template in rule.stored_templates)
        aliases = tuple(f"backbone.{alias}" for alias in rule.aliases)
        if self.inside and len(stored) == 1:
            aliases += tuple(
                f"backbone.{self.inside}{template}" for template in (*rule.stored_templates, *rule.aliases)
            )
        return replace(rule, stored=stored, aliases=aliases)

    def _is_unused(self, rule: Rule) -> bool:
        return all(template.rpartition(".")[0] in self.unused for template in rule.stored_templates)


def _both(stored: str, model: str) -> list[Rule]:
    """The rules of a weight and its bias."""
    return [Rule(f"{stored}.{kind}", f"{model}.{kind}") for kind in ("weight", "bias")]


def _head(config: UperNetConfig, norm: str = "batch_norm", classifier: str = "classifier") -> list[Rule]:
    """The rules of the head. norm, classifier: what the dialect calls them."""
    blocks = {
        "decode_head.psp_modules.{i}.1": "head.pyramid_pooling.projections.{i}",
        "decode_head.bottleneck": "head.pyramid_pooling.merge",
        "decode_head.lateral_convs.{i}": "head.laterals.{i}",
        "decode_head.fpn_convs.{i}": "head.smoothings.{i}",
        "decode_head.fpn_bottleneck": "head.fusion",
    }
    rules = _both(f"decode_head.{classifier}", "head.classifier")
    if config.auxiliary:
        blocks["auxiliary_head.convs.{i}"] = "head.auxiliary.convs.{i}"
        blocks["auxiliary_head.conv_cat"] = "head.auxiliary.merge"
        rules += _both(f"auxiliary_head.{classifier}", "head.auxiliary.classifier")
    for stored, model in blocks.items():
        rules.append(Rule(f"{stored}.conv.weight", f"{model}.conv.weight"))
        rules += [Rule(f"{stored}.{norm}.{kind}", f"{model}.norm.{kind}") for kind in _NORM]
    return rules


def original(configs: LayoutConfigs) -> KeyMap:
    """The authors' names of UperNet with Swin."""
    bare = key_map_of(registry().layouts.get(BACKBONE), LayoutConfigs(architecture=configs.architecture))
    norms = [rule for index in range(len(STAGES)) for rule in _both(f"backbone.norm{index}", f"neck.norms.{index}")]
    head = _head(configs.head, norm="bn", classifier="conv_seg")
    return bare.prefixed(stored="backbone.") + KeyMap((*norms, *head))


SWIN = UperNetKeys("zoo-swin:swin", unused=("layernorm",), inside="swin.")
"""UperNet with Swin."""

SWINV2 = UperNetKeys("zoo-swin:swinv2", unused=("layernorm",))
"""UperNet with Swin V2."""
