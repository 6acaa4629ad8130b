"""``spikeprep convert``: recordings of event cameras in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spikeprep.errors import printable

from . import completion
from .flags import flags_of, hint_with_flags
from .options import Invocation, emit_json, json_option, say, settings_option

if TYPE_CHECKING:
    from spikeprep.conversion import Conversion


@click.command("convert")
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING…", shell_complete=completion.files)
@click.option(
    "--out",
    required=True,
    metavar="FILE|FOLDER",
    shell_complete=completion.files,
    help="The file to write; a folder for several recordings, or a folder of them.",
)
@click.option(
    "--to",
    default="",
    metavar="FORMAT",
    shell_complete=completion.written_formats,
    help="aedat4, dat, evt2, evt3, hdf5 or text.  [default: by the ending of FILE]",
)
@click.option(
    "--format",
    default="",
    metavar="FORMAT",
    shell_complete=completion.event_formats,
    help="Of the recordings.  [default: by their content]",
)
@click.option(
    "--size",
    nargs=2,
    type=int,
    metavar="WIDTH HEIGHT",
    help="Of the sensor in pixels, for recordings that do not state it.",
)
@click.option(
    "--invalid",
    type=click.Choice(["fail", "clip", "drop"]),
    default="fail",
    show_default=True,
    help="What to do about invalid events and truncated files.",
)
@settings_option(
    "an option of the format that is read or written, e.g. read.camera=DAVIS346 or write.compression=none,",
    completion.conversion_settings,
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option(
    "--resume", is_flag=True, help="Keep files that are there, as an interrupted conversion left them."
)
@json_option
def command(
    recordings: tuple[str, ...],
    out: str,
    to: str,
    format: str,
    size: tuple[int, int] | None,
    invalid: str,
    settings: dict[str, str],
    overwrite: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Convert each RECORDING of an event camera, a file or a folder of them, into another format.

    Below a folder, files of any depth are converted and keep their folders. Recordings that cannot be converted are
    named at the end, with exit code 3; the others are converted all the same.
    """
    from spikeprep import api
    from spikeprep.conversion import ConversionError

    try:
        result = api.convert(
            recordings, out, to=to, format=format, size=size, invalid=invalid, settings=settings,  # type: ignore[arg-type]
            overwrite=overwrite, resume=resume,
        )  # fmt: skip
    except ConversionError as error:  # of all recordings
        if (invocation := click.get_current_context().find_object(Invocation)) and error.result:
            invocation.document = _document(error.result)
        raise
    if as_json:
        emit_json(_document(result))
    else:
        for line in result.lines():
            click.echo(printable(line))
        for note in result.notes():
            say(printable(f"attention: {hint_with_flags(note, flags_of(command), {})}"))
    if failed := result.error():
        raise failed


def _document(result: Conversion) -> dict[str, Any]:
    """Return the JSON document of a conversion, with the flags of the command line in its hints."""
    document = result.to_json()
    for failure in document["failures"]:
        failure["hint"] = hint_with_flags(failure["hint"], flags_of(command), {})
    return document
