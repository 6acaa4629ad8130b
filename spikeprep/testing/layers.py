"""The check that every layer kind passes."""

from __future__ import annotations

from math import prod

import numpy as np

from ..registry import LAYERS
from ..train.layers import LayerKind
from .plugins import check_plugin, conformance, require

_SEEDS = 3
_EXACT = 1e-9  # of the largest value


@conformance
def check_layer(layer: LayerKind) -> None:
    """Check a layer kind: its notation, its shapes, and that its three operations are one linear map.

    `transpose` is the transpose of `apply`, `correlate` its derivative by the arrays, with and without a time axis.

    Parameters
    ----------
    layer
        An instance with the shapes of the test.

    Raises
    ------
    AssertionError
        The layer kind breaks its contract; the message says how.
    """
    check_plugin(layer)
    name, cls = layer.name, type(layer)
    settings = cls.parse(cls.notation)
    require(settings is not None, f"{name}: parse does not know its own notation {cls.notation!r}")
    require(cls.parse("no layer") is None, f"{name}: parse accepts 'no layer'")
    for other in map(LAYERS.get, LAYERS.names()):
        taken = other.name != name and other.parse(cls.notation) is not None
        require(not taken, f"{name}: the notation {cls.notation!r} is that of {other.name} too")
    pre, post = prod(layer.in_shape), prod(layer.out_shape)
    require(layer.units == post, f"{name}: units is {layer.units}; expected {post}, the product of out_shape")
    initial = layer.initial(np.random.default_rng(0), 0.5)
    require(
        {key: array.shape for key, array in initial.items()}
        == {k: s.shape for k, s in layer.specs().items()},
        f"{name}: initial returns other names or shapes than specs",
    )
    for seed in range(_SEEDS):
        rng = np.random.default_rng(seed)
        arrays = {key: rng.normal(size=spec.shape) for key, spec in layer.specs().items()}
        for axes in ((3,), (2, 5)):
            x, y = rng.normal(size=(*axes, pre)), rng.normal(size=(*axes, post))
            out, back = layer.apply(np, arrays, x), layer.transpose(np, arrays, y)
            require(
                out.shape == y.shape, f"{name}: apply returns {out.shape} for {x.shape}; expected {y.shape}"
            )
            require(
                back.shape == x.shape,
                f"{name}: transpose returns {back.shape} for {y.shape}; expected {x.shape}",
            )
            one, other_way = float((y * out).sum()), float((back * x).sum())
            require(
                abs(one - other_way) <= _EXACT * max(abs(one), 1),
                f"{name}: transpose is not the transpose of apply: y · apply(x) is {one:.9g}, "
                f"transpose(y) · x is {other_way:.9g}",
            )
            _check_derivative(layer, arrays, x, y, rng)


def _check_derivative(
    layer: LayerKind, arrays: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> None:
    gradients = layer.correlate(np, arrays, y, x)
    for key, spec in layer.specs().items():
        what = f"{layer.name}: correlate, {key}"
        shape = gradients[key].shape if key in gradients else None
        require(shape == spec.shape, f"{what} has the shape {shape}; expected {spec.shape}")
        direction = rng.normal(size=spec.shape)
        moved = arrays | {key: arrays[key] + direction}
        change = float((y * (layer.apply(np, moved, x) - layer.apply(np, arrays, x))).sum())
        along = float((gradients[key] * direction).sum())
        require(
            abs(change - along) <= _EXACT * max(abs(change), 1) * 10,
            f"{what} is not the derivative of apply: along a direction it gives {along:.9g}, apply {change:.9g}",
        )
