"""Tools for checkpoints: inspect, verify, compare, migrate, shard, merge. They run nothing that is in a checkpoint.

Names are resolved when they are first used, so that `import zoo_tools` costs next to nothing. Each is a function that
returns a frozen report; the command `zoo` prints it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_tools.comparison import DiffReport as DiffReport
    from zoo_tools.comparison import diff as diff
    from zoo_tools.html_page import html_report as html_report
    from zoo_tools.inspection import InspectReport as InspectReport
    from zoo_tools.inspection import inspect as inspect
    from zoo_tools.migrate_report import MigrateReport as MigrateReport
    from zoo_tools.migrate_report import TreeReport as TreeReport
    from zoo_tools.migration import migrate as migrate
    from zoo_tools.resharding import merge as merge
    from zoo_tools.resharding import shard as shard
    from zoo_tools.tree_migration import migrate_tree as migrate_tree
    from zoo_tools.verification import VerifyReport as VerifyReport
    from zoo_tools.verification import verify as verify

_HOME = {
    "DiffReport": "comparison",
    "InspectReport": "inspection",
    "MigrateReport": "migrate_report",
    "TreeReport": "migrate_report",
    "VerifyReport": "verification",
    "diff": "comparison",
    "html_report": "html_page",
    "inspect": "inspection",
    "merge": "resharding",
    "migrate": "migration",
    "migrate_tree": "tree_migration",
    "shard": "resharding",
    "verify": "verification",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo_tools' has no attribute {name!r}")
    value = getattr(import_module(f"zoo_tools.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
