"""Draw a picture of a store, of a recipe's first samples, or of a run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import plot
from ..config import excerpt, fitted
from ..devices import select_backend
from ..encoders.base import Encoder
from ..encoding.run import EncodeSummary
from ..errors import RunError, UsageError, near_miss
from ..plot.spikes import check_sample, sample_name
from ..plugin_errors import plugin_errors
from ..recipes import Recipe, configured_recipe
from ..results import Run, Store, TrainResult
from ..store import SpikeStore, SplitReader
from ..train.checkpoint import unpack_states
from ..train.other_stores import fit
from ..train.run_folder import RunFolder
from ..train.trainer import load_network
from .arguments import PathLike
from .evaluation import evaluate
from .first_samples import first_samples, is_recipe
from .opening import open_run, open_store, path_of, store_of
from .prediction import predict


@plugin_errors()
def draw(
    what: PathLike | EncodeSummary | TrainResult | SpikeStore | Run | Recipe,
    out: PathLike | None = None,
    *,
    kind: str | None = None,
    store: PathLike | EncodeSummary | SpikeStore | None = None,
    split: str | None = None,
    sample: int | None = None,
    source: PathLike | None = None,
    variants: int | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    front_end: str | None = None,
    encoder: str | Encoder | None = None,
    settings: Mapping[str, Any] | None = None,
    download: bool = False,
    device: str | None = None,
    other_encoding: bool = False,
    theme: plot.Theme | None = None,
    overwrite: bool = False,
) -> plot.Picture:
    """Draw a picture of a store or of a run; see `STORE_KINDS` and `RUN_KINDS` for the kinds.

    Parameters
    ----------
    what
        A store or a run: a path, or what `encode`, `train`, `open_store` or `open_run` returned. Or a recipe, its name
        or its file, for a look at its first samples before they are encoded: they get the pictures of a store.
    out
        File to write: .png, .svg, .pdf, .eps or .jpg, of an animation .gif; None: none.
    kind
        Name of the picture; default "sample" of a store, "training" of a run.
    store
        Of a run: the store whose samples it gets; default the one that it was trained on.
    split
        Name of the split; default test, or else the first.
    sample
        Position of the sample in its split; default 0.
    source
        Folder of the raw data, for pictures that show them, and for a recipe that needs one.
    variants
        Copies of each image, of "variants".
    vary
        Setting → values, of "encoders": see `spikeprep.plot.stored_encodings`.
    front_end, encoder, settings, download
        Of a recipe: see `encode`.
    device
        See `train`; default "auto".
    other_encoding
        Whether `store` may be encoded otherwise than the one that the network was trained on.
    theme
        "light" or "dark"; default matplotlib's own style.
    overwrite
        Whether to replace a file that is no picture of spikeprep's.

    Raises
    ------
    UsageError
        There is no such kind, split or sample; an argument is given that the kind does not use, or of another type; or
        `out` cannot be written.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    StoreError, RunError
        The store or the run is missing or damaged, or they do not fit each other.
    CapabilityError
        matplotlib, or the device, is not available here.
    """
    _check_types(what, split=split, kind=kind, sample=sample, variants=variants, vary=vary, device=device)
    recipe = configured_recipe(what, encoder, settings, front_end) if is_recipe(what) else None  # type: ignore[arg-type]
    if recipe is None:
        of_recipes = {"front_end": front_end, "encoder": encoder, "settings": settings, "download": download}
        for name, chosen in of_recipes.items():
            if chosen:
                raise UsageError(
                    f"got {name} = {chosen!r} for a store or a run",
                    "a recipe",
                    "Leave it out, or name a recipe.",
                )
    of_run = recipe is None and (
        isinstance(what, Run | TrainResult) or RunFolder(path_of(what)).is_begun()  # type: ignore[arg-type]
    )
    kinds = RUN_KINDS if of_run else STORE_KINDS
    if kind is None:
        kind = "training" if of_run else "sample" if variants is None else "variants"
    if kind not in kinds:
        other = (STORE_KINDS if of_run else RUN_KINDS).get(kind)
        whose = f"a {'run' if of_run else 'store'}"
        hint = f"It is a picture of a {'store' if of_run else 'run'}." if other else near_miss(kind, kinds)
        raise UsageError(f"got kind = {kind!r} for {whose}", f"one of {', '.join(kinds)}", hint)
    given = {
        "store": store,
        "split": split,
        "sample": sample,
        "source": source if recipe is None else None,  # a recipe's own
        "variants": variants,
        "vary": vary or None,
        "device": device,
        "other_encoding": other_encoding or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    used = _options(kinds[kind])
    for name, value in given.items():
        if name not in used:
            users = [k for k, drawn in kinds.items() if name in _options(drawn)]
            if name == "store":  # what `open_store` returned has a long form
                value = os.fspath(path_of(value))  # type: ignore[arg-type]
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            raise UsageError(
                f"got {name} = {value!r} for the picture {kind}, which does not use it",
                "",
                f"Leave it out, or use kind={users[0]}." if users else "Leave it out.",
            )
    if out is not None:
        plot.check_picture(out, film=kind == "animation", overwrite=overwrite)
    with ExitStack() as stack:
        opened: Any
        if recipe is not None:
            opened = stack.enter_context(first_samples(recipe, sample or 0, source, download))
            if source is not None and "source" in used and (kind != "sample" or plot.has_sound(opened)):
                given["source"] = source
        else:
            opened = open_run(what) if of_run else open_store(what)  # type: ignore[arg-type]
        if theme is not None:
            stack.enter_context(plot.theme(theme))
        picture: plot.Picture = kinds[kind](opened, **given)
        if out is not None:
            plot.save(picture, out, overwrite=overwrite)
    return picture


def _options(drawn: Callable[..., plot.Picture]) -> list[str]:
    """Return the arguments that a picture takes of `draw`, behind the store or the run."""
    return list(inspect.signature(drawn).parameters)[1:]


def _check_types(what: Any, **given: Any) -> None:
    """Raise `UsageError` for what is no store, recipe or run, and for options of another type."""
    if isinstance(what, SplitReader):
        hint = f"Pass the store, and use split={what.split}."
        raise UsageError(f"got the split {what.split} of a store", "a store, a recipe or a run", hint)
    if not isinstance(what, str | os.PathLike | EncodeSummary | TrainResult | SpikeStore | Run | Recipe):
        raise UsageError(
            f"got {type(what).__name__} to draw", "a store, a recipe or a run, or the path of one"
        )
    vary = given.pop("vary")
    several = isinstance(vary, Mapping) and not any(
        isinstance(values, str) or not isinstance(values, Iterable) for values in vary.values()
    )
    if vary is not None and not several:
        raise UsageError(
            f"got vary = {excerpt(vary)}",
            "setting → values to compare",
            'For example: vary={"bsa.theta": [0.4, 0.8]}.',
        )
    for name, value in given.items():
        fitted(value, (int if name in ("sample", "variants") else str) | None, name)


# ---------------------------------------------------------------- of a store


def _sample(
    store: Store, split: str | None = None, sample: int = 0, source: PathLike | None = None
) -> plot.Picture:
    name, attributes = store.chosen_split(split), store.attributes
    if source is not None:
        return plot.stored_sound(store, name, sample, source)
    if plot.has_event_units(store):
        return plot.stored_recording(store, name, sample)
    return plot.raster(store[name], sample, seconds_per_step=attributes["dt"], classes=attributes["classes"])


def _variants(store: Store, variants: int = 6, source: PathLike | None = None) -> plot.Picture:
    return plot.variants(store, variants, source)


def _encoders(
    store: Store,
    split: str | None = None,
    sample: int = 0,
    source: PathLike | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
) -> plot.Picture:
    name = store.chosen_split(split)
    return plot.stored_encodings(store, name, sample, source_path=source, vary=vary)


def _animation(store: Store, split: str | None = None, sample: int = 0) -> plot.Picture:
    return plot.animation(store, store.chosen_split(split), sample)


# ---------------------------------------------------------------- of a run


def _training(run: Run) -> plot.Picture:
    title = f"{run.layers} on {run.config.store}"
    return plot.training_curve(run.history, title=title, layers=run.layers.split("-")[1:])


def _confusion(
    run: Run,
    store: Any = None,
    split: str | None = None,
    device: str = "auto",
    other_encoding: bool = False,
) -> plot.Picture:
    opened = store_of(run, store)
    name = opened.chosen_split(split)
    result = evaluate(run, opened, split=name, device=device, other_encoding=other_encoding)
    title = f"{run.layers} on {result.split} of {opened.path}"
    return plot.confusion(result.confusion, result.classes, title=title)


def _layers(
    run: Run,
    store: Any = None,
    split: str | None = None,
    sample: int = 0,
    device: str = "auto",
    other_encoding: bool = False,
) -> plot.Picture:
    opened, config = store_of(run, store), run.config
    labels = _labels(run, opened, other_encoding)
    name = opened.chosen_split(split)
    reader = opened[name]
    check_sample(sample, len(reader))
    backend = select_backend(device, config.settings.precision)
    network = load_network(run.folder, backend)
    steps, hidden = int(reader.steps[sample]), run.layers.split("-")[1:-1]
    trains = network.forward(reader.packed(np.array([sample])))
    spikes = [backend.unpack(train)[0, :steps] for train in trains]
    label = int(labels[reader.labels[sample]])
    return plot.layers(
        spikes,
        [config.unit_shape, *(layer.out_shape for layer in network.layers)],
        names=["input", *(f"hidden {n} ({name})" for n, name in enumerate(hidden, 1)), "output"],
        classes=config.classes,
        label=label,
        seconds_per_step=opened.attributes["dt"],
        title=f"{run.layers}: {sample_name(sample, reader.ids[sample])} of {name}, class {config.classes[label]}",
    )


def _weights(run: Run) -> plot.Picture:
    config = run.config
    layers = config.layers()
    states = unpack_states(run.folder.load_best(config), config.settings.rule, layers)
    for n, (layer, state) in enumerate(zip(layers, states, strict=True)):
        if "weight" in state:
            shape = tuple(layer.in_shape)
            events = bool(config.encoding["chain"]) and config.encoding["chain"][-1]["name"] == "dvs"
            return plot.weights(
                state["weight"].value,
                shape,
                channels="map" if n else "polarity" if events else "colour",
                title=f"{run.layers}, layer {n + 1}",
            )
    raise RunError(f"{run.path} has no layer with weights", "a layer that learns")


def _misclassified(
    run: Run,
    store: Any = None,
    split: str | None = None,
    device: str = "auto",
    other_encoding: bool = False,
) -> plot.Picture:
    opened = store_of(run, store)
    name, labels = opened.chosen_split(split), _labels(run, opened, other_encoding)
    reader = opened[name]
    counts = predict(run, opened, split=name, device=device, other_encoding=other_encoding).counts
    title = f"{run.layers} on {name} of {opened.path}"
    return plot.misclassified(reader, counts, labels[reader.labels], run.config.classes, title=title)


def _labels(run: Run, store: Store, other_encoding: bool) -> NDArray[np.int64]:
    """Return the network's class for each class of a store that is encoded as the network knows it."""
    fits = fit(run.config, store)
    if not other_encoding:
        fits.check_encoding(run.config, store)
    return fits.labels


STORE_KINDS: dict[str, Callable[..., plot.Picture]] = {
    "sample": _sample,
    "variants": _variants,
    "encoders": _encoders,
    "animation": _animation,
}
"""Pictures of a store: the spikes of a sample and one sample of each class; originals and variants of images; a signal
and the spikes of several encoders or settings; a sample as a film."""

RUN_KINDS: dict[str, Callable[..., plot.Picture]] = {
    "training": _training,
    "confusion": _confusion,
    "layers": _layers,
    "weights": _weights,
    "misclassified": _misclassified,
}
"""Pictures of a run: accuracies and firing rates by epoch; the confusion matrix of a split; one sample's spikes in
every layer; the weights of the first trained layer; samples that are predicted wrong."""
