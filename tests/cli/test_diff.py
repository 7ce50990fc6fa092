"""`zoo diff`."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture
def paths(tmp_path):
    tensors = {"a": torch.ones(2, 3), "gone": torch.ones(1), "same": torch.ones(1)}
    torch.save(tensors, tmp_path / "a.pt")
    save_file(
        {"a": torch.ones(2, 3) + torch.eye(2, 3) / 2, "new": torch.ones(1), "same": torch.ones(1)},
        tmp_path / "b.safetensors",
    )
    return str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors")


def test_changes(zoo_here, paths):
    finished = zoo_here("diff", *paths)
    assert finished.exit_code == 0
    assert finished.stdout.splitlines() == [
        "equal\t1",
        "removed\t1",
        "added\t1",
        "changed\t1",
        "change\tremoved\tgone\tF32 [1]\t-\t-",
        "change\tadded\tnew\t-\tF32 [1]\t-",
        "change\tchanged\ta\tF32 [2, 3]\tF32 [2, 3]\t-",
    ]


def test_exit_code(zoo_here, paths):
    assert zoo_here("diff", *paths, "--exit-code").exit_code == 1
    same = zoo_here("diff", paths[0], paths[0], "--exit-code")
    assert (same.exit_code, same.stdout) == (0, "equal\t3\n")


def test_statistics(zoo_here, paths):
    last = zoo_here("diff", *paths, "--stats").stdout.splitlines()[-1]
    assert last == "change\tchanged\ta\tF32 [2, 3]\tF32 [2, 3]\t2\t0.5\t[0, 0]\t0.333333\t[0, 0]\t-"
    values = json.loads(zoo_here("diff", *paths, "--stats", "--json").stdout)
    assert values["changes"][-1]["statistics"]["max_absolute"] == 0.5


def test_only_statistics_need_numpy(run_python, paths):
    script = f"""
        import sys
        sys.modules["numpy"] = None
        from zoo.cli import main
        assert main(["diff", *{paths!r}]) == 0
        assert main(["diff", *{paths!r}, "--stats"]) == 1
    """
    process = run_python(script)
    assert process.returncode == 0, process.stderr
    assert "pip install numpy" in process.stderr and "Traceback" not in process.stderr


def test_on_a_terminal_each_change_is_a_sentence(terminal, paths):
    screen = terminal("diff", *paths, "--stats", COLUMNS="160", NO_COLOR="1")
    assert screen.exit_code() == 0
    assert "2 elements differ, by at most 0.5 at [0, 0], relatively 0.333 at [0, 0]" in screen.screen
