"""`python -m zoo` is the command `zoo`."""

from __future__ import annotations

from zoo.cli import main

raise SystemExit(main())
