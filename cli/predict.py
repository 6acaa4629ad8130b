"""``spikeprep predict``: the classes of raw files."""

from __future__ import annotations

import click

from spikeprep.errors import printable

from . import completion
from .options import device_option, emit_json, fitting_table, json_option


@click.command("predict")
@click.argument("run", shell_complete=completion.folders)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", shell_complete=completion.files)
@click.option(
    "--split",
    default="test",
    show_default=True,
    shell_complete=completion.splits,
    help="Of a STORE: which samples. Of FILEs: sample n of a file gets the random numbers of sample n of this split.",
)
@click.option(
    "--store",
    metavar="STORE",
    shell_complete=completion.folders,
    help="A store whose encoding to use.  [default: the one that the run keeps]",
)
@device_option
@click.option(
    "--other-encoding",
    is_flag=True,
    help="Predict with a store that is encoded otherwise than the run's own.",
)
@click.option("--csv", metavar="FILE.csv", help="Write the predictions to a CSV file too, with all counts.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv even if it has other columns.")
@json_option
def command(
    run: str,
    files: tuple[str, ...],
    split: str,
    store: str | None,
    device: str,
    other_encoding: bool,
    csv: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Predict the classes of raw FILEs with a run's best network.

    FILEs are images, sounds, event recordings or animations, IDX files of images (of a run on such files, or on
    scikit-learn's digits), or folders of such files: whatever the run's store was encoded from. They are read and
    encoded as its samples were. A single STORE in place of files: its split.

    Files that cannot be used are named at the end, with exit code 3; the others are predicted all the same.
    """
    from spikeprep import api

    signals = files[0] if len(files) == 1 else files
    result = api.predict(
        run,
        signals,
        split=split,
        store=store,
        device=device,
        other_encoding=other_encoding,
        csv=csv,
        overwrite=overwrite,
    )
    if as_json:
        emit_json(result.to_json())
    else:
        click.echo(printable(fitting_table(result.rows()), "\n"))
    if error := result.error():
        raise error
