"""``spikeprep evaluate``: the accuracy of a run on a split."""

from __future__ import annotations

import click

from spikeprep.errors import printable
from spikeprep.text import table

from .options import device_option, emit_json, json_option


@click.command("evaluate")
@click.argument("run")
@click.argument("store")
@click.option("--split", default="test", show_default=True, help="Name of the split.")
@device_option
@click.option(
    "--other-encoding", is_flag=True, help="Evaluate a store that is encoded otherwise than the run's own."
)
@json_option
def command(run: str, store: str, split: str, device: str, other_encoding: bool, as_json: bool) -> None:
    """Evaluate a run's best network on a split of a store that fits it.

    Classes are compared by name; the store may lack some of the network's.
    """
    from spikeprep import api
    from spikeprep.results import MOST_CLASSES

    result = api.evaluate(run, store, split=split, device=device, other_encoding=other_encoding)
    if as_json:
        emit_json(result.to_json())
        return
    click.echo(str(result))
    for line in result.differences:
        click.echo(printable(f"note: another encoding: {line}"), err=True)
    if len(result.classes) <= MOST_CLASSES:
        click.echo(table(result.rows(), "lr"))
