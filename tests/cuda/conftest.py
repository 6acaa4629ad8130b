from __future__ import annotations

from collections.abc import Iterator

import pytest

from spikeprep.cuda.runtime import Runtime

from ..backends.backends import cuda_runtime


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """Return the device; restore its limits after a test that lowered them."""
    device = cuda_runtime()
    limits = device.shared_limit, device.processors
    yield device
    device.shared_limit, device.processors = limits
