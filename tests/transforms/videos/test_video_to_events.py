"""The model of an event camera's pixels: exact times, the published formulas, statistics of noise, errors."""

from __future__ import annotations

from dataclasses import replace
from math import exp, floor, log, log1p

import numpy as np
import pytest
from scipy import stats

from spikeprep.data import EVENT, Events, Frames, Video
from spikeprep.errors import DataError, SignalError, UsageError
from spikeprep.random import VIDEO_LEAK, VIDEO_NOISE, SampleKey, philox4x32
from spikeprep.transforms import VideoToEvents
from spikeprep.transforms.draws import draws_reference
from spikeprep.transforms.videos.camera_kernel import Pixels
from spikeprep.transforms.videos.clean_kernel import CleanPixels, _levels
from spikeprep.transforms.videos.event_keys import DONE, KEYS_FULL, Room, event_key, write_events
from spikeprep.transforms.videos.pixel_model import thresholds

KEY = SampleKey(5, "train", 3)
IDEAL = VideoToEvents(on=0.25, off=0.25, sigma=0, refractory_us=0)
GRID = 2.0**32


def grey(*levels: float, rate: float = 100.0) -> Video:
    """A video of one pixel; levels from 0 to 255."""
    return Video.of(np.array(levels, np.float64)[:, None, None] / 255, rate)


def noise_video(frames=7, rows=5, columns=6, seed=0, dtype=np.uint8) -> Video:
    values = np.random.default_rng(seed).integers(0, 256, (frames, rows, columns), np.uint8)
    values[frames // 2] = values[frames // 2 - 1]  # a still moment
    values[:, 0, 0] = values[0, 0, 0]
    times = np.cumsum([0, *np.random.default_rng(seed).integers(3, 9_000, frames - 1)])
    pixels = values if dtype == np.uint8 else (values / 255).astype(dtype)
    return Video((pixels,), (columns, rows), times.astype(np.int64), int(times[-1]) + 2500)


def stamps(events: Events) -> list[int]:
    return events.array["t"].tolist()


# ---------------------------------------------------------------- exact


def test_a_ramp_of_the_logarithm_gives_events_at_equal_distances():
    # ln rises from 4 to 5 in 10 ms: a threshold of 1/4 is crossed every 2.5 ms
    events = IDEAL(grey(exp(4), exp(5)))
    assert stamps(events) == [2500, 5000, 7500, 10_000]
    assert events.array["p"].tolist() == [1, 1, 1, 1]
    assert (events.size, events.polarities, events.duration) == ((1, 1), 2, 20_000)
    down = IDEAL(grey(exp(5), exp(4)))
    assert stamps(down) == [2500, 5000, 7500, 10_000]
    assert down.array["p"].tolist() == [0, 0, 0, 0]


def test_a_threshold_that_is_no_binary_fraction_gives_whole_times_too():
    events = VideoToEvents(on=0.2, sigma=0, refractory_us=0)(grey(exp(4), exp(5)))
    assert stamps(events) == [2000, 4000, 6000, 8000, 10_000]


def test_what_is_left_below_a_threshold_counts_in_the_next_frames():
    # 0.6, 0.6 and 0.6: 2 events, then 2 (1.2 / 0.25 = 4.8), then 3 (1.8 / 0.25 = 7.2)
    events = IDEAL(grey(*(exp(3 + 0.6 * n) for n in range(4))))
    frame = np.array(stamps(events)) // 10_000
    assert [int((frame == n).sum()) for n in range(3)] == [2, 2, 3]
    assert stamps(events) == [round(10_000 * k * 0.25 / 0.6) for k in range(1, 8)]


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 20), (3, 19), (20, 21), (60, 180)])
@pytest.mark.parametrize("theta", [0.01, 0.1, 0.2, 0.5])
def test_the_number_of_events_is_the_change_over_the_threshold(low, high, theta):
    def response(level):
        return level * log(20) / 20 if level <= 20 else log(level)

    expected = floor((response(high) - response(low)) / theta)
    frames = np.array([low, high, low, high, low], np.uint8)[:, None, None]
    model = VideoToEvents(on=theta, off=theta, sigma=0, refractory_us=0)
    events = model(Video.of(frames, 50)).array
    pair = -(-events["t"] // 20_000) - 1  # the last one of a fall is at the time of the frame
    counts = [int(((pair == n) & (events["p"] == p)).sum()) for n, p in enumerate((1, 0, 1, 0))]
    assert counts == [expected] * 4  # as many down as up: sums of thresholds are exact
    assert len(events) == 4 * expected


def test_after_an_event_the_pixel_is_reset_for_the_refractory_time():
    # 100 per s: 2.5 ms to a threshold, then 1.5 ms in which change is lost
    events = replace(IDEAL, refractory_us=1500)(grey(exp(4), exp(5), exp(5)))
    assert stamps(events) == [2500, 6500]
    # a dead time that ends in a later pair of frames, of another slope (0.5 in 10 ms from 12.5 ms on: 5 ms)
    events = replace(IDEAL, refractory_us=10_000)(grey(exp(4), exp(5), exp(5.5), exp(5.5)))
    assert stamps(events) == [2500, 17_500]
    # and one that ends in a frame without change
    events = replace(IDEAL, refractory_us=10_000)(grey(exp(4), exp(4.3), exp(4.3), exp(4.3), exp(5.3)))
    assert stamps(events) == [8333, 32_500]


def test_the_refractory_time_limits_the_rate():
    step = Video.of(np.array([0, 255, 255], np.uint8)[:, None, None], 1000)
    model = VideoToEvents(on=0.01, sigma=0, refractory_us=100)
    gaps = np.diff(stamps(model(step)))
    assert gaps.min() >= 100
    assert len(gaps) + 1 == 10  # in 1 ms


def test_stamps_of_one_time_are_in_the_order_of_pixels():
    frames = np.zeros((3, 2, 3), np.uint8)
    frames[1] = 200
    frames[2] = [[0, 200, 0], [200, 0, 200]]
    events = IDEAL(Video.of(frames, 100)).array
    assert np.array_equal(events, np.sort(events, order=["t", "y", "x"]))
    first = events[events["t"] == events["t"][0]]
    assert list(zip(first["y"], first["x"], strict=True)) == [(y, x) for y in range(2) for x in range(3)]
    assert events["p"][events["t"] > 10_000].tolist() == [0] * (events["p"] == 0).sum()


def test_many_events_of_one_pair_of_frames():
    frames = np.array([0, 255], np.uint8)[:, None, None] * np.ones((1, 3, 3), np.uint8)
    model = VideoToEvents(on=0.01, off=0.01, sigma=0, refractory_us=0)
    events = model(Video.of(frames, 100)).array
    assert len(events) == 9 * floor(log(255) / 0.01)  # more than the first buffer of keys has room for
    assert (np.diff(events["t"]) >= 0).all()


# ---------------------------------------------------------------- a reference, pixel after pixel


def on_grid(value: float) -> float:
    return float(np.rint(value * GRID)) / GRID


def reference(model: VideoToEvents, video: Video, key: SampleKey) -> np.ndarray:
    """The events, computed one pixel at a time over the whole video."""
    frames = video.array if video.array.dtype != np.uint8 else video.array / 255
    ends = [*map(int, video.times), video.duration]
    rows, columns = frames.shape[1:]
    on, off = thresholds(model.on, model.off, model.sigma, model.camera, rows * columns)
    k0, k1 = map(np.uint64, key.philox_key())
    phase = (draws_reference(0, rows * columns, VIDEO_LEAK, key) >> np.uint64(11)) * 2.0**-53
    found = []
    for pixel in range(rows * columns):
        levels = [255 * float(v) for v in frames[:, pixel // columns, pixel % columns]]
        levels.append(levels[-1])
        logs = [on_grid(v * log(20) / 20 if v <= 20 else log(v)) for v in levels]

        def noise(number: int, pixel: int = pixel) -> tuple[float, int]:
            words = philox4x32(*map(np.uint64, (pixel, number, 0, VIDEO_NOISE)), k0, k1)
            x0, x1, x2 = (int(word) for word in words[:3])
            return on_grid(-log1p(-(((x0 << 32 | x1) >> 11) * 2.0**-53))), x2 & 1

        y, reset_until, number = logs[0], None, 0
        leaked = phase[pixel] * on[pixel]
        memory = y - (on_grid(leaked) if model.leak_hz else 0)
        wait = noise(0)[0]
        for n in range(len(levels) - 1):
            start, span = ends[n], ends[n + 1] - ends[n]
            before, after = y, logs[n + 1]
            if model.cutoff_hz:
                decay = 2 * np.pi * model.cutoff_hz / 1e6 * (levels[n + 1] + 20) / 275 * span
                gain = -np.expm1(-decay)
                change = logs[n + 1] - logs[n]
                after = on_grid(before + (logs[n] - before) * gain + change * (1 - gain / decay))
            drift = on_grid(model.leak_hz / 1e6 * on[pixel] * span)

            def at(time: float, z0: float = before, z1: float = after + drift, span: int = span) -> float:
                return on_grid(z0 + (z1 - z0) * (time / span))

            rate = model.noise_hz / 1e6 * (1 - 0.75 * (levels[n] + levels[n + 1]) / 510)
            now = 0.0
            if reset_until is not None:
                now = reset_until - start
                if now < span:
                    memory, reset_until = (at(now) if now > 0 else before), None
            while True:
                z1 = after + drift
                options = []
                if reset_until is None and z1 - memory >= on[pixel]:
                    time = (memory + on[pixel] - before) * (span / (z1 - before))
                    options.append((min(max(time, now), span), 0, 1, memory + on[pixel]))
                elif reset_until is None and memory - z1 >= off[pixel]:
                    time = (memory - off[pixel] - before) * (span / (z1 - before))
                    options.append((min(max(time, now), span), 0, 0, memory - off[pixel]))
                if rate and wait <= rate * span:
                    options.append((wait / rate, 1, noise(number)[1], at(wait / rate)))
                if not options:
                    break
                time, is_noise, polarity, level = min(options)
                if is_noise:
                    number += 1
                    wait += noise(number)[0]
                    if reset_until is not None or time < now:
                        continue
                t = min(start + round(time), video.duration - 1)
                found.append((t, n, pixel, len(found), polarity))
                memory = level
                if model.refractory_us:
                    now = time + model.refractory_us
                    if now >= span:
                        reset_until = start + now
                    else:
                        memory = at(now)
            memory -= drift
            y = after
            wait -= rate * span
    events = np.zeros(len(found), EVENT)
    for n, (t, _, pixel, _, polarity) in enumerate(sorted(found, key=lambda e: (e[1], e[0], e[2], e[3]))):
        events[n] = (pixel % columns, pixel // columns, t, polarity)
    return events


MODELS = {
    "thresholds": {"sigma": 0.0, "refractory_us": 0},
    "mismatch": {"sigma": 0.05, "off": 0.3, "camera": 4},
    "refractory": {"refractory_us": 7000},
    "low pass": {"cutoff_hz": 40.0, "refractory_us": 100},
    "leak": {"leak_hz": 300.0, "refractory_us": 50},
    "noise": {"noise_hz": 700.0, "refractory_us": 0},
    "all": {"cutoff_hz": 200.0, "leak_hz": 50.0, "noise_hz": 500.0, "on": 0.1, "refractory_us": 300},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.float32])
@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_agrees_with_the_reference(name, dtype):
    model, video = VideoToEvents(**MODELS[name]), noise_video(dtype=dtype)
    events = model(video, rng=KEY).array
    expected = reference(model, video, KEY)
    assert len(events) > 50
    for field in "txyp":
        np.testing.assert_array_equal(events[field], expected[field])


@pytest.mark.parametrize("name", MODELS)
def test_pieces_change_nothing(name):
    model, video = VideoToEvents(**MODELS[name]), noise_video(11)
    whole = model(video, rng=KEY)
    for cuts in ([1], [1, 2, 3], [4, 4, 9], list(range(11))):
        streamed = replace(video, pieces=np.split(video.array, cuts))
        events = model(streamed, rng=KEY)
        assert not isinstance(events.pieces, tuple)
        for _ in range(2):  # every walk gives the same
            np.testing.assert_array_equal(events.array, whole.array)
        assert (events.size, events.duration) == (whole.size, whole.duration)


# ---------------------------------------------------------------- the published models


def v2e_counts(frames: np.ndarray, theta: float) -> np.ndarray:
    """Events per pair of frames and pixel as v2e counts them, without noise: floor of the change from the memory."""
    values = frames.astype(np.float64)
    logs = np.where(values <= 20, values * log(20) / 20, np.log(np.maximum(values, 1)))
    logs = np.round(logs * 1e8) / 1e8
    memory, counts = logs[0].copy(), []
    for new in logs[1:]:
        change = new - memory
        on, off = np.floor(np.maximum(change, 0) / theta), np.floor(np.maximum(-change, 0) / theta)
        memory += (on - off) * theta
        counts.append(on - off)
    return np.array(counts)


def test_events_per_frame_are_those_of_v2e():
    frames = np.random.default_rng(1).integers(0, 256, (9, 20, 30), np.uint8)
    events = IDEAL(Video.of(frames, 1000)).array
    between = -(-events["t"] // 1000) - 1
    counts = np.zeros((8, 20, 30))
    np.add.at(counts, (between, events["y"], events["x"]), np.where(events["p"], 1.0, -1.0))
    # times are rounded: an event that is 0.4 µs behind a frame may count for the one before
    same = counts == v2e_counts(frames, 0.25)
    assert same.mean() > 0.995
    np.testing.assert_array_equal(counts.sum(0), v2e_counts(frames, 0.25).sum(0))


def test_times_are_those_of_esim():
    """Gehrig et al. 2020: level L_k + θ is crossed at t_k + (L − L_k) / (L_k+1 − L_k) Δt."""
    first, second = 40.0, 200.0
    crossings = [(k * 0.25) / (log(second) - log(first)) * 10_000 for k in range(1, 7)]
    assert stamps(IDEAL(grey(first, second))) == [round(t) for t in crossings]


def test_the_low_pass_filter_answers_a_step_with_an_exponential():
    # from 50 to 200 at once: 1 ms frames, then ln y(t) = ln 200 − ln 4 exp(−ω t), ω = 2 π f (200 + 20) / 275
    cutoff, rate = 20.0, 50_000
    frames = np.full((6000, 1, 1), 200, np.uint8)
    frames[0] = 50
    model = replace(IDEAL, cutoff_hz=cutoff)
    events = stamps(model(Video.of(frames, rate)))
    omega = 2 * np.pi * cutoff * 220 / 275
    expected = [-log(1 - k * 0.25 / log(4)) / omega * 1e6 for k in range(1, 6)]
    # the step itself takes a frame of 20 µs, on average 10 µs late
    np.testing.assert_allclose(np.array(events) - 10, expected, atol=2)
    assert len(events) == 5


def test_a_wide_filter_changes_little():
    video = grey(exp(4), exp(4.6), exp(4.1), rate=100)
    wide = replace(IDEAL, cutoff_hz=1e6)(video)
    np.testing.assert_allclose(stamps(wide), stamps(IDEAL(video)), atol=2)


# ---------------------------------------------------------------- statistics


def test_leak_events_are_regular_on_events_with_phases():
    still = Video.of(np.full((2, 20, 20), 90, np.uint8), 0.1)  # 20 s
    events = VideoToEvents(leak_hz=2.0, refractory_us=0)(still, rng=KEY).array
    assert events["p"].all()
    counts = np.bincount(events["y"].astype(int) * 20 + events["x"], minlength=400)
    assert set(counts) <= {39, 40}
    one = events[(events["x"] == 3) & (events["y"] == 7)]["t"]
    np.testing.assert_allclose(np.diff(one), 500_000, atol=1)
    first = [events[(events["x"] == x) & (events["y"] == y)]["t"][0] for x in range(20) for y in range(20)]
    assert stats.kstest(np.array(first) / 500_000, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("level", "share"), [(0, 1.0), (255, 0.25), (102, 0.7)])
def test_noise_is_a_poisson_process_whose_rate_depends_on_brightness(level, share):
    still = Video.of(np.full((2, 30, 30), level, np.uint8), 0.2)  # 10 s
    events = VideoToEvents(noise_hz=5.0, refractory_us=0)(still, rng=KEY).array
    expected = 5.0 * share * 10 * 900
    assert abs(len(events) - expected) < 5 * expected**0.5
    assert abs(events["p"].mean() - 0.5) < 5 * 0.5 / len(events) ** 0.5
    order = np.lexsort((events["t"], events["x"], events["y"]))
    events = events[order]
    same = (np.diff(events["x"].astype(int)) == 0) & (np.diff(events["y"].astype(int)) == 0)
    counts = np.bincount(events["y"].astype(int) * 30 + events["x"], minlength=900)
    assert abs(counts.var() / counts.mean() - 1) < 0.25  # of a Poisson distribution 1
    # the first event of each pixel waits exponentially
    first = events["t"][np.flatnonzero(np.r_[True, ~same])]
    assert stats.kstest(first / 1e6, "expon", (0, 1 / (5.0 * share))).pvalue > 1e-3


def kernel_events(kind, frames, rows, columns, on, off, dead, room=1024, most=1024):
    """The events of a kernel, given little room for keys and events."""
    flat = frames.reshape(len(frames), -1)
    stamps = np.arange(len(frames), dtype=np.int64) * 30_011
    limits = thresholds(on, off, 0.03, 1, rows * columns)
    rates = (0.0, 0.0, 0.0, None) if kind is Pixels else ()
    pixels = kind(flat[0], *limits, dead, *rates, int(stamps[-1]) + 1, columns)
    keys, progress = Room(room), np.zeros(4, np.int64)
    out, found = np.empty((most, 2), np.uint64), []
    while (state := pixels.convert(flat[1:], flat[0], stamps, progress, keys, out)) != DONE:
        if state == KEYS_FULL:
            keys.double(int(progress[2]))
        else:
            found.append(out[: progress[3]].copy())
            out, progress[3] = np.empty((max(most, int(progress[2])), 2), np.uint64), 0
    return np.concatenate([*found, out[: progress[3]]])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 9), (8, 8), (50, 61), (64, 64), (70, 100)])
@pytest.mark.parametrize("dead", [0, 1, 500, 40_000])
@pytest.mark.parametrize(("on", "off"), [(0.01, 0.013), (0.2, 0.15), (1.1, 2.5)])
def test_many_pixels_at_a_time_give_the_events_of_one_at_a_time(rows, columns, dead, on, off):
    rng = np.random.default_rng(rows)
    frames = rng.integers(0, 256, (8, rows, columns), np.uint8)
    frames[3] = frames[2]
    frames[4:] = np.clip(frames[3] + rng.integers(-9, 10, (4, rows, columns)), 0, 255)
    fast, slow = (kernel_events(kind, frames, rows, columns, on, off, dead) for kind in (CleanPixels, Pixels))
    assert len(slow) or rows == 1
    assert np.array_equal(fast, slow)


def test_the_lowest_level_of_a_response_follows_from_the_table():
    values, table = _levels()
    edges = np.arange(len(table)) / 256
    for shift in (0.0, 1e-9, 1 / 512, 1 / 256 - 1e-9):
        wanted = np.searchsorted(values, edges + shift)
        assert np.array_equal(table + (values[table] < edges + shift), wanted)


def test_thresholds_are_normal_of_the_camera_and_independent():
    on, off = thresholds(0.2, 0.3, 0.03, 0, 10_000)
    assert stats.kstest(on, "norm", (0.2, 0.03)).pvalue > 1e-3
    assert stats.kstest(off, "norm", (0.3, 0.03)).pvalue > 1e-3
    assert abs(np.corrcoef(on, off)[0, 1]) < 0.05
    assert abs(np.corrcoef(on[1:], on[:-1])[0, 1]) < 0.05
    assert thresholds(0.01, 0.3, 0.03, 0, 10_000)[0].min() == pytest.approx(0.01, abs=1e-9)
    video = noise_video()
    same = VideoToEvents()(video, rng=KEY).array
    np.testing.assert_array_equal(same, VideoToEvents()(video).array)  # of one camera, in every recording
    assert len(same) != len(VideoToEvents(camera=1)(video).array)


def test_noise_depends_on_the_sample():
    video = noise_video()
    model = VideoToEvents(noise_hz=500.0)
    one, two = model(video, rng=KEY).array, model(video, rng=replace(KEY, sample=4)).array
    assert one.tobytes() != two.tobytes()


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (Video.of(np.zeros((1, 3, 3), np.uint8), 30), "got a video of one frame; expected at least two"),
        (Video.of(np.zeros((0, 3, 3), np.uint8), 30), "got a video of no frames"),
        (Video((np.zeros((2, 3, 3), np.uint8),), (3, 3), np.array([0, 0]), 5), "frame 0 from 0 to 0 µs"),
        (Video((np.zeros((2, 3, 3), np.uint8),), (3, 3), np.array([0, 9]), 9), "frame 1 from 9 to 9 µs"),
        (Video((np.zeros((2, 3, 3), np.uint8),), (3, 3), np.array([4, 9]), 19), "the first one at 4 µs"),
        (Video((np.zeros((2, 3, 3), np.uint8),), (3, 3), np.array([0, 1 << 31]), 1 << 32), "frame 0 from 0 to"),
        (Video((np.zeros((2, 3, 3), np.uint8),), (3, 3), np.array([0.0, 9.0]), 19), "whole numbers of µs"),
        (Video((np.zeros((3, 3, 3), np.uint8),), (3, 3), np.array([0, 9]), 19), "3 frames and 2 times"),
        (Video((np.zeros((1, 3, 3), np.uint8),), (3, 3), np.array([0, 9]), 19), "1 frames and 2 times"),
        (Video((np.zeros((2, 3, 4), np.uint8),), (3, 3), np.array([0, 9]), 19), "of a video of 3 × 3 pixels"),
        (Video((np.zeros((2, 3, 3, 3), np.uint8),), (3, 3), np.array([0, 9]), 19), "of a video of 3 × 3 pixels"),
        (Video.of(np.zeros((2, 3, 3), np.int64), 30), "got frames of int64"),
        (Video.of(np.full((2, 3, 3), np.nan), 30), "brightness from nan to nan in frame 0"),
        (Video.of(np.arange(18.0).reshape(2, 3, 3) / 10, 30), "brightness from 0.9 to 1.7 in frame 1"),
        (
            Video((np.zeros((1, 3, 3)), np.zeros((1, 3, 3), np.uint8)), (3, 3), np.array([0, 9]), 19),
            "got frames of uint8 from frame 1 on, and of another type before",
        ),
        (Video((), (0, 3), np.array([0, 9]), 19), "frames of 0 × 3 pixels"),
    ],
)  # fmt: skip
def test_videos_that_cannot_be(video, message):
    with pytest.raises(DataError, match=message):
        VideoToEvents()(video)


def test_other_signals():
    for signal in (np.zeros((3, 3)), Frames(np.zeros((3, 3)), 1.0), None):
        with pytest.raises(SignalError, match="video_to_events: got a signal of type"):
            VideoToEvents()(signal)


def test_random_events_need_a_key():
    for settings in ({"leak_hz": 1.0}, {"noise_hz": 1.0}):
        with pytest.raises(UsageError, match="no random numbers"):
            VideoToEvents(**settings)(noise_video())


def test_too_many_events():
    video = noise_video(rows=30, columns=30)
    number = len(VideoToEvents()(video).array)
    assert len(VideoToEvents(max_events=number)(video).array) == number
    with pytest.raises(
        DataError, match=rf"more than {number - 1:,} events.*video_to_events.on=0.4.*max_events="
    ):
        VideoToEvents(max_events=number - 1)(video)
    streamed = replace(video, pieces=list(video.pieces))
    with pytest.raises(DataError, match="events"):
        list(VideoToEvents(max_events=number - 1)(streamed).pieces)


@pytest.mark.parametrize("span", [1, 255, 256, 70_000, 2**31 - 1])
@pytest.mark.parametrize("count", [0, 1, 100, 40_000])
def test_keys_are_written_in_the_order_of_time_and_then_of_pixels(span, count):
    rng = np.random.default_rng(count)
    columns, pixels = 1013, 1 << 20
    offsets = rng.integers(0, span + 1, count)
    places = np.sort(rng.integers(0, pixels, count))
    polarities = rng.integers(0, 2, count)
    keys = event_key.py_func(
        offsets.astype(np.uint64), places.astype(np.uint64), polarities.astype(np.uint64)
    )
    room, out = Room(max(count, 1)), np.zeros((count + 2, 2), np.uint64)
    room.keys[0, :count] = keys
    write_events(room.keys[0], room.keys[1], count, span, 9, columns, room.counts, out, 1)
    order = np.argsort(offsets, kind="stable")
    events = out[1 : count + 1].copy().view(EVENT)[:, 0]
    assert np.array_equal(events["t"], 9 + offsets[order])
    assert np.array_equal(events["y"], places[order] // columns)
    assert np.array_equal(events["x"], places[order] % columns)
    assert np.array_equal(events["p"], polarities[order])
    assert not out[[0, -1]].any()
