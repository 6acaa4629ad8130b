"""``spikeprep evaluate``: the accuracy of a run on a split."""

from __future__ import annotations

import click

from spikeprep.errors import printable

from . import completion
from .options import device_option, emit_json, fitting_table, json_option


@click.command("evaluate")
@click.argument("run", shell_complete=completion.folders)
@click.argument("store", shell_complete=completion.folders)
@click.option(
    "--split", default="test", show_default=True, shell_complete=completion.splits, help="Name of the split."
)
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
        click.echo(fitting_table(result.rows(), "lr"))
