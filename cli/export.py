"""``spikeprep export``: a network or a store in a format of other programs."""

from __future__ import annotations

from dataclasses import replace

import click

from spikeprep.errors import printable

from . import completion
from .flags import flags_of, hint_with_flags
from .options import emit_json, json_option


@click.command("export")
@click.argument("source", metavar="RUN|STORE", shell_complete=completion.folders)
@click.option(
    "--to",
    required=True,
    metavar="FORMAT",
    shell_complete=completion.export_formats,
    help="Of a run: nir, npz, torch. Of a store: npz (a file per sample), hdf5 (SHD's layout), nir-data, croissant.",
)
@click.option(
    "--out", required=True, metavar="FILE", help="The file to write; of a store as npz, the folder."
)
@click.option(
    "--store",
    metavar="STORE",
    shell_complete=completion.folders,
    help="nir: the store to compare on.  [default: the run's own, if it is there]",
)
@click.option(
    "--split",
    shell_complete=completion.splits,
    help="nir: the split to compare on.  [default: test]  Of a store: the split to write.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="nir: samples to compare on.  [default: 100]  Of a store: the first N of each split.  [default: all]",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="nir: compare what the installed frameworks make of the file with the network.",
)
@click.option(
    "--dt", type=float, metavar="SECONDS", help="nir: time step that importers assume.  [default: 1e-4]"
)
@click.option("--url", metavar="URL", help="croissant: where the store is, or will be, published.")
@click.option("--overwrite", is_flag=True, help="Replace a file, or a folder of an earlier export.")
@json_option
def command(
    source: str,
    to: str,
    out: str,
    store: str | None,
    split: str | None,
    samples: int | None,
    check: bool,
    dt: float | None,
    url: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the best network of RUN, or the samples of STORE, for other programs.

    A network as nir: what NIR cannot say is listed, and snnTorch, Norse and SpikingJelly, where they are installed, run
    the file on 100 samples.
    """
    from spikeprep import api

    result = api.export(
        source,
        out,
        to=to,
        store=store,
        split=split,
        samples=samples,
        check=check,
        dt=dt,
        url=url,
        overwrite=overwrite,
    )
    result = replace(result, not_compared=hint_with_flags(result.not_compared, flags_of(command), {}))
    if as_json:
        emit_json(result.to_json())
    else:
        click.echo("\n".join(printable(line) for line in result.lines()))
