"""One module per task: its head, its output type, its pipeline. Import from the modules."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.registry import Entry
    from zoo.spec import TaskSpec


class _CallableModule(ModuleType):
    """Makes `zoo.tasks()` list the tasks although, once this package is imported, `zoo.tasks` is the package."""

    def __call__(self) -> tuple[Entry[TaskSpec], ...]:
        from zoo.registry import tasks

        return tasks()


sys.modules[__name__].__class__ = _CallableModule
