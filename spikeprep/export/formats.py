"""The formats by name, and what an export returns."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from ..config import Count, Positive, fitted
from ..errors import UsageError, near_miss
from ..store import SpikeStore
from ..train.run_folder import RunFolder
from .arrays import write_npz, write_torch
from .comparison import Comparison, compare
from .croissant import croissant_json
from .exported_folder import refuse_split_names
from .hdf5 import write_nir_data, write_shd
from .network import TrainedNetwork
from .nir_graph import DT, Omission, nir_graph, nir_omissions, write_nir
from .outputs import new_output, write_file, write_folder
from .samples import Shown, counts_of, write_samples

RUN_FORMATS = ("nir", "npz", "torch")
STORE_FORMATS = ("npz", "hdf5", "nir-data", "croissant")

_SAMPLES = 100  # that a NIR file is compared on


@dataclass(frozen=True)
class ExportResult:
    """What `spikeprep.export` wrote.

    Attributes
    ----------
    out
        Path of the file or folder.
    to
        Name of the format.
    content
        What is in it, in words.
    omissions
        What the format cannot say of the network.
    comparison
        What importing frameworks make of a NIR file; None where that was not measured.
    not_compared
        Why it was not measured; else "".
    """

    out: str
    to: str
    content: str
    omissions: tuple[Omission, ...] = ()
    comparison: Comparison | None = None
    not_compared: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep export --json`` prints."""
        return {
            "out": self.out,
            "to": self.to,
            "content": self.content,
            "omissions": [omission.to_json() for omission in self.omissions],
            "comparison": self.comparison.to_json() if self.comparison else None,
            "not_compared": self.not_compared,
        }

    def lines(self) -> list[str]:
        """Return it as lines for a person."""
        lines = [f"{self.out}: {self.content}"]
        lines += [f"  not in {self.to}: {omission}" for omission in self.omissions]
        if self.comparison:
            lines += [f"  {line}" for line in self.comparison.lines()]
        elif self.not_compared:
            lines.append(f"  not measured: {self.not_compared}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def refuse_argument(what: str, **arguments: Any) -> None:
    """Raise `UsageError` where one of some arguments is given (not None) that `what` does not use."""
    for name, value in arguments.items():
        if value is not None:
            raise UsageError(f"got {name} = {value!r} for {what}", "no such argument", "Leave it out.")


def export_run(
    folder: RunFolder,
    out: str | os.PathLike[str],
    to: str,
    *,
    store: SpikeStore | str,
    split: str | None = None,
    samples: int | None = None,
    dt: float | None = None,
    compared: bool = True,
    overwrite: bool = False,
) -> ExportResult:
    """Write the network of a run; see `spikeprep.export`. `store` is the one to compare on, or why there is none."""
    _check_format(to, RUN_FORMATS, "network")
    if to != "nir":
        refuse_argument(f"a network as {to}", split=split, samples=samples, dt=dt)
    path = new_output(out, overwrite=overwrite)
    network = TrainedNetwork.of(folder)
    content = f"network {network.name} of the rule {network.config.settings.rule.name}"
    if to == "npz":
        write_file(path, lambda file: write_npz(network, file), overwrite=overwrite)
    elif to == "torch":
        data = io.BytesIO()
        write_torch(network, data)
        write_file(path, lambda file: _write(file, data), overwrite=overwrite)
    if to != "nir":
        return ExportResult(os.fspath(out), to, content)
    seconds = DT if dt is None else fitted(dt, Positive, "dt")
    count = _SAMPLES if samples is None else fitted(samples, Count, "samples")
    omissions = tuple(nir_omissions(network))
    data = io.BytesIO()
    write_nir(nir_graph(network, seconds), data)
    reason = "" if compared else "not requested"
    if compared and isinstance(store, str):
        reason = store
    reader = None
    if not reason and isinstance(store, SpikeStore):
        reader = store[store.chosen_split(split)]
    write_file(path, lambda file: _write(file, data), overwrite=overwrite)
    comparison = None
    if reader is not None and isinstance(store, SpikeStore):
        comparison = compare(network, data.getvalue(), seconds, reader, count, store.path)
    return ExportResult(os.fspath(out), to, content, omissions, comparison, reason)


def export_store(
    store: SpikeStore,
    out: str | os.PathLike[str],
    to: str,
    *,
    split: str | None = None,
    samples: int | None = None,
    url: str | None = None,
    overwrite: bool = False,
    show: Shown = lambda done, total: None,
) -> ExportResult:
    """Write samples or metadata of a store; see `spikeprep.export`. `show` is called with samples done, and in all."""
    _check_format(to, STORE_FORMATS, "store")
    unused = {"split": split, "samples": samples} if to == "croissant" else {"url": url}
    refuse_argument(f"a store as {to}", **unused)
    path = new_output(out, overwrite=overwrite, folder=to == "npz")
    if to == "croissant":
        document = croissant_json(store, url, path.parent)
        write_file(path, lambda file: _write(file, io.BytesIO(document)), overwrite=overwrite)
        return ExportResult(os.fspath(out), to, f"Croissant metadata of {store.path}")
    count = None if samples is None else fitted(samples, Count, "samples")
    if to == "npz":
        chosen_splits = store.splits if split is None else (store[split].split,)
        refuse_split_names(chosen_splits)
        counts = counts_of(store, chosen_splits, count)
        write_folder(path, lambda folder: write_samples(store, counts, folder, show), overwrite=overwrite)
        return ExportResult(os.fspath(out), to, _samples(counts))
    chosen = _one_split(store, split, to)
    counts = counts_of(store, (chosen,), count)
    write = write_shd if to == "hdf5" else write_nir_data
    write_file(path, lambda file: write(store, chosen, counts[chosen], file, show), overwrite=overwrite)
    return ExportResult(os.fspath(out), to, _samples(counts))


def _samples(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} samples of {split}" for split, count in counts.items())


def _one_split(store: SpikeStore, split: str | None, to: str) -> str:
    """Return the split that a file of one split has; raises `UsageError` where it is to be named."""
    if split is not None:
        return store[split].split
    if len(store.splits) > 1:
        raise UsageError(
            f"{store.path} has the splits {', '.join(store.splits)}, and a file of {to} has one",
            "the split to export",
            f"Name it: split={store.splits[0]!r}.",
        )
    return store.splits[0]


def _check_format(to: str, known: tuple[str, ...], what: str) -> None:
    if not isinstance(to, str) or to not in known:
        raise UsageError(f"got to = {to!r} for a {what}", "", near_miss(str(to), known))


def _write(file: IO[bytes], data: io.BytesIO) -> None:
    file.write(data.getbuffer())
