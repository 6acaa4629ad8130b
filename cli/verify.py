"""``spikeprep verify``: read everything in a store and report what is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spikeprep.errors import StoreError, printable

from . import completion
from .options import emit_json, json_option

if TYPE_CHECKING:
    from spikeprep.store import VerifyReport


def _hint(report: VerifyReport) -> str:
    """Return how to fix what is wrong."""
    if all(problem.what.startswith("the digest of the store is") for problem in report.problems):
        return "It is sound, but another store than the one with that digest."
    if all(problem.what.startswith("encoded again") for problem in report.problems):
        return "It is as it was written; the raw data or the encoder have changed since."
    if all(problem.what == "no part of the store" for problem in report.problems):
        return "Move these files elsewhere."
    from spikeprep.store.attributes import WRITE_AGAIN

    return f"Restore a copy, or {WRITE_AGAIN}."


@click.command("verify")
@click.argument("store", shell_complete=completion.folders)
@click.option("--digest", metavar="SHA256", help="The digest that the store must have: sha256:….")
@click.option(
    "--reencode",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Encode N samples again and compare their bits.",
)
@click.option(
    "--source",
    metavar="PATH",
    shell_complete=completion.files,
    help="Folder of the raw data, for --reencode.",
)
@json_option
def command(store: str, digest: str | None, reencode: int, source: str | None, as_json: bool) -> None:
    """Read every byte of STORE and check it: digests, checksums, counts, padding bits, labels.

    Exit code 4 if something is damaged; the damaged files and samples are listed.
    """
    from spikeprep import api

    report = api.verify(store, digest=digest, reencode=reencode, source=source)
    if as_json:
        emit_json(report.to_json())
    elif report.ok:
        again = f", {reencode:,} of them encoded again" if reencode else ""
        click.echo(f"{printable(report.path)}: OK: {report.samples:,} samples verified{again}")
        if report.digest:
            click.echo(f"  {report.digest}")
    elif report.complete:
        for problem in report.problems:
            click.echo(printable(str(problem)))
    if report.complete and report.problems:
        number = f"{len(report.problems)} problem{'s' * (len(report.problems) > 1)}"
        raise StoreError(
            f"{report.path} has {number}",
            "",
            _hint(report),
        )
    if not report.complete:
        raise StoreError(
            f"{report.path} is not complete: its encoding was interrupted",
            "",
            "Run its `spikeprep encode` command again, which finishes it.",
        )
