"""``spikeprep encode``: raw data to a finished spike store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from spikeprep.errors import UsageError, printable
from spikeprep.text import format_bytes, format_duration, samples_by_split

from . import completion
from .options import emit_json, json_option, say, settings_option

if TYPE_CHECKING:
    from spikeprep.encoding.plan import EncodePlan
    from spikeprep.encoding.run import EncodeSummary

AT_LEAST_1 = click.IntRange(min=1)


@click.command("encode")
@click.argument("recipe", shell_complete=completion.recipes)
@click.option(
    "--out",
    required=True,
    metavar="STORE",
    shell_complete=completion.folders,
    help="The store to write: a path or an fsspec URL.",
)
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
@click.option(
    "--encoder",
    metavar="NAME",
    shell_complete=completion.encoders,
    help="An encoder to use in place of the recipe's.",
)
@click.option(
    "--download",
    is_flag=True,
    help="Fetch the raw data of MNIST, N-MNIST, CIFAR10-DVS, FSDD, Speech Commands and others into a cache folder.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of every random number.")
@settings_option("a setting of the source or the chain, e.g. poisson.steps=200", completion.encoding_settings)
@click.option("--limit", type=AT_LEAST_1, metavar="N", help="Only the first N samples of each split.")
@click.option("--workers", type=AT_LEAST_1, metavar="N", help="Parallel workers.  [default: one per core]")
@click.option(
    "--scheduler",
    metavar="local|ADDRESS",
    shell_complete=completion.schedulers,
    help="Encode on Dask: in --workers processes of this machine, or behind a scheduler (tcp://host:8786).",
)
@click.option("--overwrite", is_flag=True, help="Replace a complete store, or one of another configuration.")
@click.option(
    "--repair", is_flag=True, help="Read a complete store and encode again what is damaged or missing."
)
@click.option("--strict", is_flag=True, help="What deserves attention in the data is an error.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@json_option
def command(
    recipe: str,
    out: str,
    source: str | None,
    download: bool,
    front_end: str | None,
    encoder: str | None,
    seed: int,
    settings: dict[str, str],
    limit: int | None,
    workers: int | None,
    scheduler: str | None,
    overwrite: bool,
    repair: bool,
    strict: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Encode a data set into a spike store.

    RECIPE is a name that `spikeprep list recipes` shows, or a recipe file (.toml). After an interruption the
    same command finishes the store.
    """
    from spikeprep import api

    if "memory://" in out:
        raise UsageError(
            f"got out = {out!r}, which is this command's own memory",
            "a place that outlasts it",
            "Write to a folder; Python code that goes on can use memory:// itself.",
        )
    if dry_run and download:
        raise UsageError(
            "got --dry-run and --download", "one of them", "Give --source to plan with data that are here."
        )
    if dry_run:
        planned = api.plan(
            recipe,
            out,
            source=source,
            front_end=front_end,
            encoder=encoder,
            settings=settings,
            seed=seed,
            limit=limit,
            strict=strict,
        )
        if as_json:
            emit_json(asdict(planned))
        else:
            click.echo(_plan_text(planned))
            for finding in planned.findings:
                say(printable(f"attention: {finding}"))
        return
    result = api.encode(
        recipe, out, source=source, download=download, front_end=front_end, encoder=encoder, settings=settings,
        seed=seed, limit=limit, workers=workers, scheduler=scheduler, overwrite=overwrite, repair=repair, strict=strict,
    )  # fmt: skip
    if as_json:
        emit_json(result.to_json())
    else:
        click.echo(_result_text(result, repair=repair))


def _plan_text(plan: EncodePlan) -> str:
    shape = " × ".join(map(str, plan.unit_shape))
    return (
        f"would encode {samples_by_split(plan.samples)} of {len(plan.classes)} classes into {printable(plan.path)}\n"
        f"  each: {shape} units, {plan.steps} steps of {1e3 * plan.dt:g} ms\n"
        f"  about {format_bytes(plan.estimated_bytes)} ({format_bytes(plan.raw_bytes)} before compression)"
    )


def _result_text(result: EncodeSummary, *, repair: bool) -> str:
    stored = f"{format_bytes(result.stored_bytes)}, {result.bytes_per_sample:,.0f} B per sample"
    samples = f"{samples_by_split(result.samples)}, {stored}"
    digest = f"\n  {result.digest}" if result.digest else ""
    path = printable(result.path)
    if not result.encoded:
        unchanged = "has no damage" if repair else "is complete already"
        state = "is complete now; no sample had to be encoded" if result.changed else unchanged
        return f"{path} {state}: {samples}{digest}"
    rate = f"{result.encoded / max(result.seconds, 1e-9):,.0f}/s"
    took = f"encoded {result.encoded:,} in {format_duration(result.seconds)}, {rate}"
    return f"{path}: {samples}; {took}{digest}"
