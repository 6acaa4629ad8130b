"""``spikeprep evaluate``: the accuracy of a run on a split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from spikeprep.errors import printable

from . import completion
from .options import device_option, emit_json, fitting_table, json_option, say

if TYPE_CHECKING:
    from spikeprep.results import EvaluateResult


@click.command("evaluate")
@click.argument("run", shell_complete=completion.folders)
@click.argument("store", shell_complete=completion.folders)
@click.option(
    "--split",
    default="test",
    show_default=True,
    shell_complete=completion.evaluated_splits,
    help="Name of the split, or all.",
)
@device_option
@click.option(
    "--other-encoding", is_flag=True, help="Evaluate a store that is encoded otherwise than the run's own."
)
@click.option(
    "--counts",
    is_flag=True,
    help="Count synaptic operations, sparsity and footprint by layer, as NeuroBench defines them.",
)
@click.option(
    "--predictions",
    metavar="FILE.csv",
    help="Write each sample's id, true and predicted class, and output counts to a CSV file.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv even if it has other columns.")
@json_option
def command(
    run: str,
    store: str,
    split: str,
    device: str,
    other_encoding: bool,
    counts: bool,
    predictions: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Evaluate a run's best network on a split of a store that fits it.

    Classes are compared by name; the store may lack some of the network's.
    """
    from spikeprep import api

    result = api.evaluate(
        run,
        store,
        split=split,
        device=device,
        other_encoding=other_encoding,
        counts=counts,
        predictions=predictions,
        overwrite=overwrite,
    )
    if as_json:
        emit_json(result.to_json())
    else:
        click.echo(printable("\n".join(_lines(result)), "\n"))
    for line in result.differences:
        say(printable(f"note: another encoding: {line}"))


def _lines(result: EvaluateResult) -> Iterator[str]:
    from spikeprep.results import MOST_CLASSES

    yield str(result)
    yield f"  balanced accuracy {result.balanced_accuracy:.2%}, the mean recall of the classes"
    if len(result.parts) > 1:
        yield fitting_table(result.split_rows(), "lr")
    if len(result.classes) <= MOST_CLASSES:
        yield fitting_table(result.rows(), "lr")
    if result.groups is not None:
        rows, total = result.group_rows(), len(result.by_group() or ())
        yield fitting_table(rows, "lr")
        if len(rows) - 1 < total:
            yield f"  the {len(rows) - 1} groups of the lowest accuracy, of {total:,}"
    if result.network_counts:
        yield fitting_table(result.network_counts.rows(), "lr")
