"""What this package contributes. Strings only: nothing is imported until it is used.

What another distribution brings goes by its full name, so that a third one that claims the bare name is no obstacle.
"""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, LayoutSpec, Manifest, PresetSpec
from zoo_swin.presets import PRESETS

_CLASSIFIER = "zoo-sdk:image-classifier"


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="Apache-2.0", summary="Swin Transformer and Swin Transformer V2")


@hookimpl
def zoo_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="swin",
            config="zoo_swin.config:SwinConfig",
            model="zoo_swin.model:Swin",
            modality="image",
            default_task="zoo-sdk:image-classification",
            default_preset="swin-tiny-patch4-window7-224",
            preprocessor="zoo-sdk:image",
            model_types=("swin",),
            paper="https://arxiv.org/abs/2103.14030",
            summary="Hierarchical backbone with attention in shifted windows",
        ),
        ArchitectureSpec(
            name="swinv2",
            config="zoo_swin.config:SwinV2Config",
            model="zoo_swin.model:SwinV2",
            modality="image",
            default_task="zoo-sdk:image-classification",
            default_preset="swinv2-tiny-patch4-window8-256",
            preprocessor="zoo-sdk:image",
            model_types=("swinv2",),
            paper="https://arxiv.org/abs/2111.09883",
            summary="Swin with cosine attention, a continuous position bias and norms at the end of branches",
        ),
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    return [
        *_hub_layouts("swin", "Swin"),
        *_hub_layouts("swinv2", "Swinv2"),
        *(
            _original_layout(version, dialect, classifier)
            for version in ("swin", "swinv2")
            for dialect in ("microsoft", "timm")
            for classifier in (True, False)
        ),
    ]


@hookimpl
def zoo_presets() -> list[PresetSpec]:
    return PRESETS


def _hub_layouts(architecture: str, name: str) -> list[LayoutSpec]:
    """The Hub's classes of one version."""
    classes, keys = f"zoo_swin.layouts:{architecture.upper()}", f"zoo_swin.keys:{architecture.upper()}"
    return [
        LayoutSpec(
            name=f"{architecture}-image-classification",
            architecture=architecture,
            head=_CLASSIFIER,
            class_name=f"{name}ForImageClassification",
            summary=f"The Hub's {name}ForImageClassification",
            matches=f"{classes}.matches_classifier",
            read_config=f"{classes}.read_classifier",
            write_config=f"{classes}.write_classifier",
            key_map=f"{keys}_CLASSIFIER",
        ),
        LayoutSpec(
            name=f"{architecture}-model",
            architecture=architecture,
            class_name=f"{name}Model",
            summary=f"The Hub's {name}Model",
            matches=f"{classes}.matches_backbone",
            read_config=f"{classes}.read_backbone",
            write_config=f"{classes}.write_backbone",
            key_map=keys,
        ),
        LayoutSpec(
            name=f"{architecture}-masked-image-modeling",
            architecture=architecture,
            class_name=f"{name}ForMaskedImageModeling",
            summary=f"The backbone of the Hub's {name}ForMaskedImageModeling; only read",
            matches=f"{classes}.matches_masked",
            read_config=f"{classes}.read_backbone",
            key_map=f"{keys}_MASKED",
        ),
        LayoutSpec(
            name=f"{architecture}-without-labels",
            architecture=architecture,
            class_name=f"{name}ForImageClassification",
            summary=f"The backbone of the Hub's {name}ForImageClassification for no labels; only read",
            matches=f"{classes}.matches_without_labels",
            read_config=f"{classes}.read_backbone",
            key_map=f"{keys}_CLASSIFIER",
        ),
    ]


def _original_layout(architecture: str, dialect: str, classifier: bool) -> LayoutSpec:
    """The names of the authors or of timm; only read, since the Hub's are what everybody reads."""
    kind = f"{architecture}_{dialect}_{'classifier' if classifier else 'backbone'}"
    names = "timm's names" if dialect == "timm" else "The authors' names"
    return LayoutSpec(
        name=kind.replace("_", "-"),
        architecture=architecture,
        head=_CLASSIFIER if classifier else None,
        summary=f"{names}{'' if classifier else ', without a head'}; only read",
        matches=f"zoo_swin.original:{kind.upper()}.matches",
        read_config=f"zoo_swin.original:read_{architecture}",
        key_map=f"zoo_swin.keys:{dialect}",
    )
