"""``spikeprep train``: a store to a trained network in a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spikeprep.errors import UsageError

from . import completion
from .options import device_option, emit_json, fitting_table, json_option, settings_option

if TYPE_CHECKING:
    from spikeprep.results import TrainResult

AT_LEAST_1 = click.IntRange(min=1)


def _ranks(ctx: click.Context, param: click.Parameter, text: str) -> int | str:
    """Return a number of processes, or "mpi"."""
    if text == "mpi":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither a number of processes nor mpi.")
    return int(text)


@click.command("train")
@click.argument("store", shell_complete=completion.folders)
@click.option(
    "--arch", metavar="800-800", help="Hidden layers, such as 15C5-P2-40C5-P2-300.  [default: the recipe's]"
)
@click.option(
    "--rule",
    metavar="NAME",
    shell_complete=completion.rules,
    help="The learning rule.  [default: the recipe's, else hm2bp]",
)
@click.option("--epochs", type=AT_LEAST_1, metavar="N", help="Passes over the training samples.")
@click.option("--batch", type=AT_LEAST_1, metavar="B", help="Samples per update.")
@device_option
@click.option(
    "--feed",
    type=click.Choice(["auto", "resident", "pinned", "streamed"]),
    default="auto",
    show_default=True,
    help="How samples reach a GPU; results do not depend on it.",
)
@click.option(
    "--ranks",
    callback=_ranks,
    default="1",
    show_default=True,
    metavar="N|mpi",
    help="Processes that share every batch, each with a GPU or a share of the cores; mpi: those of mpirun.",
)
@click.option(
    "--threads",
    type=AT_LEAST_1,
    metavar="N",
    help="CPU cores, of each rank; results do not depend on it.  [default: all]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Seed of the weights, the order and the validation samples.",
)
@click.option(
    "--run",
    metavar="DIR",
    shell_complete=completion.folders,
    help="The run folder.  [default: runs/STORE-ARCH]",
)
@click.option("--resume", is_flag=True, help="Continue the run; --epochs may be raised.")
@click.option(
    "--recipe",
    metavar="NAME|FILE.toml",
    shell_complete=completion.recipes,
    help="Whose suggested training settings to use.  [default: the store's recipe]",
)
@settings_option(
    "a training setting, e.g. optim.rate=0.005 or thresholds=[20,8]", completion.training_settings
)
@click.option(
    "--source",
    metavar="PATH",
    shell_complete=completion.files,
    help="Folder of the raw data, for --set augment=true; a resumed run knows it.",
)
@click.option("--limit", type=AT_LEAST_1, metavar="N", help="Only the first N samples of each split.")
@click.option("--csv", metavar="FILE.csv", help="Log every epoch in a CSV file, too.")
@click.option("--tensorboard", metavar="FOLDER", help="Log every epoch for TensorBoard, too.")
@click.option("--dry-run", is_flag=True, help="Show the network, its weights and its memory; train nothing.")
@json_option
def command(settings: dict[str, str], dry_run: bool, as_json: bool, **arguments: Any) -> None:
    """Train a spiking network on a store.

    Output and input sizes come from the store. After Ctrl-C the same command with --resume continues, and ends
    with the same weights as an uninterrupted run.
    """
    from spikeprep import api
    from spikeprep.recipes import parse_value

    values = {name: parse_value(text) for name, text in settings.items()}
    for name in sorted(values.keys() & arguments.keys()):
        if arguments[name] is not None:
            raise UsageError(
                f"got --{name} {arguments[name]} and --set {name}={settings[name]}", "one of them", ""
            )
    if dry_run:
        logs = ("csv", "tensorboard")
        planned = {name: value for name, value in arguments.items() if name not in logs}
        size = api.plan_training(**planned, settings=values)
        if as_json:
            emit_json(size.to_json())
        else:
            click.echo("\n".join(size.lines()))
        return
    result = api.train(**arguments, settings=values)
    if not result.leads:  # another process of mpirun's prints the result
        return
    if as_json:
        emit_json(result.to_json())
    else:
        click.echo(_result_text(result))


def _result_text(result: TrainResult) -> str:
    ranks = f" × {result.ranks}" if result.ranks > 1 else ""
    rows = [
        ("run", result.run),
        ("network", f"{result.arch}, {result.rule}, batch {result.batch}, {result.device}{ranks}"),
        ("training accuracy", f"{result.train_accuracy:.2%}"),
    ]
    if result.stopped_early:
        rows.append(("stopped early", f"by validation, after epoch {result.epochs}"))
    if result.test_accuracy is not None:
        rows.append(("test accuracy", f"{result.test_accuracy:.2%} after epoch {result.epochs}"))
    if result.best_test_accuracy is not None and result.best_epoch != result.epochs:
        best = f"{result.best_test_accuracy:.2%} after epoch {result.best_epoch}, the best by validation"
        rows.append(("", best))
    speed = f"{result.samples_per_second:,.0f} samples/s, {result.stall_fraction:.1%} of the time waiting for data"
    return fitting_table([*rows, ("speed", speed)], indent=0)
