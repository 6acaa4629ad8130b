"""Optional libraries of exports: where one is missing the error names the extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CapabilityError

_EXTRAS = {"nir": "nir", "h5py": "events", "torch": "torch"}


@contextmanager
def needs(name: str) -> Iterator[None]:
    """Import a library inside: ``with needs("nir"): import nir``.

    Raises
    ------
    CapabilityError
        It is not installed; the hint has the extra that brings it.
    """
    try:
        yield
    except ImportError as error:
        raise CapabilityError(
            f"this export needs {name}, which is not installed",
            "",
            f"Install it: python -m pip install 'spikeprep[{_EXTRAS[name]}]'",
        ) from error
