"""``spikeprep encode``: raw data to a finished spike store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .options import emit_json, json_option, resumable, settings_option, size
from .progress import Progress, clock

if TYPE_CHECKING:
    from spikeprep.encoding.plan import EncodePlan
    from spikeprep.encoding.run import EncodeSummary

AT_LEAST_1 = click.IntRange(min=1)


@click.command("encode")
@click.argument("recipe")
@click.option("--out", required=True, metavar="STORE", help="The store to write: a path or an fsspec URL.")
@click.option("--source", metavar="PATH", help="Where the raw files are; not for data that ships along.")
@click.option("--seed", default=0, show_default=True, help="Seed of every random draw.")
@settings_option("a setting of the source or the chain, e.g. poisson.steps=200")
@click.option("--limit", type=AT_LEAST_1, metavar="N", help="Only the first N samples of each split.")
@click.option("--workers", type=AT_LEAST_1, metavar="N", help="Parallel workers.  [default: all cores]")
@click.option("--overwrite", is_flag=True, help="Replace a store of another configuration.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@json_option
def command(
    recipe: str,
    out: str,
    source: str | None,
    seed: int,
    settings: dict[str, str],
    limit: int | None,
    workers: int | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Encode a data set into a spike store.

    RECIPE is a name that `spikeprep list recipes` shows, or a recipe file (.toml). Interrupted anywhere, the
    same command finishes the job.
    """
    from spikeprep.encoding.plan import plan
    from spikeprep.encoding.run import encode
    from spikeprep.recipes import load_recipe

    chosen = load_recipe(recipe).override(settings)
    if dry_run:
        planned = plan(chosen, out, source_path=source, seed=seed, limit=limit)
        if as_json:
            emit_json(asdict(planned))
        else:
            click.echo(_planned(planned))
        return
    resumable()
    with Progress("encode") as progress:
        done = encode(
            chosen, out, source_path=source, seed=seed, limit=limit,
            workers=workers, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if done.note:
        click.echo(f"note: {done.note}", err=True)
    if as_json:
        emit_json(asdict(done) | {"bytes_per_sample": done.bytes_per_sample})
    else:
        click.echo(_done(done))


def _planned(plan: EncodePlan) -> str:
    shape = " × ".join(map(str, plan.unit_shape))
    return (
        f"would encode {_samples(plan.samples)} of {len(plan.classes)} classes into {plan.path}\n"
        f"  each: {shape} units, {plan.steps} steps of {1e3 * plan.dt:g} ms\n"
        f"  about {size(plan.estimated_bytes)} ({size(plan.raw_bytes)} before compression)"
    )


def _done(summary: EncodeSummary) -> str:
    size_ = f"{size(summary.stored_bytes)}, {summary.bytes_per_sample:,.0f} B a sample"
    what = f"{_samples(summary.samples)}, {size_}"
    if not summary.encoded:
        return f"{summary.path} is complete already: {what}"
    rate = f"{summary.encoded / max(summary.seconds, 1e-9):,.0f}/s"
    return f"{summary.path}: {what}; encoded {summary.encoded:,} in {clock(summary.seconds)}, {rate}"


def _samples(samples: dict[str, int]) -> str:
    return " + ".join(f"{number:,} {split}" for split, number in samples.items()) + " samples"
