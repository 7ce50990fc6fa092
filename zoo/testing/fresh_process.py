"""Scripts in a process of their own, which has imported nothing yet and finds what this one finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from zoo.testing.failing import fail

__all__ = ["HEAVY", "in_fresh_process"]

HEAVY = ("PIL", "accelerate", "numpy", "torch", "transformers")
"""What must not be imported before it is used."""

SECONDS = 300


def in_fresh_process(script: str, *arguments: Any, what: str, change: str, **environment: str) -> Any:
    """Run Python source in a fresh process, and return what it prints last, read as JSON.

    arguments: what the script finds in `arguments`; JSON carries them. environment: variables to set.
    what, change: for the message where the process fails: what was tried, and what to change.
    """
    begin = "import json, sys\narguments = json.loads(sys.argv[1])\n"
    inherited = {key: value for key, value in os.environ.items() if key not in ("ZOO_PLUGINS", "ZOO_STRICT")}
    finished = subprocess.run(
        [sys.executable, "-c", begin + script, json.dumps(arguments)],
        env=inherited | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if finished.returncode:
        said = finished.stderr.strip().splitlines()[-12:]
        fail(f"In a fresh process {what} failed:\n" + "\n".join(said), change)
    return json.loads(finished.stdout.strip().splitlines()[-1])
