"""``spikeprep plot``: a picture of a store (spikes, classes) or of a run (training curve)."""

from __future__ import annotations

import click


@click.command("plot")
@click.argument("path", metavar="STORE|RUN")
@click.option("--out", required=True, metavar="FILE.png", help="The picture to write: .png, .svg or .pdf.")
@click.option("--split", help="Of a store: which split.  [default: test, or else the first]")
@click.option("--sample", default=0, show_default=True, help="Of a store: which sample of its split.")
@click.option(
    "--source", metavar="PATH", help="Of a store of sound: its raw files, to draw the sound as well."
)
def command(path: str, out: str, split: str | None, sample: int, source: str | None) -> None:
    """Draw a picture.

    Of a store: every spike of one sample, its rate, the spikes of each unit, and a sample of each class; with
    --source waveform, cochleagram and spikes of a sound. Of a run: accuracy by epoch, and how much each layer
    spikes.
    """
    from spikeprep.plot import heard, is_recorded, raster, recorded, save, training_curve
    from spikeprep.store import SpikeStore
    from spikeprep.train.run_folder import RunFolder

    folder = RunFolder(path)
    if folder.exists():
        config = folder.config()
        layers = "-".join(map(str, (config.units, config.settings.arch, len(config.classes))))
        figure = training_curve(folder.journal.epochs(), title=f"{layers} on {config.store}")
    else:
        store = SpikeStore.open(path)
        chosen = split or ("test" if "test" in store.splits else store.splits[0])
        about = store.attributes
        if source is not None:
            figure = heard(store, chosen, sample, source)
        elif is_recorded(store):
            figure = recorded(store, chosen, sample)
        else:
            figure = raster(store[chosen], sample, seconds_per_step=about["dt"], classes=about["classes"])
    save(figure, out)
    click.echo(f"wrote {out}", err=True)
