"""``spikeprep inspect``: what is in a store or a run, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .options import emit_json, in_words, json_option, size, table

if TYPE_CHECKING:
    from spikeprep.store import SpikeStore
    from spikeprep.train.run_folder import RunFolder

MOST_CLASSES = 30  # in one table


@click.command("inspect")
@click.argument("path", metavar="STORE|RUN")
@json_option
def command(path: str, as_json: bool) -> None:
    """Show what is in a store (its making, samples, spikes, bytes) or a run (settings, accuracies)."""
    from spikeprep.store import SpikeStore
    from spikeprep.train.run_folder import RunFolder

    folder = RunFolder(path)
    if folder.exists():
        described = _run(folder)
        lines = _run_lines(path, described)
    else:
        store = SpikeStore.open(path, incomplete=True)
        described = describe_store(store)
        lines = _store_lines(store, described)
    if as_json:
        emit_json(described)
    else:
        click.echo("\n".join(lines))


def describe_store(store: SpikeStore) -> dict[str, Any]:
    """Return the store's attributes, and under ``splits`` what each split holds, JSON-ready.

    Of a split whose encoding has not finished only `samples`, `units` and `bytes` are known.
    """
    return store.attributes | {"splits": {split: _split(store, split) for split in store.splits}}


def _split(store: SpikeStore, name: str) -> dict[str, Any]:
    import numpy as np

    split, stored = store[name], store.stored_bytes(name)
    known = {"samples": len(split), "steps": split.max_steps, "units": split.units, "bytes": stored}
    if not store.complete:
        return known
    slots = split.units * int(split.steps.sum(dtype=np.int64))
    numbers = np.bincount(split.labels, minlength=len(store.attributes["classes"]))
    return known | {
        "steps_min": int(split.steps.min(initial=split.max_steps)),
        "density": int(split.counts.sum(dtype=np.int64)) / slots if slots else 0.0,
        "bytes_per_sample": stored / len(split) if len(split) else 0.0,
        "class_counts": dict(zip(store.attributes["classes"], numbers.tolist(), strict=True)),
    }


def _store_lines(store: SpikeStore, described: dict[str, Any]) -> list[str]:
    title = described.get("title") or described["recipe"]
    shape = " × ".join(map(str, described["unit_shape"]))
    lines = [f"{store.path}: {title}"]
    if not store.complete:
        lines.append("  NOT COMPLETE: give its `spikeprep encode` command again to finish it.")
    lines.append(f"  units {shape}, {1e3 * described['dt']:g} ms a step, seed {described['seed']}")
    for plugin in described["chain"]:
        settings = {key: value for key, value in plugin.items() if key != "name"}
        lines.append(f"  {plugin['name']}({in_words(settings)})")
    rows: list[tuple[str, ...]] = [("split", "samples", "steps", "units", "density", "on disk", "a sample")]
    rows += [_split_row(name, split) for name, split in described["splits"].items()]
    lines += ["", table(rows, "lr"), "", *_class_lines(described)]
    if described.get("citation"):
        lines += ["", f"  {described['citation']}"]
    return lines


def _split_row(name: str, split: dict[str, Any]) -> tuple[str, ...]:
    shortest, longest = split.get("steps_min", split["steps"]), split["steps"]
    return (
        name,
        f"{split['samples']:,}",
        f"{longest}" if shortest == longest else f"{shortest} to {longest}",
        f"{split['units']:,}",
        f"{split['density']:.2%}" if "density" in split else "",
        size(split["bytes"]),
        f"{split['bytes_per_sample']:,.0f} B" if "bytes_per_sample" in split else "",
    )


def _class_lines(described: dict[str, Any]) -> list[str]:
    splits = {name: s["class_counts"] for name, s in described["splits"].items() if "class_counts" in s}
    if not splits:
        return []
    names = described["classes"]
    shown = [(name, *(f"{counts[name]:,}" for counts in splits.values())) for name in names[:MOST_CLASSES]]
    more = [f"  … and {len(names) - MOST_CLASSES} more"] if len(names) > MOST_CLASSES else []
    return [table([("class", *splits), *shown], "lr"), *more]


def _run(folder: RunFolder) -> dict[str, Any]:
    return {
        "run": str(folder.path),
        "config": folder.config().to_json(),
        "epochs": folder.journal.epochs(),
    }


def _run_lines(path: str, described: dict[str, Any]) -> list[str]:
    config = described["config"]
    layers = f"{config['units']}-{config['settings']['arch']}-{len(config['classes'])}"
    lines = [f"{path}: {layers} on {config['store']}, {len(described['epochs'])} epochs finished"]
    lines += [f"  {in_words({key: value})}" for key, value in _flat(config["settings"])]
    rows: list[tuple[str, ...]] = [("epoch", "train", "validation", "test", "loss", "seconds")]
    rows += [_epoch_row(record) for record in described["epochs"]]
    return [*lines, "", table(rows, "r")]


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of every setting, as `--set` takes them."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _epoch_row(record: dict[str, Any]) -> tuple[str, ...]:
    columns = {
        "epoch": "{}",
        "train_accuracy": "{:.2%}",
        "validation_accuracy": "{:.2%}",
        "test_accuracy": "{:.2%}",
        "loss": "{:.4g}",
        "seconds": "{:.1f}",
    }
    return tuple("" if record.get(key) is None else form.format(record[key]) for key, form in columns.items())
