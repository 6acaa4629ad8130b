"""``spikeprep evaluate``: the accuracy of a run on a split."""

from __future__ import annotations

import click

from .options import device_option, emit_json, json_option, table
from .progress import Progress


@click.command("evaluate")
@click.argument("run")
@click.argument("store")
@click.option("--split", default="test", show_default=True)
@device_option
@json_option
def command(run: str, store: str, split: str, device: str, as_json: bool) -> None:
    """Evaluate a run's best network on a split of a store that fits it."""
    from spikeprep.devices import select_backend
    from spikeprep.store import SpikeStore
    from spikeprep.train.evaluation import evaluate
    from spikeprep.train.run_folder import RunFolder
    from spikeprep.train.trainer import load_network

    folder, opened = RunFolder(run), SpikeStore.open(store)
    config = folder.check_sizes(opened)
    network = load_network(folder, select_backend(device, config.settings.precision))
    with Progress("evaluate") as progress:
        result = evaluate(network, opened[split], len(config.classes), progress=progress)
    if as_json:
        emit_json(result.to_json())
        return
    click.echo(f"{split}: {result.accuracy:.2%} of {result.samples:,} samples right")
    if len(config.classes) <= 30:
        head = ["is \\ said", *config.classes]
        rows = [
            [name, *map(str, row)]
            for name, row in zip(config.classes, result.confusion.tolist(), strict=True)
        ]
        click.echo(table([head, *rows], "lr"))
