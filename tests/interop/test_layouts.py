"""Orders of axes: every order against NumPy's, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.errors import UsageError
from spikeprep.interop.layouts import Layout
from spikeprep.packing import pack


def dense(layout, spikes, steps):
    """Return what `layout` writes of spikes (sample, time, unit)."""
    out = np.full(layout.shape(len(spikes), steps), 7, np.uint16)
    layout.write(pack(spikes), steps, out, 3)
    return out


@pytest.mark.parametrize("axes", ["BTN", "TBN", "BNT", "NTB", "TNB", "NBT"])
@pytest.mark.parametrize("steps", [1, 8, 13, 16])
def test_units_in_one_axis(axes, steps):
    spikes = np.random.default_rng(0).random((3, 13, 10)) < 0.3
    expected = np.zeros((3, steps, 10), bool)
    expected[:, : min(steps, 13)] = spikes[:, :steps]
    got = dense(Layout(axes, (2, 5)), spikes, steps)
    assert (got == 3 * expected.transpose(["BTN".index(axis) for axis in axes])).all()


@pytest.mark.parametrize("axes", ["TBCHW", "BTCHW", "BCHWT", "TBHWC", "BTWHC"])
@pytest.mark.parametrize(
    ("shape", "channels"),
    [((2, 6, 5), "auto"), ((6, 5, 2), "auto"), ((5, 6, 7), "first"), ((5, 6, 7), "last")],
)
def test_units_on_a_grid(axes, shape, channels):
    spikes = np.random.default_rng(1).random((2, 9, *shape)) < 0.3
    last = channels == "last" or shape == (6, 5, 2)
    names = "BTHWC" if last else "BTCHW"
    got = dense(Layout(axes, shape, channels), spikes.reshape(2, 9, -1), 9)
    assert (got == 3 * spikes.transpose([names.index(axis) for axis in axes])).all()


def test_a_grid_of_one_channel_may_lack_its_axis():
    spikes = np.random.default_rng(2).random((2, 9, 4, 5)) < 0.3
    flat = spikes.reshape(2, 9, 20)
    assert (dense(Layout("TBHW", (4, 5)), flat, 9) == 3 * spikes.transpose(1, 0, 2, 3)).all()
    assert (dense(Layout("TBCHW", (4, 5)), flat, 9) == 3 * spikes.transpose(1, 0, 2, 3)[:, :, None]).all()


def test_several_axes_of_channels_become_one():
    spikes = np.random.default_rng(3).random((2, 9, 3, 2, 4, 5)) < 0.3
    got = dense(Layout("BTCHW", (3, 2, 4, 5)), spikes.reshape(2, 9, -1), 9)
    assert (got == 3 * spikes.reshape(2, 9, 6, 4, 5)).all()


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ("TN", (4,), "'TN'.*an order of B"),
        ("BTNN", (4,), "an order of B"),
        ("BTX", (4,), "an order of B"),
        ("", (4,), "an order of B"),
        ("BHTW", (4, 4), "another axis between H, W.*next to each other"),
        ("BTHW", (16,), r"units of shape \(16,\).*rows and columns.*BTN"),
        ("BTHW", (2, 8, 8), "2 channels of 8 × 8.*C among the axes.*BTCHW"),
        ("BTCHW", (5, 6, 7), "look alike.*channels=first or channels=last"),
    ],
)
def test_what_is_no_layout(axes, shape, message):
    with pytest.raises(UsageError, match=message):
        Layout(axes, shape)
