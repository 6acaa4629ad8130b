"""``spikeprep plot``: a picture of a store, of a recipe's first samples, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikeprep.errors import UsageError

from . import completion
from .options import emit_json, json_option, say, settings_option

STORE_KINDS = ("sample", "variants", "encoders", "animation")
RUN_KINDS = ("training", "confusion", "layers", "weights", "misclassified")


def _values(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """Return ``("bsa.theta=0.4,0.8", …)`` as setting → texts."""
    values: dict[str, list[str]] = {}
    for pair in pairs:
        key, _, texts = pair.partition("=")
        chosen = [text.strip() for text in texts.split(",") if text.strip()]
        if not (key.strip() and chosen):
            raise UsageError(
                f"got --vary {pair!r}", "KEY=VALUE,VALUE…", "For example: --vary bsa.theta=0.4,0.8."
            )
        values.setdefault(key.strip(), []).extend(chosen)
    return values


def _kinds(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the kinds of pictures of what is named; of a store and of a run have none in common."""
    from spikeprep.train.run_folder import RunFolder

    return RUN_KINDS if params.get("path") and RunFolder(params["path"]).is_begun() else STORE_KINDS


@click.command("plot")
@click.argument("path", metavar="STORE|RUN|RECIPE", shell_complete=completion.recipes)
@click.option(
    "--out",
    required=True,
    metavar="FILE.png",
    shell_complete=completion.files,
    help="The picture to write: .png, .svg, .pdf, .eps or .jpg; of an animation .gif.",
)
@click.option(
    "--kind",
    type=click.Choice((*STORE_KINDS, *RUN_KINDS)),
    metavar="NAME",
    shell_complete=completion.offering(_kinds),
    help="Which picture, see above.  [default: sample of a store, training of a run]",
)
@click.option(
    "--split", shell_complete=completion.splits, help="Which split.  [default: test, or else the first]"
)
@click.option("--sample", type=int, help="Which sample of the split.  [default: 0]")
@click.option(
    "--store",
    metavar="STORE",
    shell_complete=completion.folders,
    help="Of a run: whose samples.  [default: the store that it was trained on]",
)
@click.option(
    "--source",
    metavar="PATH",
    shell_complete=completion.files,
    help="The raw files: of a recipe; of a store to draw a sound as well, and for variants and encoders.",
)
@click.option(
    "--front-end",
    metavar="NAME",
    shell_complete=completion.front_ends,
    help="Of a recipe: a front end of sound to use in place of its own.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    shell_complete=completion.encoders,
    help="Of a recipe: an encoder to use in place of its own.",
)
@settings_option("a setting of a recipe", completion.encoding_settings)
@click.option("--download", is_flag=True, help="Of a recipe: fetch its raw data, as `encode` does.")
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a store of images: originals, and N variants of each that augmentation makes, at most 20.",
)
@click.option(
    "--vary",
    metavar="KEY=VALUE,VALUE…",
    multiple=True,
    shell_complete=completion.varied_settings,
    callback=_values,
    help="For encoders: a setting of the chain, and values to compare, e.g. bsa.theta=0.4,0.8. Repeatable.",
)
@click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N",
    shell_complete=completion.devices,
    help="Of a run: where it computes.",
)
@click.option(
    "--other-encoding", is_flag=True, help="With --store: it may be encoded otherwise than the run's own."
)
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), help="The background.  [default: matplotlib's style]"
)
@click.option("--overwrite", is_flag=True, help="Replace FILE even if it is no picture of spikeprep's.")
@json_option
def command(path: str, out: str, as_json: bool, **arguments: Any) -> None:
    """Draw a picture.

    \b
    Of a store, or of the first samples of a recipe, --kind
      sample         every spike of a sample, its rate, and a sample of each class;
                     with --source waveform, cochleagram and spikes of a sound
      variants       original images, and variants that augmentation makes
      encoders       a signal, and the spikes of other encoders or of other
                     settings (--vary)
      animation      a sample whose units are pixels, as a GIF
    Of a run, --kind
      training       accuracy and firing rate of each layer by epoch
      confusion      the confusion matrix of a split
      layers         the spikes of a sample in the input and in every layer
      weights        the weights of the first layer that has some
      misclassified  samples that are predicted wrong
    """
    from spikeprep import api

    api.draw(path, out, **arguments)
    if as_json:
        emit_json({"path": out, "bytes": Path(out).expanduser().stat().st_size})
    else:
        say(f"wrote {out}")
