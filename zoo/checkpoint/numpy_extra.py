"""numpy, which few things need: it is imported when the first of them is done, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zoo.errors import MissingDependency

__all__ = ["require_numpy"]


def require_numpy(what: str, *, otherwise: str = "") -> Any:
    """numpy. Raises MissingDependency when it is not installed.

    what: the plural of what needs it, e.g. "Statistics of differences". otherwise: how to do without it, a clause.
    """
    try:
        return import_module("numpy")
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise MissingDependency(
            f"{what} need numpy, which is not installed.",
            hint=f"Install it with `pip install numpy`{otherwise and f', or {otherwise}'}.",
        ) from error
