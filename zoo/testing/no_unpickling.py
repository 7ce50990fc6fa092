"""Notices unpickling: inside of `no_unpickling`, whoever unpickles is found out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from zoo.testing.failing import fail, some

__all__ = ["no_unpickling"]

_PATCHED = (("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("torch", "load"))

_noticed: list[str] | None = None
_watching = False


@contextmanager
def no_unpickling(what: str) -> Iterator[None]:
    """Fail where anything inside unpickles, by whatever name it has imported that. what: what is done inside."""
    global _noticed
    _watch()
    found: list[str] = []
    _noticed = found
    originals = [(import_module(module), name) for module, name in _PATCHED]
    kept = [(module, name, getattr(module, name)) for module, name in originals]
    for module, name, original in kept:
        setattr(module, name, _noticing(f"{module.__name__}.{name}", original, found))
    try:
        yield
    finally:
        _noticed = None
        for module, name, original in kept:
            setattr(module, name, original)
        if found:
            fail(
                f"{what} unpickles: {some(list(dict.fromkeys(found)))}.",
                "Unpickling runs code of whoever wrote the file. Read tensors with `zoo.checkpoint.open_checkpoint`, "
                "and everything else as JSON.",
            )


def _noticing(name: str, original: Callable[..., Any], found: list[str]) -> Callable[..., Any]:
    def noticed(*arguments: Any, **options: Any) -> Any:
        found.append(f"{name}(...)")
        return original(*arguments, **options)

    return noticed


def _watch() -> None:
    """Python itself tells when an unpickler looks a global up, whatever it goes by. Such a hook stays for good."""
    global _watching
    if _watching:
        return
    _watching = True

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if _noticed is not None and event == "pickle.find_class":
            _noticed.append(f"the global {arguments[0]}.{arguments[1]}")

    sys.addaudithook(audit)
