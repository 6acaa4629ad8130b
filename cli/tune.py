"""``spikeprep tune``: search an encoder's settings on a sample of the data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from . import completion
from .options import emit_json, fitting_table, json_option, settings_option

if TYPE_CHECKING:
    from spikeprep.encoding.tune import Trial


@click.command("tune")
@click.argument("encoder", type=click.Choice(["bsa"]), metavar="bsa")
@click.argument("what", metavar="RECIPE|STORE", shell_complete=completion.recipes)
@click.option(
    "--source",
    metavar="PATH",
    shell_complete=completion.files,
    help="Folder of the raw data; not for data that ships with a package.",
)
@settings_option(
    "a setting of the source or the chain, e.g. lyon.decimation=128", completion.encoding_settings
)
@click.option("--samples", default=24, show_default=True, help="How many samples to try, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw.")
@json_option
def command(
    encoder: str,
    what: str,
    source: str | None,
    settings: dict[str, str],
    samples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Try BSA's threshold θ and gain: how well the spikes reconstruct the signal, and how many there are.

    RECIPE as for `spikeprep encode`; of a STORE its own recipe is used.
    """
    from spikeprep.encoding.tune import tune_bsa
    from spikeprep.recipes import find_recipe

    trials = tune_bsa(find_recipe(what).override(settings), source, samples=samples, seed=seed)
    if as_json:
        emit_json({"encoder": encoder, "trials": [asdict(trial) for trial in trials]})
    else:
        click.echo(_table(trials))


def _table(trials: list[Trial]) -> str:
    best = {trial.scale: trial for trial in sorted(trials, key=lambda trial: trial.snr_db)}
    rows: list[tuple[str, ...]] = [("scale", "theta", "SNR", "MSE", "spikes per step", "per second", "")]
    rows += [
        (
            f"{trial.scale:g}",
            f"{trial.theta:g}",
            f"{trial.snr_db:.2f} dB",
            f"{trial.mse:.3g}",
            f"{trial.density:.4f}",
            f"{trial.rate:.1f}",
            "best of its scale" if trial is best[trial.scale] else "",
        )
        for trial in trials
    ]
    return (
        f"{fitting_table(rows, 'rrrrrrl')}\n\nA larger scale reconstructs better and takes more spikes. To encode with "
        "a row: --set bsa.scale=… --set bsa.theta=…"
    )
