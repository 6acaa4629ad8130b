"""Write a spike store from arrays in hand, or from an iterable of samples that may be larger than memory.

Lengths, split sizes and class names are known only once the last sample has come, so samples are first packed and
compressed into a temporary file next to the store. The store itself is written when every sample has passed every
check: an error in the input leaves the destination untouched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._version import __version__
from ..compilation import working_time
from ..config import Count, fitted
from ..encoders.base import Chain, Encoder
from ..errors import StoreError, UsageError
from ..plugin_errors import plugin_errors
from ..random import check_seed
from ..registry import ENCODERS
from ..sources.pixel_range import FIRST_LIGHT, dark_arrays
from ..store import Compression, SpikeStore, SpikeWriter
from ..store.attributes import differences
from ..store.outputs import check_output
from ..system import cores
from ..urls import redacted
from .findings import store_findings
from .run import EncodeSummary
from .sample_packing import SamplePacker, pack_all
from .sample_table import SampleTable, read_rows
from .spool import Spool, write_shards


@plugin_errors()
def write_store(
    out: str | os.PathLike[str],
    samples: Any,
    labels: Any = None,
    *,
    split: Any = "train",
    ids: Any = None,
    groups: Any = None,
    classes: Sequence[str] | None = None,
    encoder: Encoder | Chain | str | None = None,
    dt: float | None = None,
    unit_shape: Sequence[int] | None = None,
    seed: int = 0,
    recipe: str = "arrays",
    title: str = "",
    citation: str = "",
    licence: str = "",
    overwrite: bool = False,
    workers: int | None = None,
    compression: Compression | None = None,
) -> EncodeSummary:
    """Write samples in hand into a complete spike store, encoding them first if an encoder is given.

    ::

        write_store("a.zarr", spikes, labels, dt=0.001)               # bool (sample, time, unit), int (sample,)
        write_store("b.zarr", images, labels, encoder=Poisson())      # uint8 (sample, row, column)
        write_store("c.zarr", ((sound, word, split) for …), encoder=Chain((Lyon(),), BSA()))

    The same input gives the same bytes, whatever `workers` is. Samples may differ in length: each keeps its own
    `steps`, and is padded with zeros to the longest.

    Parameters
    ----------
    out
        A path or an fsspec URL.
    samples
        With `labels`: an array or a sequence with one item per sample. Without: an iterable, perhaps a generator, of
        tuples (sample, label[, split[, id[, group]]]), where None stands for the default; it is walked once, and a
        few of its samples are in memory at a time.

        A sample is spikes of 0 and 1, bool or any number type, (time, unit…), or a `SpikeTrain`; with `encoder`, a
        signal that it takes: an image, `Audio`, `Frames` or `Events`.
    labels
        (sample,): class indices, or names of classes.
    split
        Name of the split of every sample, or (sample,) names. Splits are stored in the order of their first samples.
    ids
        (sample,) texts that say where each sample came from. Default: the sample's number in its split.
    groups
        (sample,) int32: speaker, subject, or source image, which a later split of the data must keep together.
    classes
        Name of each class. Default: the labels' own names, sorted, or "0", "1", … up to the largest label.
    encoder
        Encodes every signal, with the random numbers of `SampleKey(seed, split, number in the split)`; or its name, for
        the default settings.
    dt
        Length of a time step in seconds; needed where there is no encoder, which knows its own.
    unit_shape
        Shape that the units form, in C order. Default: the shape of a sample after its time axis, or what the encoder
        describes.
    seed
        Seed of the encoder's random numbers, 0 ≤ seed < 2⁶⁴.
    recipe, title, citation, licence
        Texts for the store's attributes. `recipe` names the data; the name of a recipe of spikeprep brings the training
        settings that it suggests.
    overwrite
        Whether to replace a spike store at `out`. It is kept until all samples have passed.
    workers
        Threads. Default: one per core.
    compression
        Default: zstd at level 1.

    Returns
    -------
    A summary: `path`, `samples` per split, `encoded`, `seconds`, `stored_bytes`, `findings`, `digest`.

    Raises
    ------
    UsageError
        Arguments do not fit together: arrays of unlike length, a missing `dt`, classes that are no distinct texts.
    DataError
        A sample is not what it should be: values other than 0 and 1, not a number, other units than the first sample, a
        label outside the classes; or there are no samples. The message names the sample.
    StoreError
        There is something at `out` already, or it cannot be written.
    PluginError
        The encoder or a transform raises an exception that is no error of spikeprep, or returns what it may not.

    An exception of the iterable comes through as it is. In all these cases `out` is as it was before, except where the
    disk fails while the store is written: the same call then resumes.
    """
    began = working_time()
    check_output(out)
    check_seed(seed)
    if isinstance(encoder, str):
        encoder = ENCODERS.get(encoder)()
    packer = SamplePacker.of(encoder, seed, dt, unit_shape)
    names = None if classes is None else _class_names(classes)
    threads = cores() if workers is None else fitted(workers, Count, "workers")
    texts = {"recipe": recipe, "title": title, "citation": citation, "licence": licence}
    for name, text in texts.items():
        fitted(text, str, name)
    about = {"recipe": recipe, "title": title, "citation": citation, **packer.attributes()}
    _refuse_existing(out, about if names is None else {**about, "classes": names}, overwrite)
    table = SampleTable(names)
    takes_images = packer.chain is not None and packer.chain.encoder.largest_density is not None
    brightest = 0  # of all images of bytes; above 255 where there are others
    with Spool(out) as spool:
        for row, packed in pack_all(read_rows(samples, labels, split, ids, groups, table), packer, threads):
            table.add(row, packed)
            if takes_images and brightest < FIRST_LIGHT:
                brightest = max(brightest, _brightest(row.sample))
            spool.append(packed.data)
        data = table.finish()
        findings = dark_arrays(brightest)
        attributes = {
            "version": __version__,
            **about,
            "dt": data.dt,
            "unit_shape": list(data.unit_shape),
            "classes": data.classes,
            "source": {"reader": {"name": "arrays"}, "licence": licence, "sha256": data.sha256},
        }
        if findings:
            attributes["source"]["findings"] = findings
        with SpikeWriter.open(
            out, attributes, data.layouts(), compression=compression, overwrite=overwrite
        ) as writer:
            write_shards(writer, data, spool, threads)
    store = SpikeStore.open(out)
    return EncodeSummary(
        path=store.path,
        samples={name: len(columns.labels) for name, columns in data.splits.items()},
        encoded=sum(len(columns.labels) for columns in data.splits.values()),
        seconds=working_time() - began,
        stored_bytes=store.stored_bytes(),
        findings=tuple(store_findings(store)),
        digest=store.digest(),
    )


def _brightest(sample: Any) -> int:
    """Return the largest pixel of an image of bytes; a number above 255 for what is none."""
    return int(sample.max(initial=0)) if isinstance(sample, np.ndarray) and sample.dtype == np.uint8 else 256


def _class_names(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray):
        raise UsageError(f"got classes = {classes!r}", "a list with the name of each class")
    names = [str(name) if isinstance(name, np.str_) else name for name in classes]
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong or not names:
        raise UsageError(
            f"got the class {wrong[0]!r}" if wrong else "got no classes", "the name of each class as text"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"got the class {twice[0]!r} twice", "a different name for each class")
    return names


def _refuse_existing(out: str | os.PathLike[str], about: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse what could not be written over, before the first sample is asked for; raises `StoreError`."""
    stored = SpikeWriter.existing(out)
    if stored is None or overwrite:
        return
    hint = "Use overwrite=True to replace it, or choose another path."
    if stored["complete"]:
        raise StoreError(f"there is a store at {redacted(out)}", "a new path", hint)
    unlike = differences({key: stored.get(key) for key in about}, json.loads(json.dumps(about)))
    if unlike:
        raise StoreError(
            f"{redacted(out)} was begun with another configuration ({'; '.join(unlike[:5])})", "", hint
        )
