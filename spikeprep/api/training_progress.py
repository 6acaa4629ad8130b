"""Progress of a training run: samples done, and one line per epoch."""

from __future__ import annotations

from ..progress import Progress
from ..text import format_bytes, format_duration
from ..train_session import Record


class TrainingProgress:
    """Turns the trainer's records into progress and one line per epoch.

    Attributes
    ----------
    progress, epochs, device
        Where it is shown, how many epochs there will be, and the device as the caller named it.
    started
        Whether training has begun, so that there is a checkpoint.
    """

    def __init__(self, progress: Progress, epochs: int, device: str) -> None:
        self.progress, self.epochs, self.device = progress, epochs, device
        self.started = False

    def __call__(self, record: Record) -> None:
        """Show a record."""
        event = record["event"]
        if event == "network":
            for line in record["lines"]:
                self.progress.note(line)
        elif event == "progress":
            self.started = True
            done = record["epoch"] * record["samples"] + record["seen"]
            self.progress(done, self.epochs * record["samples"])
        elif event == "start":
            config = record["config"]
            self.progress.note(_network_line(config))
        elif event == "ranks":
            self.progress.note(_ranks_line(record["ranks"], record["cores"]))
        elif event == "resume":
            self.progress.note(f"epochs: {record['epochs']}, before {record['before']}")
        elif event == "finished":
            epochs = record["epochs"]
            if record["stopped_early"]:
                self.progress.note(
                    f"nothing is left to train: validation stopped the run after epoch {epochs}"
                )
                return
            done = f"all {epochs:,} epochs are" if epochs > 1 else "its epoch is"
            self.progress.note(f"nothing is left to train: {done} done; with more epochs the run goes on")
        elif event == "device":
            self.progress.note(_device_line(record))
            if self.device == "auto" and record["device"] == "cpu" and (reason := _unused_gpu()):
                self.progress.note(f"the GPU is not used: {reason}")
        elif event == "warning":
            self.progress.note(f"warning: {record['message']}")
        elif event == "stopped":
            few = f"{record['patience']:,} epochs" if record["patience"] > 1 else "one epoch"
            self.progress.note(
                f"stopped after epoch {record['epoch']}: {few} without a higher validation accuracy"
            )
        elif event == "epoch":
            self.progress.note_compilation()
            self.progress.note(self._epoch_line(record))

    def _epoch_line(self, record: Record) -> str:
        parts = [f"epoch {record['epoch']}/{self.epochs}: train {record['train_accuracy']:.2%}"]
        for split in ("validation", "test"):
            if record[f"{split}_accuracy"] is not None:
                parts.append(f"{split} {record[f'{split}_accuracy']:.2%}")
        parts.append(f"{format_duration(record['seconds'])}, {record['samples_per_second']:,.0f} samples/s")
        return ", ".join(parts)


def _ranks_line(ranks: int, cores: int | None) -> str:
    """Return how many processes start, and whether the machine has fewer cores (None: each has a GPU)."""
    few = cores is not None and cores < ranks
    return f"starting {ranks} processes" + (f" on {cores} cores: {cores} would be faster" if few else "")


def _unused_gpu() -> str:
    """Return why a GPU of this machine is not used; empty where there is none."""
    from ..system import cuda_device

    gpus = cuda_device()
    if not gpus.count:
        return ""
    return "device=cuda shows why" if gpus.available else str(gpus)


def _network_line(config: Record) -> str:
    """Return the layers, and their thresholds where the learning rule has them."""
    settings = config["settings"]
    layers = f"{config['units']}-{settings['arch']}-{len(config['classes'])}"
    thresholds = settings.get("thresholds")
    if not thresholds:
        return layers
    values = thresholds if isinstance(thresholds, list) else [thresholds]
    return f"{layers}, thresholds {', '.join(f'{nu:g}' for nu in values)}"


def _device_line(record: Record) -> str:
    """Return what a run trains on, and how its samples get there."""
    feed = record["feed"]
    device = f"{record['device']} ({record['on']})" if record["on"] else record["device"]
    ranks = f" × {record['ranks']}" if record["ranks"] > 1 else ""
    where = {
        "resident": f"resident in {format_bytes(feed['device_bytes'])} of device memory",
        "pinned": f"page-locked in {format_bytes(feed['host_bytes'])} of host memory",
        "encoded": f"encoded anew in every epoch, {format_bytes(feed['host_bytes'])} at most at a time",
        "streamed": f"streamed through at most {format_bytes(feed['device_bytes'] or feed['host_bytes'])}"
        + (" of device memory" if feed["device_bytes"] else ""),
    }[feed["name"]]
    return f"on {device}{ranks}, samples {where}"
