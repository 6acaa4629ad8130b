"""Sound files written by the tests: synthesised speech-like tones, WAV and NIST SPHERE of both byte orders."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def spoken(label: int, seed: int = 0, samples: int = 2500, rate: int = 12500) -> NDArray[np.int16]:
    """A pair of tones whose pitch depends on the label, with an envelope and some noise: int16 (time,)."""
    rng = np.random.default_rng([label, seed])
    t = np.arange(samples) / rate
    swell = np.sin(np.pi * np.arange(samples) / samples) ** 2
    low, high = 300 * 1.25**label, 500 * 1.25**label
    sound = swell * (np.sin(2 * np.pi * low * t) + 0.6 * np.sin(2 * np.pi * high * t))
    return np.asarray(6000 * sound + 40 * rng.standard_normal(samples)).astype(np.int16)


def wav(samples: NDArray[np.int16], rate: int = 12500) -> bytes:
    """RIFF WAVE of int16 (time,) or (time, channel)."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = samples.astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def sphere(samples: NDArray[np.int16], rate: int = 12500, order: str = "01", coding: str = "pcm") -> bytes:
    """NIST SPHERE of int16 (time,) or (time, channel); `order` "01" is little endian, "10" big."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    fields = [
        "NIST_1A", "   1024", f"channel_count -i {channels}", f"sample_count -i {len(samples)}",
        f"sample_rate -i {rate}", "sample_n_bytes -i 2", f"sample_byte_format -s2 {order}", "sample_sig_bits -i 16",
        f"sample_coding -s{len(coding)} {coding}", "end_head",
    ]  # fmt: skip
    header = ("\n".join(fields) + "\n").encode().ljust(1024)
    return header + samples.astype({"01": "<i2", "10": ">i2"}[order]).tobytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def ti46_corpus(root: Path, prompts: str = "abc", speakers: tuple[str, ...] = ("f1", "m3")) -> Path:
    """A small TI46: letters of two speakers in WAV and SPHERE of both byte orders, with ragged lengths."""
    for n, letter in enumerate(prompts):
        for k, speaker in enumerate(speakers):
            for token in range(4):
                sound = spoken(n, 10 * k + token, 2300 + 190 * token + 130 * n)
                name = f"0{letter}{speaker}set{token}"
                data = [wav(sound), sphere(sound), sphere(sound, order="10")][token % 3]
                put(
                    root / "ti_alpha" / "train" / speaker / f"{name}.wav", data
                )  # the corpus names SPHERE files .wav, too
            for session, token in ((1, 0), (8, 1)):
                sound = spoken(n, 100 + 10 * k + session, 2600)
                name = f"0{letter}{speaker}s{session}t{token}.sph"
                put(root / "ti_alpha" / "test" / speaker / name, sphere(sound, order="10"))
    return root
