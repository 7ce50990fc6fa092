"""The contracts between core and plugins. The torch-free ones are importable from here; the rest from their modules."""

from zoo.interfaces.cache import Cache, CacheSpec, LayerCache, LayerCacheSpec
from zoo.interfaces.config import Config, TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.interfaces.neck_config import NeckConfig
from zoo.interfaces.preprocessor import Preprocessor
from zoo.interfaces.shown import shown

__all__ = [
    "Cache",
    "CacheSpec",
    "Config",
    "FeatureSpec",
    "LayerCache",
    "LayerCacheSpec",
    "LayoutConfigs",
    "ModelMetadata",
    "NeckConfig",
    "Preprocessor",
    "TypedConfig",
    "shown",
]
