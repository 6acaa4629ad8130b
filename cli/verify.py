"""``spikeprep verify``: read everything in a store and report what is damaged."""

from __future__ import annotations

import click

from spikeprep.errors import StoreError
from spikeprep.progress import Progress

from .options import emit_json, json_option


@click.command("verify")
@click.argument("store")
@json_option
def command(store: str, as_json: bool) -> None:
    """Read every chunk of STORE and check it: checksums, counts, padding bits, labels.

    Exit code 4 if something is damaged; the damaged shards and samples are listed.
    """
    from spikeprep.store import verify

    with Progress("verify") as progress:
        report = verify(store, progress=progress)
    if as_json:
        emit_json(report.to_json())
    elif report.ok:
        click.echo(f"{report.path}: OK: {report.samples:,} samples verified")
    elif report.complete:
        for problem in report.problems:
            click.echo(f"{problem}")
    if report.complete and report.problems:
        number = f"{len(report.problems)} problem{'s' * (len(report.problems) > 1)}"
        raise StoreError(
            f"{report.path} has {number}", "", "Encode it again with overwrite=True, or restore a copy."
        )
    if not report.complete:
        raise StoreError(
            f"{report.path} is not complete: its encoding was interrupted",
            "",
            "Run its `spikeprep encode` command again, which finishes it.",
        )
