"""The identifier of a NCCL communicator reaches every rank in the type that CuPy's version uses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spikeprep.cuda import nccl
from spikeprep.cuda.nccl import NcclRanks

from ..distributed.test_shared_memory import together

CONTENT = [(7 * n) % 128 for n in range(128)]
CUPY_13 = tuple(n - 64 for n in CONTENT)  # signed characters
CUPY_14 = bytes(255 - n for n in CONTENT)


@pytest.mark.parametrize("identifier", [CUPY_13, CUPY_14], ids=["tuple", "bytes"])
def test_every_rank_joins_with_the_identifier_of_rank_0(
    identifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[None] = []
    joined: list[tuple[Any, ...]] = []

    def get_unique_id() -> Any:
        requested.append(None)
        return identifier

    library = SimpleNamespace(
        get_unique_id=get_unique_id, NcclCommunicator=lambda *arguments: joined.append(arguments)
    )
    monkeypatch.setattr(nccl, "_nccl", lambda: library)
    together(3, NcclRanks)
    assert len(requested) == 1
    assert sorted(joined, key=lambda arguments: arguments[2]) == [(3, identifier, rank) for rank in range(3)]
    assert {type(arguments[1]) for arguments in joined} == {type(identifier)}
