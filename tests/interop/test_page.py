"""The page on other libraries: every block of Python runs, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_site.blocks import blocks, run, session

PAGE = Path(__file__).parent.parent.parent / "docs" / "interop.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    for library in ("jax", "xarray", "sklearn"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    found = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(found) == 8
    with session("interop_page") as names:
        for block in found:
            run(block, names, where="docs/interop.md")
    assert torch.isfinite(names.loss)
    assert names.bits.shape == (512, 64, 25)
    assert names.rates.shape == (8, 8)
    assert names.spikes.sum() > 0
    assert names.spikes.dtype == bool
