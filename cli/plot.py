"""``spikeprep plot``: a picture of a store (spikes, classes) or of a run (training curve)."""

from __future__ import annotations

from collections.abc import Mapping

import click

from spikeprep.errors import UsageError


@click.command("plot")
@click.argument("path", metavar="STORE|RUN")
@click.option(
    "--out", required=True, metavar="FILE.png", help="The picture to write: .png, .svg, .pdf, .eps or .jpg."
)
@click.option("--split", help="Of a store: which split.  [default: test, or else the first]")
@click.option("--sample", type=int, help="Of a store: which sample of its split.  [default: 0]")
@click.option(
    "--source", metavar="PATH", help="The raw files of a store: to draw a sound as well, and for --variants."
)
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a store of images: originals, and N variants of each that augmentation makes, at most 20.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE even if it is no picture of spikeprep's.")
def command(
    path: str,
    out: str,
    split: str | None,
    sample: int | None,
    source: str | None,
    variants: int | None,
    overwrite: bool,
) -> None:
    """Draw a picture.

    Of a store: every spike of one sample, its rate, the spikes of each unit, and a sample of each class; with
    --source waveform, cochleagram and spikes of a sound; with --variants original images beside variants. Of a run:
    accuracy and firing rate of each layer by epoch.
    """
    from spikeprep import api, plot
    from spikeprep.train.run_folder import RunFolder

    of_sample = {"split": split, "sample": sample}
    if RunFolder(path).exists():
        _refuse_unused(of_sample | {"source": source, "variants": variants}, "the picture of a run")
        run = api.open_run(path)
        figure = plot.training_curve(
            run.history, title=f"{run.layers} on {run.config.store}", layers=run.layers.split("-")[1:]
        )
    elif variants is not None:
        _refuse_unused(of_sample, "--variants, which draws the first training sample of each class")
        figure = plot.variants(api.open_store(path), variants, source)
    else:
        store = api.open_store(path)
        name = ("test" if "test" in store.splits else store.splits[0]) if split is None else split
        index, attributes = sample or 0, store.attributes
        if source is not None:
            figure = plot.stored_sound(store, name, index, source)
        elif plot.has_event_units(store):
            figure = plot.stored_recording(store, name, index)
        else:
            figure = plot.raster(
                store[name], index, seconds_per_step=attributes["dt"], classes=attributes["classes"]
            )
    plot.save(figure, out, overwrite=overwrite)
    click.echo(f"wrote {out}", err=True)


def _refuse_unused(options: Mapping[str, object], picture: str) -> None:
    """Raise `UsageError` where an option is given that `picture` does not use."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"got --{name} {value} for {picture}", "no such option", "Leave it out.")
