"""Results for people: what comes out of a checkpoint stays on its line."""

from __future__ import annotations

from zoo.cli.results import result_text
from zoo.tasks.classification import LabelScore


def test_labels_of_strangers_pretend_no_other_lines_or_scores():
    shown = result_text([LabelScore("cat\t0.9999\ndog\u202e\x1b[31m", 0.25)])
    assert shown == "cat\\t0.9999\\ndog\\u202e\\x1b[31m\t0.2500"
