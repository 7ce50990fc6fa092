"""The code in README and docs runs as it stands.

The blocks of a page are one script, run in an empty directory.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]
ELSEWHERE = {
    ROOT / "docs" / "checkpoints.md",
    ROOT / "docs" / "plugins" / "external.md",
    ROOT / "docs" / "plugins" / "tutorial.md",
}
"""Pages whose code needs what a test of their own makes: tests/cli/test_checkpoint_guide.py, tests/external."""

OLD_FILES = ("pytorch_model.bin", "pile-of-old-models/a.pt", "pile-of-old-models/b/model.ckpt")
"""The files that people have already, by the names that pages give them."""

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    if page in ELSEWHERE:
        return []
    return [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def named(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.mark.real
@pytest.mark.parametrize("page", named([page for page in PAGES if blocks(page, "python")]))
def test_the_python_of_a_page_runs(page, tmp_path, smollm2_gguf):
    (tmp_path / "page.py").write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    command = [sys.executable, "page.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.real
@pytest.mark.parametrize("page", named([page for page in PAGES if blocks(page, "console")]))
def test_the_commands_of_a_page_run(page, tmp_path, smollm2_gguf):
    for name in OLD_FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save({"layer.weight": torch.ones(3, 4)}, tmp_path / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for code in blocks(page, "console"):
        for line in code.splitlines():
            if not line.startswith("$ "):
                continue
            result = subprocess.run(
                shlex.split(line[2:]),
                cwd=tmp_path,
                env=environment,
                input="",
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert result.returncode == 0, f"{line}\n{result.stderr}"


@pytest.mark.parametrize("page", named(PAGES))
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
