"""``spikeprep doctor``: what this machine has, and how to get what is missing."""

from __future__ import annotations

import click

from spikeprep.errors import CapabilityError
from spikeprep.system import Extra, report

from .options import emit_json, json_option, size, table


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Show versions, backends (cpu, cuda) and optional extras, and how to get the missing ones.

    Exit code 5 where something that spikeprep needs is missing.
    """
    found = report()
    if as_json:
        emit_json(found.to_json())
    else:
        memory = f", {size(found.memory_bytes)} of memory" if found.memory_bytes else ""
        click.echo(f"spikeprep {found.spikeprep}  {found.location}")
        click.echo(f"{found.python} on {found.platform}, {found.cores} cores{memory}")
        click.echo("\nbackends")
        click.echo(table([(d.name, "yes" if d.available else "no", str(d)) for d in found.devices]))
        click.echo("\npackages")
        click.echo(table([(p.name, p.version or "missing", f"needs {p.needs}") for p in found.packages]))
        click.echo("\nextras")
        rows = [(e.name, "yes", _here(e)) if e.installed else (e.name, "no", e.install) for e in found.extras]
        click.echo(table(rows))
        click.echo(f"\nkernel cache\n  {found.kernel_cache}")
    if found.problems:
        raise CapabilityError("; ".join(found.problems))


def _here(extra: Extra) -> str:
    return ", ".join(f"{package.name} {package.version}" for package in extra.packages)
