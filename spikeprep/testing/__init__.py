"""Conformance checks that authors of plugins run on their own: each raises `AssertionError` with what is wrong.

They need no test framework::

    from spikeprep.testing import check_encoder

    def test_first_spike():
        check_encoder(FirstSpike(steps=50), [image, other_image])
"""

from .backends import check_backend
from .encoders import check_encoder
from .event_formats import check_event_format
from .layers import check_layer
from .plugins import check_plugin
from .rules import check_rule
from .sources import check_source
from .transforms import check_transform

__all__ = [
    "check_backend",
    "check_encoder",
    "check_event_format",
    "check_layer",
    "check_plugin",
    "check_rule",
    "check_source",
    "check_transform",
]
