"""The machine, the versions and the settings: what a bug report needs.

Of environment variables only those in a list are shown, and no token is among them.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib import metadata
from typing import Any

from zoo import __version__
from zoo.describe.json_types import Description, Json
from zoo.describe.plugin import describe_plugin
from zoo.errors import PluginError
from zoo.plugins import plugins

__all__ = ["environment"]

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface-hub",
    "numpy",
    "jinja2",
    "click",
    "pluggy",
    "rich",
)
_VARIABLES = (
    "ZOO_CONFIG_HOME",
    "ZOO_LOG",
    "ZOO_PLUGINS",
    "ZOO_PREFER",
    "ZOO_STRICT",
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK",
)


def environment(*, with_torch: bool) -> Description:
    """The environment. "torch" is None when it was not asked, and has an "error" when it can't be imported."""
    return {
        "zoo": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "virtual_environment": sys.prefix != sys.base_prefix,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": _usable_cpus(),
        "memory_bytes": _memory(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch": _torch() if with_torch else None,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        **_plugins(),
    }


def _plugins() -> Description:
    try:
        return {"plugins": [_brief(describe_plugin(info)) for info in plugins()], "plugins_error": None}
    except PluginError as error:  # strict mode, or settings that contradict what is installed
        return {"plugins": [], "plugins_error": str(error)}


def _brief(description: Description) -> Description:
    return {key: description[key] for key in ("name", "version", "status", "api_version", "failure")}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _usable_cpus() -> int:
    """Those that this process may run on, which in a container are often fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, and not all systems these names
        return None


def _torch() -> Description:
    try:
        # By name, so that importing this module never depends on torch.
        torch: Any = importlib.import_module("torch")
        return {
            "error": None,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "devices": _devices(torch),
        }
    except ImportError as error:
        return {"error": str(error), "devices": []}
    except Exception as error:  # a broken installation may raise anything, and is what the report is about
        return {"error": f"{type(error).__name__}: {error}", "devices": []}


def _devices(torch: Any) -> Json:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return []
    module = torch.get_device_module(accelerator)
    found: list[Description] = []
    for index in range(torch.accelerator.device_count()):
        properties = module.get_device_properties(index) if hasattr(module, "get_device_properties") else None
        found.append(
            {
                "device": f"{accelerator.type}:{index}",
                "name": getattr(properties, "name", None),
                "memory_bytes": getattr(properties, "total_memory", None),
            }
        )
    return found
