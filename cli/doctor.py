"""``spikeprep doctor``: what this machine has, and how to get what is missing."""

from __future__ import annotations

import click

from spikeprep.errors import CapabilityError
from spikeprep.system import Extra, report
from spikeprep.text import format_bytes

from .options import emit_json, fitting_table, json_option


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Show versions, backends (cpu, cuda) and optional extras, and how to get the missing ones.

    Exit code 5 if something that spikeprep needs is missing.
    """
    machine = report()
    if as_json:
        emit_json(machine.to_json())
    else:
        memory = f", {format_bytes(machine.memory_bytes)} of memory" if machine.memory_bytes else ""
        click.echo(f"spikeprep {machine.spikeprep}  {machine.location}")
        click.echo(f"{machine.python} on {machine.platform}, {machine.cores} cores{memory}")
        click.echo("\nbackends")
        click.echo(fitting_table([(d.name, "yes" if d.available else "no", str(d)) for d in machine.devices]))
        click.echo("\npackages")
        click.echo(
            fitting_table([(p.name, p.version or "missing", f"needs {p.needs}") for p in machine.packages])
        )
        click.echo("\nextras")
        click.echo(fitting_table([_extra_row(extra) for extra in machine.extras]))
        click.echo(f"\nkernel cache\n  {machine.kernel_cache}")
    if machine.problems:
        raise CapabilityError("; ".join(machine.problems))


def _extra_row(extra: Extra) -> tuple[str, str, str]:
    if not extra.installed:
        return extra.name, "no", extra.install
    return extra.name, "yes", ", ".join(f"{package.name} {package.version}" for package in extra.packages)
