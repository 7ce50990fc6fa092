"""The registry: from the name of an architecture, head, task, ... to its spec, and from a reference to the object."""

from __future__ import annotations

from zoo.plugins.records import Entry
from zoo.registry.catalog import Catalog
from zoo.registry.catalogs import Registry
from zoo.registry.process import architectures, register, registry, tasks
from zoo.registry.resolve import resolve_object

__all__ = ["Catalog", "Entry", "Registry", "architectures", "register", "registry", "resolve_object", "tasks"]
