"""``spikeprep inspect``: what is in a store or a run, for a person or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spikeprep.errors import printable
from spikeprep.text import format_settings

from . import completion
from .options import emit_json, fitting_table, json_option

if TYPE_CHECKING:
    from spikeprep.results import Run, Store


@click.command("inspect")
@click.argument("path", metavar="STORE|RUN", shell_complete=completion.folders)
@json_option
def command(path: str, as_json: bool) -> None:
    """Show what is in a store (encoding, samples, spikes, bytes) or a run (settings, accuracies)."""
    from spikeprep import api
    from spikeprep.train.run_folder import RunFolder

    if RunFolder(path).is_begun():
        run = api.open_run(path)
        described = run.describe()
        lines = _run_lines(path, run, described)
    else:
        store = api.open_store(path, incomplete=True)
        described = store.describe()
        lines = _store_lines(store, described)
    if as_json:
        emit_json(described)
    else:
        click.echo("\n".join(printable(line, "\n\t") for line in lines))


def _store_lines(store: Store, described: dict[str, Any]) -> list[str]:
    from spikeprep.results import split_rows

    title = described.get("title") or described["recipe"]
    shape = " × ".join(map(str, described["unit_shape"]))
    lines = [printable(f"{store.path}: {title}")]
    if not store.complete:
        lines.append("  NOT COMPLETE: run its `spikeprep encode` command again to finish it.")
    if described["digest"]:
        lines.append(f"  {described['digest']}")
    lines.append(f"  units {shape}, {1e3 * described['dt']:g} ms per step, seed {described['seed']}")
    for plugin in described["chain"]:
        settings = {key: value for key, value in plugin.items() if key != "name"}
        lines.append(f"  {plugin['name']}({format_settings(settings)})")
    lines += ["", fitting_table(split_rows(described["splits"]), "lr"), "", *_class_lines(described)]
    if described["findings"]:
        lines += ["", "  worth attention:", *(f"    {finding}" for finding in described["findings"])]
    if described.get("citation"):
        lines += ["", f"  {described['citation']}"]
    return lines


def _class_lines(described: dict[str, Any]) -> list[str]:
    from spikeprep.results import MOST_CLASSES

    splits = {name: s["class_counts"] for name, s in described["splits"].items() if "class_counts" in s}
    if not splits:
        return []
    names = described["classes"]
    shown = [(name, *(f"{counts[name]:,}" for counts in splits.values())) for name in names[:MOST_CLASSES]]
    more = [f"  … and {len(names) - MOST_CLASSES} more"] if len(names) > MOST_CLASSES else []
    return [fitting_table([("class", *splits), *shown], "lr"), *more]


def _run_lines(path: str, run: Run, described: dict[str, Any]) -> list[str]:
    from spikeprep.config import leaves
    from spikeprep.results import epoch_rows

    settings = leaves(described["config"]["settings"])  # by dotted name, as `--set` takes them
    lines = [printable(f"{path}: {run}")]
    lines += [f"  {format_settings({key: value})}" for key, value in settings.items()]
    return [*lines, "", fitting_table(epoch_rows(described["epochs"]), "r")]
