"""The command `zoo`. Each subcommand is a module of its own, imported only when it is invoked."""

from __future__ import annotations

from zoo.cli.program import main

__all__ = ["main"]
