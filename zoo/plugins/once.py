"""Values of the process that are built when first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from zoo.errors import PluginError

__all__ = ["Once"]

T = TypeVar("T")

# One lock for all of them: the registry is built from the plugins, and two locks could be taken in opposite orders.
_LOCK = threading.RLock()


class Once(Generic[T]):
    """A function that builds its value when called first, in one thread while others wait, and returns it ever after.

    Building that raises is tried again by the next call. Building that asks for itself raises PluginError: a plugin
    can't be told what all plugins contribute while it is being asked for its own part.
    """

    def __init__(self, build: Callable[[], T], description: str) -> None:
        """description: of the value, in the plural, to begin a message with."""
        self._build = build
        self._description = description
        self._value: T | None = None
        self._building = False

    def __call__(self) -> T:
        """The value."""
        if self._value is not None:
            return self._value
        with _LOCK:
            if self._building:
                raise PluginError(
                    f"{self._description} were asked for while they were being loaded.",
                    hint="A plugin must not use the registry while it is imported, nor in its hooks.",
                )
            if self._value is None:
                self._building = True
                try:
                    self._value = self._build()
                finally:
                    self._building = False
            return self._value
