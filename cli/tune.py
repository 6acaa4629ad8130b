"""``spikeprep tune``: search an encoder's settings on a sample of the data."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import completion
from .options import emit_json, fitting_table, json_option, parse_settings, say, settings_option

if TYPE_CHECKING:
    from spikeprep.encoding.tuning import Trial

_ROWS = 20


@click.command("tune")
@click.argument("encoder", shell_complete=completion.encoders)
@click.argument("recipe", metavar="RECIPE|STORE", shell_complete=completion.recipes)
@click.option(
    "--source",
    metavar="PATH",
    shell_complete=completion.files,
    help="Folder of the raw data; not for data that ships with a package.",
)
@click.option(
    "--front-end",
    metavar="NAME",
    shell_complete=completion.front_ends,
    help="A front end of sound to use in place of the recipe's: gammatone, mel, …",
)
@settings_option(
    "a setting of the source or the chain, e.g. lyon.decimation=128", completion.encoding_settings
)
@click.option(
    "--search",
    metavar="KEY=VALUE,…",
    multiple=True,
    shell_complete=completion.encoding_settings,
    help="Values to try of a setting of the encoder, e.g. bsa.theta=0.6,0.7. Repeatable; default: what suits the data.",
)
@click.option("--samples", default=24, show_default=True, help="How many samples to try, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw, and of random encoders.")
@json_option
def command(
    encoder: str,
    recipe: str,
    source: str | None,
    front_end: str | None,
    settings: dict[str, str],
    search: tuple[str, ...],
    samples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Try settings of an encoder: how well the spikes rebuild the signal, and how many there are.

    ENCODER takes the place of the recipe's own, and has a decoder. RECIPE as for `spikeprep encode`; of a STORE its own
    recipe is used.
    """
    from spikeprep import api

    notes: list[str] = []
    trials = api.tune(
        recipe, encoder, source=source, front_end=front_end, settings=settings,
        search=parse_search(search) if search else None, samples=samples, seed=seed, note=notes.append,
    )  # fmt: skip
    best = None
    if trials[0].rebuilds:
        best = encode_command(recipe, encoder, source, front_end, settings, seed, trials[0])
    if as_json:
        documents = [_document(trial) for trial in trials]
        emit_json({"encoder": encoder, "trials": documents, "command": best, "note": "; ".join(notes)})
    else:
        click.echo(_table(trials, best))
        for text in notes:
            say(f"note: {text}")


def parse_search(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """Turn ``("bsa.theta=0.6,0.7", …)`` into name → values; a list in TOML is read as one."""
    from spikeprep.recipes import parse_value

    search = {}
    for key, text in parse_settings(pairs, "--search").items():
        values = parse_value(text if text.startswith("[") else f"[{text}]")
        search[key] = (
            values if isinstance(values, list) else [parse_value(v.strip()) for v in text.split(",")]
        )
    return search


def encode_command(
    what: str,
    encoder: str,
    source: str | None,
    front_end: str | None,
    settings: dict[str, str],
    seed: int,
    trial: Trial,
) -> str:
    """Return the command that encodes with a trial's settings; of a store, with those of its recipe that it changed."""
    from spikeprep.recipes import toml_value

    recipe, own_front_end, changed = _recipe_of(what, encoder)
    front_end = front_end or own_front_end
    words = ["spikeprep", "encode", recipe, *(["--source", source] if source else [])]
    words += [*(["--front-end", front_end] if front_end else []), "--encoder", encoder]
    for key, value in (changed | settings | dict(trial.settings)).items():
        words += ["--set", f"{key}={value if isinstance(value, str) else toml_value(value)}"]
    words += ["--seed", str(seed)] if seed else []
    return f"{shlex.join(words)} --out STORE.zarr"


def _recipe_of(what: str, encoder: str) -> tuple[str, str | None, dict[str, Any]]:
    """Return the name of a recipe, and the front end and the settings in which a store's differ from those it has."""
    from spikeprep.recipes import find_recipe, known_recipe, load_recipe

    if known_recipe(what) or not ("://" in what or Path(what).is_dir()):
        return what, None, {}
    recipe = find_recipe(what).with_encoder(encoder)
    if not known_recipe(recipe.name):
        return recipe.name, None, {}  # of a file of the user
    usual, front_end = load_recipe(recipe.name), recipe.front_end
    if front_end == usual.front_end or front_end is None:
        front_end = None
    else:
        usual = usual.with_front_end(front_end)
    settings = usual.with_encoder(encoder).settings()
    own = {k: v for k, v in recipe.settings().items() if v != "" and not k.startswith(f"{encoder}.")}
    return recipe.name, front_end, {k: v for k, v in own.items() if k in settings and settings[k] != v}


def _document(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON has it: null where a number is not finite, as the ratio without any error."""
    values = asdict(trial)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _table(trials: list[Trial], best: str | None) -> str:
    names = list(trials[0].settings)
    rows = [(*(name.partition(".")[2] for name in names), "SNR", "MSE", "spikes per step", "per second", "")]
    rows += [
        (
            *(_cell(trial.settings[name]) for name in names),
            f"{trial.snr_db:.2f} dB",
            f"{trial.mse:.3g}",
            f"{trial.density:.4f}",
            f"{trial.rate:.1f}",
            "*" if trial.efficient else "",
        )
        for trial in trials[:_ROWS]
    ]
    more = f"\n  and {len(trials) - _ROWS} more: --json prints all" if len(trials) > _ROWS else ""
    end = (
        f"To encode with the first row:\n  {best}"
        if best
        else "No row rebuilds the signal: the error has as much power as the signal itself, or more.\n"
        "Search other values (--search), scale the signal, or choose another encoder (spikeprep list encoders)."
    )
    return (
        f"{fitting_table(rows, 'r' * (len(names) + 4) + 'l')}{more}\n\n"
        f"* no other row rebuilds the signal as well with fewer spikes\n\n{end}"
    )


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
