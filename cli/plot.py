"""``spikeprep plot``: a picture of a store (spikes, classes) or of a run (training curve)."""

from __future__ import annotations

import click


@click.command("plot")
@click.argument("path", metavar="STORE|RUN")
@click.option(
    "--out", required=True, metavar="FILE.png", help="The picture to write: .png, .svg, .pdf, .eps or .jpg."
)
@click.option("--split", help="Of a store: which split.  [default: test, or else the first]")
@click.option("--sample", default=0, show_default=True, help="Of a store: which sample of its split.")
@click.option(
    "--source", metavar="PATH", help="The raw files of a store: to draw a sound as well, and for --variants."
)
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a store of images: originals, and N variants of each that augmentation makes.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE even if it is no picture of spikeprep's.")
def command(
    path: str,
    out: str,
    split: str | None,
    sample: int,
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

    if RunFolder(path).exists():
        run = api.open_run(path)
        figure = plot.training_curve(run.history, title=f"{run.layers} on {run.config.store}")
    else:
        store = api.open_store(path)
        name = split or ("test" if "test" in store.splits else store.splits[0])
        attributes = store.attributes
        if variants is not None:
            figure = plot.variants(store, variants, source)
        elif source is not None:
            figure = plot.stored_sound(store, name, sample, source)
        elif plot.has_event_units(store):
            figure = plot.stored_recording(store, name, sample)
        else:
            figure = plot.raster(
                store[name], sample, seconds_per_step=attributes["dt"], classes=attributes["classes"]
            )
    plot.save(figure, out, overwrite=overwrite)
    click.echo(f"wrote {out}", err=True)
