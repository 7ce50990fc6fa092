"""Writes new plugin packages out of templates, which are packages that work themselves."""

from __future__ import annotations

from zoo.scaffold.names import Names, plugin_names
from zoo.scaffold.package import KINDS, LICENCES, package_files, write_package

__all__ = ["KINDS", "LICENCES", "Names", "package_files", "plugin_names", "write_package"]
