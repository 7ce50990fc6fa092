"""What is known of an installed plugin."""

from __future__ import annotations

from zoo.describe.json_types import Description
from zoo.plugins import PluginInfo

__all__ = ["describe_plugin"]


def describe_plugin(info: PluginInfo) -> Description:
    """A plugin. "status": "loaded", "failed" ("failure" and "traceback" say why), "disabled" by the user, or "left
    out" ("left_out" says why).
    """
    manifest = info.manifest
    not_loaded = "failed" if info.failure is not None else "disabled" if info.disabled else "left out"
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "status": "loaded" if info.loaded else not_loaded,
        "api_version": manifest.api_version if manifest is not None else None,
        "licence": manifest.licence if manifest is not None else None,
        "docs_url": (manifest.docs_url or None) if manifest is not None else None,
        "summary": manifest.summary if manifest is not None else "",
        "contributes": {kind: list(names) for kind, names in info.contributes.items()},
        "load_ms": round(info.load_seconds * 1000, 2),
        "target": info.target,
        "source": info.source,
        "failure": info.failure,
        "left_out": info.left_out,
        "traceback": info.traceback,
    }
