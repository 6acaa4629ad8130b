"""Conformance checks that authors of plugins run on their own: each raises `AssertionError` with what is wrong.

They need no test framework::

    from spikeprep.testing import check_encoder

    def test_latency():
        check_encoder(Latency(steps=50), [image, other_image])
"""

from .encoders import check_encoder
from .event_formats import check_event_format
from .plugins import check_plugin
from .sources import check_source
from .transforms import check_transform

__all__ = ["check_encoder", "check_event_format", "check_plugin", "check_source", "check_transform"]
