"""Speed of encoding speech: front ends compared with other packages, BSA, and a whole store.

python -m benchmarks.speech --source FOLDER_OF_FSDD [--files N] [--workers N] [--front-ends]

A front end and its peers run on one core, in turn, so that other load slows both: Lyon's ear and the
package lyon; gammatone, the package gammatone and SciPy's filters; mel, torchaudio and librosa. What is not installed
is left out. With --front-ends nothing else is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.data import Audio, Frames
from spikeprep.encoders import BSA
from spikeprep.encoding.run import encode
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.transforms import Gammatone, Lyon, Mel
from spikeprep.transforms.audio.section_filters import block_sums_reference

ROUNDS = 9


def best(calls: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the processor's seconds of the fastest of some calls of each, called in turn; of this thread alone."""
    fastest = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.thread_time()
            call()
            fastest[name] = min(fastest[name], time.thread_time() - began)
    return fastest


def best_of_files(calls: dict[str, Callable[[int], object]], files: int) -> dict[str, float]:
    """Return the seconds that each call takes of all files: the sum of the fastest of some calls of each file.

    The calls take turns batch by batch, all files in succession as in an encoding, each file timed on its own, so that
    a moment of other load spoils one of many short times.
    """
    fastest = {name: np.full(files, np.inf) for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            for n in range(files):
                began = time.thread_time()
                call(n)
                fastest[name][n] = min(fastest[name][n], time.thread_time() - began)
    return {name: float(seconds.sum()) for name, seconds in fastest.items()}


def one_core() -> Callable[[], object]:
    """Keep this process on one core; return a function that releases it."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    return lambda: os.sched_setaffinity(0, cores)


def compare_lyon(sounds: list[Audio], figures: dict[str, float]) -> list[Frames]:
    """Compare Lyon's ear with the package on the same files, both on one core."""
    seconds_of_sound = sum(sound.samples.size / sound.rate for sound in sounds)
    transforms = {
        precision: Lyon(decimation=200, precision=precision) for precision in ("float64", "float32")
    }
    calls: dict[str, Callable[[int], object]] = {
        name: lambda n, lyon=lyon: lyon(sounds[n])  # type: ignore[misc]
        for name, lyon in transforms.items()
    }
    values = {name: [lyon(sound).values for sound in sounds] for name, lyon in transforms.items()}  # compiles
    try:
        from lyon.calc import LyonCalc

        package = LyonCalc()
        calls["package"] = lambda n: package.lyon_passive_ear(sounds[n].samples, 12500, 200)
        values["package"] = [package.lyon_passive_ear(s.samples, 12500, 200) for s in sounds]
    except (ImportError, OSError) as error:
        print(f"the package lyon does not run here ({error}): no comparison")
    release = one_core()
    seconds = best_of_files(calls, len(sounds))
    release()
    for name, spent in seconds.items():
        figures[f"lyon_{name}_times_real_time"] = seconds_of_sound / spent
    if "package" in values:
        for name in transforms:
            figures[f"lyon_{name}_speedup"] = seconds["package"] / seconds[name]
            figures[f"lyon_{name}_error"] = max(
                float(np.abs(a - b).max() / np.abs(b).max())
                for a, b in zip(values[name], values["package"], strict=True)
            )
    return [transforms["float64"](sound) for sound in sounds]


def compare_gammatone(sounds: list[Audio], figures: dict[str, float]) -> None:
    """Compare a bank of 64 channels with ``gtgram`` of the package gammatone, and with the same filters in SciPy."""
    bank = Gammatone(compression="square_root")
    rate = sounds[0].rate
    sections = bank.sections(rate)
    ours = [bank(sound).values for sound in sounds]  # compiles
    calls: dict[str, Callable[[int], object]] = {
        "gammatone": lambda n: bank(sounds[n]),
        "scipy": lambda n: block_sums_reference(sounds[n].samples, sections, (200, 200), True),
    }
    with contextlib.suppress(ImportError):
        from gammatone.gtgram import gtgram

        arguments = rate, bank.window, bank.hop, bank.channels, bank.low
        calls["package"] = lambda n: gtgram(sounds[n].samples, *arguments)
        figures["gammatone_error"] = max(
            float(np.abs(a / np.sqrt(2) - b[::-1].T).max() / b.max())
            for a, b in zip(ours, (gtgram(sound.samples, *arguments) for sound in sounds), strict=True)
        )
    _against("gammatone", calls, sounds, figures)


def compare_mel(sounds: list[Audio], figures: dict[str, float], name: str = "mel") -> None:
    """Compare mel spectrograms in natural logarithms, 40 bands, with those of torchaudio and librosa.

    All of them in float64 and in float32, from samples of that type.
    """
    rate = sounds[0].rate
    calls: dict[str, Callable[[int], object]] = {}
    ours: list[NDArray[Any]] = []
    theirs: list[NDArray[Any]] = []
    for precision in ("float64", "float32"):
        mel = Mel(padding="reflect", full_scale=False, compression="log", range_db=100, precision=precision)
        typed = [Audio(sound.samples.astype(precision), rate) for sound in sounds]
        calls[f"{name}_{precision}"] = lambda n, mel=mel, typed=typed: mel(typed[n])  # type: ignore[misc]
        ours = ours or [mel(sound).values for sound in typed]
        mel(typed[0])  # compiles
        size, window, hop = mel.fft_samples(rate), mel.window_samples(rate), mel.hop_samples(rate)
        with contextlib.suppress(ImportError, OSError):  # OSError: its compiled part does not load
            import torch
            import torchaudio

            torch.set_num_threads(1)
            transform = torchaudio.transforms.MelSpectrogram(
                int(rate), n_fft=size, win_length=window, hop_length=hop, f_min=20.0, n_mels=40
            ).to(getattr(torch, precision))
            waves = [torch.from_numpy(sound.samples) for sound in typed]

            @torch.inference_mode()
            def with_torchaudio(n: int, transform: Any = transform, waves: Any = waves) -> torch.Tensor:
                return torch.log(torch.clamp(transform(waves[n]), min=1e-10))

            calls[f"torchaudio_{precision}"] = with_torchaudio
            theirs = theirs or [with_torchaudio(n).numpy()[::-1].T for n in range(len(sounds))]
        with contextlib.suppress(ImportError):
            import librosa

            sizes: dict[str, Any] = {"n_fft": size, "win_length": window, "hop_length": hop}

            def with_librosa(n: int, typed: list[Audio] = typed, sizes: dict[str, Any] = sizes) -> object:
                power = librosa.feature.melspectrogram(
                    y=typed[n].samples, sr=rate, fmin=20.0, n_mels=40, **sizes
                )
                return np.log(np.maximum(power, 1e-10))

            with_librosa(0)
            calls[f"librosa_{precision}"] = with_librosa
    if theirs:
        figures[f"{name}_error"] = max(
            float(np.abs(np.exp(a) - np.exp(b)).max() / np.exp(a).max())
            for a, b in zip(ours, theirs, strict=True)
        )
    _against(name, calls, sounds, figures)


def _against(
    front_end: str, calls: dict[str, Callable[[int], object]], sounds: list[Audio], figures: dict[str, float]
) -> None:
    """Time calls in turn on one core; note how many times real time each is, and how much faster ours are."""
    release = one_core()
    seconds = best_of_files(calls, len(sounds))
    release()
    length = sum(sound.samples.size / sound.rate for sound in sounds)
    own = [name for name in calls if name.startswith(front_end)]
    for name in calls:
        figures[f"{name if name in own else f'{front_end}_{name}'}_times_real_time"] = length / seconds[name]
    for name in own:
        for peer in calls:
            if peer not in own:
                figures[f"{name}_over_{peer}"] = seconds[peer] / seconds[name]


def bsa(cochleagrams: list[Frames], figures: dict[str, float]) -> None:
    """Time BSA on 1 s: 100 frames, held 10 steps each, of real speech."""
    frames = np.concatenate([cochleagram.values for cochleagram in cochleagrams])[:100]
    encoder = BSA()
    encoder.encode(frames)
    release = one_core()
    figures["bsa_milliseconds_per_1000_steps"] = 1e3 * best({"": lambda: encoder.encode(frames)}, 300)[""]
    release()
    figures["bsa_density"] = float(encoder(frames).mean())


GOALS = {
    "lyon_float64_speedup": ("≥ 3", "≥ 8"),
    "lyon_float32_speedup": ("", "≥ 15"),
    "gammatone_over_package": ("≥ 5", ""),
    **{
        f"{name}_{ours}_over_torchaudio_{theirs}": ("≥ 5", "")
        for name in ("mel", "mel_of_10_s")
        for ours, theirs in (("float64",) * 2, ("float32",) * 2, ("float64", "float32"))
    },
    "bsa_milliseconds_per_1000_steps": ("≤ 1", "≤ 0.2"),
    "encode_seconds": ("≤ 20", "≤ 5"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of FSDD")
    parser.add_argument("--files", type=int, default=60, help="how many to compare with the package")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--front-ends", action="store_true", help="only compare these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    recipe = load_recipe("fsdd")
    source = recipe.build_source(options.source)
    number = min(options.files, source.splits()["train"])
    sounds = [source.read("train", n).signal for n in range(number)]
    bsa(compare_lyon(sounds, figures), figures)
    compare_gammatone(sounds, figures)
    compare_mel(sounds, figures)
    whole = np.concatenate([sound.samples for sound in sounds])
    length = int(10 * sounds[0].rate)
    long = [Audio(np.resize(np.roll(whole, -n * length), length), sounds[0].rate) for n in range(4)]
    compare_mel(long, figures, "mel_of_10_s")
    if not options.front_ends:
        whole_store(recipe, options, figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        must, aim = GOALS.get(name, ("", ""))
        goal = ", ".join(f"{word} {goal}" for word, goal in (("must", must), ("aim", aim)) if goal)
        print(f"{name:48} {value:10.4g}   {goal}")


def whole_store(recipe: Recipe, options: argparse.Namespace, figures: dict[str, float]) -> None:
    """Time `encode` of all files."""
    with tempfile.TemporaryDirectory() as folder:
        summary = encode(
            recipe, Path(folder) / "fsdd.zarr", source_path=options.source, workers=options.workers
        )
        figures["encode_files"] = summary.encoded
        figures["encode_seconds"] = summary.seconds
        figures["store_bytes_per_sample"] = summary.bytes_per_sample


if __name__ == "__main__":
    main()
