"""``spikeprep train``: a store to a trained network in a run folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeprep.errors import UsageError

from .options import device_option, emit_json, json_option, resumable, settings_option, size, table
from .progress import Progress, clock

if TYPE_CHECKING:
    from spikeprep.store import SpikeStore
    from spikeprep.train.settings import TrainSettings

AT_LEAST_1 = click.IntRange(min=1)


@click.command("train")
@click.argument("store")
@click.option("--arch", metavar="800-800", help="Hidden layers.  [default: the recipe's]")
@click.option("--epochs", type=AT_LEAST_1, metavar="N", help="Passes over the training samples.")
@click.option("--batch", type=AT_LEAST_1, metavar="B", help="Samples an update.")
@device_option
@click.option(
    "--feed",
    type=click.Choice(["auto", "resident", "pinned", "streamed"]),
    default="auto",
    show_default=True,
    help="How samples reach a GPU; results do not depend on it.",
)
@click.option(
    "--ranks",
    callback=lambda _ctx, _param, text: _ranks(text),
    default="1",
    show_default=True,
    metavar="N|mpi",
    help="Processes that share every batch, each with a GPU of its own, or with a part of the cores; mpi: those of "
    "mpirun.",
)
@click.option(
    "--threads",
    type=AT_LEAST_1,
    metavar="N",
    help="CPU cores, of each rank; results do not depend on it.  [default: all]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Of weights, order and validation share."
)
@click.option("--run", metavar="DIR", help="The run folder.  [default: runs/STORE-ARCH]")
@click.option("--resume", is_flag=True, help="Go on with the run; --epochs may be raised.")
@click.option(
    "--recipe", metavar="NAME|FILE.toml", help="Whose [train] settings to start from.  [default: the store's]"
)
@settings_option("a training setting, e.g. optim.rate=0.005 or thresholds=[20,8]")
@click.option("--limit", type=AT_LEAST_1, metavar="N", help="Only the first N samples of each split.")
@json_option
def command(
    store: str,
    arch: str | None,
    epochs: int | None,
    batch: int | None,
    device: str,
    feed: str,
    ranks: Any,
    threads: int | None,
    seed: int | None,
    run: str | None,
    resume: bool,
    recipe: str | None,
    settings: dict[str, str],
    limit: int | None,
    as_json: bool,
) -> None:
    """Train a spiking network with HM2-BP on a store.

    Output and input sizes come from the store. Interrupted by Ctrl-C, the same command with --resume goes on and ends
    with the very weights that it would have had.
    """
    from spikeprep.recipes import parse_value
    from spikeprep.store import SpikeStore
    from spikeprep.train.run_folder import RunFolder
    from spikeprep.train.settings import TrainSettings
    from spikeprep.train_session import Session

    opened = SpikeStore.open(store)
    asked = {"arch": arch, "epochs": epochs, "batch": batch, "seed": seed}
    chosen = {key: parse_value(text) for key, text in settings.items()}
    chosen |= {key: value for key, value in asked.items() if value is not None}
    if resume:
        folder = RunFolder(run or _default_run(opened, arch or _suggested(opened, recipe).get("arch", "")))
        trained = folder.resumed_settings(opened, chosen, limit)
    else:
        trained = _settings(TrainSettings(), _suggested(opened, recipe), chosen)
        folder = RunFolder(run or _default_run(opened, trained.arch))
    session = Session(
        store,
        str(folder.path),
        trained,
        resume,
        limit,
        device=device,
        threads=threads,
        feed=feed,
        ranks=ranks,
    )
    with Progress("train") as progress, _interruptible() as stopped:
        show = _Listener(progress, trained.epochs, folder.path, named=run is not None, device=device)
        summary = session.run(show, lambda: bool(stopped))
    if summary is None:
        raise click.Abort
    if not show.heard:  # another rank of mpirun's, the first one, speaks
        return
    if as_json:
        emit_json(summary)
    else:
        click.echo(_said(summary))


def _ranks(text: str) -> Any:
    if text == "mpi":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"got --ranks {text}", "a number of processes, or mpi", "For example: --ranks 2")
    return int(text)


def _suggested(store: SpikeStore, recipe: str | None) -> dict[str, Any]:
    """Return the [train] settings of a recipe: the one named, or else the store's, if it came with the package."""
    from spikeprep.recipes import known_recipe, load_recipe

    name = recipe or store.attributes.get("recipe")
    return dict(load_recipe(name).train) if name and (recipe or known_recipe(name)) else {}


def _settings(
    defaults: TrainSettings, suggested: Mapping[str, Any], chosen: Mapping[str, Any]
) -> TrainSettings:
    suggested = dict(suggested)
    if "arch" in chosen and chosen["arch"] != suggested.get("arch"):
        suggested.pop("thresholds", None)  # they are of the suggested layers
    return defaults.override(suggested | dict(chosen))


def _default_run(store: SpikeStore, arch: str) -> Path:
    return Path("runs") / f"{Path(str(store.path).rstrip('/')).stem}-{arch}"


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that a first Ctrl-C makes true, so that a batch is finished; a second one interrupts at once."""
    caught: list[int] = []

    def note(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us decides
        before = {}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Listener:
    """Turns the trainer's records into progress and one line an epoch, on standard error."""

    def __init__(self, progress: Progress, epochs: int, run: Path, named: bool, device: str) -> None:
        self.progress, self.epochs, self.device = progress, epochs, device
        self.heard = False
        self._more = ("--resume", *(() if named else ("--run", str(run))))

    def __call__(self, record: dict[str, Any]) -> None:
        event = record["event"]
        self.heard = True
        resumable(*self._more)  # there is a checkpoint before there is anything to tell
        if event == "progress":
            done = record["epoch"] * record["samples"] + record["seen"]
            self.progress(done, self.epochs * record["samples"])
        elif event == "start":
            s = record["config"]["settings"]
            shown = ", ".join(f"{nu:g}" for nu in s["thresholds"])
            self.progress.note(
                f"{record['config']['units']}-{s['arch']}-{len(record['config']['classes'])}, thresholds {shown}"
            )
        elif event == "device":
            self.progress.note(_where(record))
            if self.device == "auto" and record["device"] == "cpu" and (unused := _unused_gpu()):
                self.progress.note(f"the GPU is not used: {unused}")
        elif event == "warning":
            self.progress.note(f"warning: {record['message']}")
        elif event == "epoch":
            parts = [f"epoch {record['epoch']}/{self.epochs}: train {record['train_accuracy']:.2%}"]
            for split in ("validation", "test"):
                if record[f"{split}_accuracy"] is not None:
                    parts.append(f"{split} {record[f'{split}_accuracy']:.2%}")
            parts.append(f"{clock(record['seconds'])}, {record['samples_per_second']:,.0f} samples/s")
            self.progress.note(", ".join(parts))


def _unused_gpu() -> str:
    """Return why a GPU that is here is not used; empty where there is none."""
    from spikeprep.system import cuda_device

    found = cuda_device()
    if not found.count:
        return ""
    return "--device cuda says why" if found.available else str(found)


def _several(record: Mapping[str, Any]) -> str:
    return f" × {record['ranks']}" if record["ranks"] > 1 else ""


def _where(record: Mapping[str, Any]) -> str:
    """Return what a run trains on, and how its samples get there, for a person."""
    feed = record["feed"]
    device = f"{record['device']} ({record['on']})" if record["on"] else record["device"]
    lies = {
        "resident": f"resident in {size(feed['device_bytes'])} of device memory",
        "pinned": f"page-locked in {size(feed['host_bytes'])} of host memory",
        "streamed": f"streamed through at most {size(feed['device_bytes'] or feed['host_bytes'])}"
        + (" of device memory" if feed["device_bytes"] else ""),
    }[feed["name"]]
    return f"on {device}{_several(record)}, samples {lies}"


def _said(summary: Mapping[str, Any]) -> str:
    rows = [
        ("run", summary["run"]),
        ("network", f"{summary['arch']}, batch {summary['batch']}, {summary['device']}{_several(summary)}"),
    ]
    rows.append(("training accuracy", f"{summary['train_accuracy']:.2%}"))
    if summary["test_accuracy"] is not None:
        rows.append(("test accuracy", f"{summary['test_accuracy']:.2%} after epoch {summary['epochs']}"))
    if summary["best_test_accuracy"] is not None and summary["best_epoch"] != summary["epochs"]:
        rows.append(
            (
                "",
                f"{summary['best_test_accuracy']:.2%} after epoch {summary['best_epoch']}, the best by validation",
            )
        )
    rows.append(
        (
            "speed",
            f"{summary['samples_per_second']:,.0f} samples/s, {summary['stall_fraction']:.1%} of it waiting for data",
        )
    )
    return table(rows, indent=0)
