"""What zoo asks of a task, and what its pipeline gives."""

from __future__ import annotations

from pathlib import Path

import torch

import zoo
from zoo.testing import TaskConformance


class TestTinytask(TaskConformance):
    task = "zoo-tinytask:tinytask"
