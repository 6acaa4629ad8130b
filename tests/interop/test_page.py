"""The page on other libraries: every block of Python runs, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "interop.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    for library in ("jax", "xarray", "sklearn"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    for block in blocks:
        exec(compile(block, "docs/interop.md", "exec", dont_inherit=True), names)
    assert torch.isfinite(names["loss"])
    assert names["bits"].shape == (512, 64, 25)
    assert names["rates"].shape == (8, 8)
    assert names["spikes"].sum() > 0
    assert names["spikes"].dtype == bool
