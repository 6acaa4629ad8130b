"""What holds of every transform of recordings, and each against its reference."""

import importlib
import itertools
import tracemalloc
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events
from spikeprep.encoders import DVS, event_checks
from spikeprep.errors import DataError, SpikeprepError, UsageError
from spikeprep.random import DROP_EVENTS, SampleKey
from spikeprep.registry import TRANSFORMS
from spikeprep.transforms import (
    BackgroundFilter,
    DropEvents,
    EventCrop,
    EventDownsample,
    EventFlip,
    EventJitter,
    EventNoise,
    EventRandomCrop,
    EventTimeDownsample,
    EventTransform,
    HotPixels,
    MergePolarity,
    RefractoryFilter,
    StabiliseSaccades,
    TimeJitter,
)
from spikeprep.transforms import draws as _draws
from spikeprep.transforms.draws import draws, draws_reference
from spikeprep.transforms.events.background_filter import background_reference
from spikeprep.transforms.events.crop import crop_reference
from spikeprep.transforms.events.downsample import downsample_reference
from spikeprep.transforms.events.hot_pixels import hot_pixels_reference
from spikeprep.transforms.events.refractory_filter import refractory_reference
from spikeprep.transforms.events.stabilise_saccades import stabilise_reference
from spikeprep.transforms.events.time_downsample import time_downsample_reference
from spikeprep.transforms.events.time_jitter import jitter_reference

from ...strategies import recordings, streamed

KEY = SampleKey(5, "train", 3)

small = st.integers(0, 3)
CHOICES = {
    BackgroundFilter: st.builds(
        BackgroundFilter, st.sampled_from([1, 10, 1000, 5000]), st.sampled_from([4, 8])
    ),
    DropEvents: st.builds(DropEvents, st.sampled_from([0, 0.25, 0.9])),
    EventCrop: st.builds(
        EventCrop, start_us=st.sampled_from([0, 1, 10, 20_000]), stop_us=st.sampled_from([0, 20_001, 30_000])
    ),
    EventDownsample: st.builds(EventDownsample, st.integers(1, 8), threshold=st.integers(1, 3)),
    EventFlip: st.builds(EventFlip, *[st.sampled_from([0, 0.5, 1])] * 4),
    EventJitter: st.builds(EventJitter, st.sampled_from([0.1, 0.7, 5])),
    EventNoise: st.builds(EventNoise, st.sampled_from([0, 1, 50, 1000])),
    EventRandomCrop: st.builds(EventRandomCrop, st.integers(0, 1), st.integers(0, 1)),
    EventTimeDownsample: st.builds(EventTimeDownsample, st.sampled_from([1, 3, 1000]), st.booleans()),
    HotPixels: st.builds(HotPixels, st.sampled_from([0, 0.5, 100, 1000.5]), st.sampled_from([0, 0.5, 1])),
    MergePolarity: st.just(MergePolarity()),
    RefractoryFilter: st.builds(RefractoryFilter, st.sampled_from([0, 1, 10, 1000, 5000]), st.booleans()),
    StabiliseSaccades: st.just(StabiliseSaccades()),
    TimeJitter: st.builds(TimeJitter, st.sampled_from([0.1, 3.5, 2000]), st.sampled_from([0, 1, 700])),
}
transforms = st.one_of(*CHOICES.values())


def tuples(events: Events) -> list[tuple[int, ...]]:
    return events.array.tolist()


def test_every_transform_is_tried_here():
    registered = {TRANSFORMS.get(name) for name in TRANSFORMS.names()}
    assert {found for found in registered if issubclass(found, EventTransform)} == set(CHOICES)


@settings(max_examples=200)
@given(st.data(), recordings(), transforms)
def test_the_result_does_not_depend_on_how_pieces_were_cut(data, whole, transform):
    before = whole.array.copy()
    stream = data.draw(streamed(whole))
    at_once, later = transform(whole, rng=KEY), transform(stream, rng=KEY)
    assert isinstance(at_once.pieces, tuple)
    assert not stream.pieces.walks  # nothing is decoded before it is asked for
    for _ in range(2):  # streamed pieces can be walked again
        assert tuples(later) == tuples(at_once)
    assert later.size == at_once.size
    assert later.polarities == at_once.polarities
    assert whole.array.tolist() == before.tolist()
    assert all(piece.dtype == EVENT for piece in later.pieces)


@settings(max_examples=200)
@given(st.data(), recordings(), transforms, transforms)
def test_an_outline_has_the_exact_sensor_and_duration(data, whole, first, second):
    """Of chains, of recordings whose duration is known and of those whose last event decides it."""
    if data.draw(st.booleans()):
        whole = Events(whole.pieces, whole.size, whole.polarities, 7, whole.length() + data.draw(small))
    ends = Events.of(whole.array[-1:], whole.size, whole.polarities)
    ends = Events(ends.pieces, ends.size, ends.polarities, whole.start, whole.duration)
    stream = data.draw(streamed(whole))
    result, outline = second(first(whole, rng=KEY), rng=KEY), second.outline(first.outline(ends, KEY), KEY)
    later = second(first(stream, rng=KEY), rng=KEY)
    assert tuples(later) == tuples(result)
    walks = len(stream.pieces.walks)
    for found in (outline, later):
        assert (found.size, found.polarities) == (result.size, result.polarities)
        assert (found.start, found.length()) == (result.start, result.length())
    assert len(stream.pieces.walks) == walks  # the walk of the events found the duration
    t = result.array["t"]
    assert (np.diff(t) >= 0).all()
    assert not t.size or (t[0] >= 0 and t[-1] < result.length())
    for axis, most in zip("xyp", (*result.size, result.polarities), strict=True):
        assert (result.array[axis] < most).all()
    steps = DVS(bin_us=250).encode(result).steps
    assert steps == DVS(bin_us=250).describe(outline).steps == DVS(bin_us=250).encode(later).steps


@given(recordings(), CHOICES[BackgroundFilter])
def test_background(events, transform):
    assert tuples(transform(events)) == background_reference(transform, events)


@given(recordings(), CHOICES[RefractoryFilter])
def test_refractory(events, transform):
    assert tuples(transform(events)) == refractory_reference(transform, events)


@given(recordings(), CHOICES[EventTimeDownsample])
def test_time_downsample(events, transform):
    assert tuples(transform(events)) == time_downsample_reference(transform, events)


@given(st.data(), recordings())
def test_downsample(data, events):
    width, height = (data.draw(st.integers(1, pixels)) for pixels in events.size)
    for transform in (
        data.draw(CHOICES[EventDownsample]),
        EventDownsample(width=width, height=height, threshold=data.draw(st.integers(1, 3))),
    ):
        assert tuples(transform(events)) == downsample_reference(transform, events)


@given(st.data(), recordings())
def test_crop(data, events):
    corner = [data.draw(st.integers(0, pixels - 1)) for pixels in events.size]
    size = [data.draw(st.integers(0, pixels - at)) for pixels, at in zip(events.size, corner, strict=True)]
    start = data.draw(st.sampled_from([0, 1, 10, 20_000]))
    transform = EventCrop(*corner, *size, start, data.draw(st.sampled_from([0, start + 1, start + 10_000])))
    assert tuples(transform(events)) == crop_reference(transform, events).tolist()


@given(recordings(), CHOICES[HotPixels])
def test_hot_pixels(events, transform):
    assert tuples(transform(events)) == hot_pixels_reference(transform, events).tolist()


@given(recordings(), CHOICES[TimeJitter], st.integers(0, 9))
def test_jitter(events, transform, n):
    key = SampleKey(n, "test", n)
    assert tuples(transform(events, rng=key)) == jitter_reference(transform, events, key).tolist()


@given(recordings(longest=400_000))
def test_stabilise(events):
    t = events.array["t"]
    moved = np.where(t <= 210_000, t, 630_000 - 2 * t) % 30_000
    tie = (moved == 15_000) | (np.where(t <= 210_000, 2 * t, 0) % 30_000 == 15_000)
    events = Events.of(events.array[~tie], events.size, events.polarities)
    assert tuples(StabiliseSaccades()(events)) == stabilise_reference(events).tolist()


# ---------------------------------------------------------------- by hand


def made(rows, size=(9, 9), polarities=2) -> Events:
    events = np.zeros(len(rows), EVENT)
    for event, row in zip(events, rows, strict=True):
        for axis, value in zip("xytp", row, strict=False):
            event[axis] = value
    return Events.of(events, size, polarities)


def test_support_by_hand():
    rows = [(0, 0, 0), (1, 1, 9), (1, 1, 9), (3, 3, 9), (2, 2, 18), (2, 2, 28), (8, 8, 28), (7, 8, 28)]
    result = BackgroundFilter(tau_us=10)(made(rows))
    #     a corner supports, twice; no neighbour; supported by two; 10 µs are too long; alone; at the same stamp
    assert [row[:3] for row in tuples(result)] == [(1, 1, 9), (1, 1, 9), (2, 2, 18), (7, 8, 28)]


def test_the_pause_starts_at_kept_events():
    times = [0, 4, 8, 10, 14, 19, 20, 21]
    result = RefractoryFilter(tau_us=10)(made([(1, 1, t) for t in times]))
    assert result.array["t"].tolist() == [0, 10, 20]


def test_the_other_polarity_recovers_too():
    events = made([(1, 1, 0, 0), (1, 1, 1, 1), (1, 1, 2, 1)])
    assert len(RefractoryFilter(10)(events).array) == 1
    assert len(RefractoryFilter(10, per_polarity=True)(events).array) == 2


def test_a_large_pixel_integrates():
    p = [1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    result = EventDownsample(factor=3, threshold=3)(made([(n % 3, 3, n, p[n]) for n in range(len(p))]))
    assert tuples(result) == [(0, 1, 4, 1), (0, 1, 7, 0), (0, 1, 10, 0)]
    assert result.size == (3, 3)


def test_sizes_that_do_not_divide():
    assert EventDownsample(4).outline(made([])).size == (3, 3)
    columns, rows = EventDownsample(width=4, height=9).tables((9, 9))
    assert columns.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert rows.tolist() == list(range(9))


def test_all_events_of_a_hot_pixel_are_dropped():
    rows = sorted(
        [(1, 1, 10 * n) for n in range(50)] + [(n % 9, n // 9, 7 * n) for n in range(60)], key=lambda r: r[2]
    )
    for transform in (HotPixels(quantile=0.98), HotPixels(rate_hz=50 / 491e-6)):
        assert (1, 1) not in [row[:2] for row in tuples(transform(made(rows)))]
        assert len(transform(made(rows)).array) == 59
    assert len(HotPixels(rate_hz=51 / 491e-6 + 1)(made(rows)).array) == 110


def test_a_crop_moves_the_origin_of_space_and_time():
    events = Events(made([(2, 3, 100), (4, 4, 150), (5, 3, 160), (4, 3, 200)]).pieces, (9, 9), 2, 1000)
    result = EventCrop(x=2, y=3, width=3, height=2, start_us=100, stop_us=200)(events)
    assert tuples(result) == [(0, 0, 0, 0), (2, 1, 50, 0)]
    assert (result.size, result.start, result.length()) == ((3, 2), 1100, 100)


def test_a_crop_stops_reading_where_the_length_is_known():
    def forever():
        for n in itertools.count():
            assert n < 5
            yield made([(0, 0, 1000 * n)]).array

    class Endless:
        def __iter__(self):
            return forever()

    cut = EventCrop(stop_us=3000)
    result = cut(Events(Endless(), (9, 9), duration=10**9))
    assert result.array["t"].tolist() == [0, 1000, 2000]
    assert result.length() == 3000


@given(recordings(), CHOICES[DropEvents])
def test_drop(events, transform):
    kept = draws(0, len(events.array), DROP_EVENTS, KEY) >= transform.probability * 2.0**64
    assert tuples(transform(events, rng=KEY)) == events.array[kept].tolist()


def test_drops_are_as_likely_as_they_should_be():
    events = made([(0, 0, n) for n in range(20_000)])
    for probability in (0.1, 0.5, 0.9):
        kept = len(DropEvents(probability)(events, rng=KEY).array)
        assert abs(kept - 20_000 * (1 - probability)) < 4.5 * np.sqrt(
            20_000 * probability * (1 - probability)
        )
    assert tuples(DropEvents(0)(events, rng=KEY)) == tuples(events)


def test_draws_are_pinned_and_the_references():
    for first, count in ((0, 5), (3, 4), (2**33 - 1, 6), (7, 1), (8, 0)):
        assert draws(first, count, 2, KEY).tolist() == draws_reference(first, count, 2, KEY).tolist()
    assert draws(0, 2, 2, KEY).tolist() == [16291591847771673066, 11509423720678844571]


def test_jitter_is_normal_cut_and_rounded():
    from scipy import stats

    events = made([(n % 9, n // 9 % 9, 100 * n + 1000) for n in range(20_000)])
    transform = TimeJitter(std_us=20, most_us=30)
    result = transform(events, rng=KEY)
    key = np.arange(20_000)
    place = np.argsort(np.round((result.array["t"] - 1000) / 100), kind="stable")
    shift = result.array["t"][place] - (100 * key + 1000)
    assert np.abs(shift).max() == 30
    edges = np.arange(-30.5, 31, 4)
    edges[-1] = 30.5
    share = np.diff(stats.norm.cdf(edges, scale=20))
    found = np.histogram(shift, edges)[0]
    assert stats.chisquare(found, share / share.sum() * 20_000).pvalue > 1e-4


def test_jitter_holds_back_no_more_than_it_must():
    pieces = [made([(0, 0, t)]).array for t in range(0, 1000, 10)]
    given_out = 0
    stream = TimeJitter(std_us=5, most_us=20)(Events(pieces, (9, 9)), rng=KEY)
    for taken, piece in enumerate(stream.pieces):
        given_out += len(piece)
        assert taken - given_out <= 4  # 40 µs of events
    assert given_out == 100


def test_random_transforms_need_a_key():
    random = (DropEvents(), TimeJitter(), EventFlip(), EventJitter(), EventNoise(), EventRandomCrop())
    for transform in random:
        with pytest.raises(UsageError, match="SampleKey"):
            transform(made([(0, 0, 0)]))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 0, 0), (9, 0, 5)], "event 1 at x 9, y 0; expected x below 9 and y below 8"),
        ([(0, 8, 5)], "event 0 at x 0, y 8"),
        ([(0, 0, 5), (0, 0, 4)], "event 1 at t 4 µs, after one at 5 µs"),
        ([(0, 0, -1)], "at t -1"),
        ([(0, 0, 0, 2)], "of polarity 2; expected below 2"),
        ([(0, 0, 99), (0, 0, 100)], "event 1 at t 100 µs; expected at most 99"),
    ],
)
@pytest.mark.parametrize("transform", [BackgroundFilter(), MergePolarity()])
def test_wrong_events_are_named(transform, rows, words):
    whole = replace(made(rows, (9, 8)), duration=100)
    with pytest.raises(DataError, match=words):
        transform(whole)
    stream = transform(replace(whole, pieces=[whole.array[n : n + 1] for n in range(len(rows))]))
    with pytest.raises(DataError, match=words):
        tuples(stream)


def test_kernels_release_the_lock():
    modules = [importlib.import_module(f"{found.__module__}") for found in CHOICES] + [_draws]
    kernels = {
        name: kernel for m in modules for name, kernel in vars(m).items() if hasattr(kernel, "targetoptions")
    }
    assert {"_crop", "_draw", "_keep"} <= set(kernels)
    assert all(k.targetoptions.get("nogil") for k in kernels.values() if "inline" not in k.targetoptions)


def test_only_recordings_are_transformed():
    with pytest.raises(DataError, match="Events"):
        MergePolarity()(np.zeros(3))
    with pytest.raises(DataError, match="EVENT"):
        MergePolarity()(Events.of(np.zeros(3, [("x", "u2"), ("t", "i8")]), (9, 9)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EventCrop(x=-1),
        lambda: EventCrop(start_us=5, stop_us=5),
        lambda: EventCrop(width=2.0),
        lambda: EventCrop(x=5, width=5).outline(made([])),
        lambda: EventCrop(y=9).outline(made([])),
        lambda: EventDownsample(0),
        lambda: EventDownsample(threshold=0),
        lambda: EventDownsample(width=3),
        lambda: EventDownsample(width=10, height=1).outline(made([])),
        lambda: EventTimeDownsample(0),
        lambda: EventTimeDownsample(once=1),
        lambda: RefractoryFilter(-1),
        lambda: RefractoryFilter(1.5),
        lambda: RefractoryFilter(per_polarity="yes"),
        lambda: BackgroundFilter(0),
        lambda: BackgroundFilter(neighbours=6),
        lambda: HotPixels(-1),
        lambda: HotPixels(float("nan")),
        lambda: RefractoryFilter((1 << 62) + 1),
        lambda: EventCrop(width=70_000),
        lambda: HotPixels(quantile=1.1),
        lambda: DropEvents(1),
        lambda: DropEvents(-0.1),
        lambda: TimeJitter(0),
        lambda: TimeJitter(1e9),
        lambda: TimeJitter(1e9, most_us=5),
        lambda: TimeJitter(400_000),
        lambda: TimeJitter(most_us=-1),
        lambda: EventFlip(x=1.1),
        lambda: EventJitter(0),
        lambda: EventNoise(-1),
        lambda: EventRandomCrop(width=10).outline(made([])),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(UsageError, match=r"got .*expected|got .*\d"):
        wrong()


def test_a_stream_takes_the_memory_of_a_few_pieces():
    """16 MB of events, in pieces of 256 KiB, through a filter, jitter and the encoder."""
    rng, size = np.random.default_rng(0), 1 << 14

    class Stream:
        def __iter__(self):
            for n in range(64):
                piece = np.zeros(size, EVENT)
                piece["x"], piece["y"] = rng.integers(0, 34, (2, size))
                piece["t"] = np.sort(rng.integers(n * 1000, n * 1000 + 1000, size))
                yield piece

    stream, encoder = Events(Stream(), (34, 34), duration=64_000), DVS(bin_us=500)
    encoder.encode(TimeJitter(10)(RefractoryFilter(100)(stream), rng=KEY))  # compiles
    tracemalloc.start()
    train = encoder.encode(TimeJitter(10)(RefractoryFilter(100)(stream), rng=KEY))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert train.steps == 128
    assert peak < 16 * size * EVENT.itemsize


# ---------------------------------------------------------------- checks


@pytest.fixture
def examined(monkeypatch):
    """Numbers of events that the checking kernel has looked at, one for each call."""
    counts, kernel = [], event_checks._first_wrong

    def counting(events, *arguments):
        counts.append(len(events))
        return kernel(events, *arguments)

    monkeypatch.setattr(event_checks, "_first_wrong", counting)
    return counts


@pytest.mark.parametrize("stream", [False, True])
def test_each_event_is_checked_once(examined, stream):
    """Ahead of the first transform, however many follow and however often the recording is walked; then never again."""
    events = made([(n % 9, n // 9 % 9, 10 * n) for n in range(500)])
    if stream:
        events = replace(events, pieces=[events.array[:200], events.array[200:]])
    signal = events
    for transform in (MergePolarity(), HotPixels(quantile=1.0), TimeJitter(10), RefractoryFilter(0)):
        signal = transform(signal, rng=KEY)
        assert signal.checked
    DVS().encode(signal)
    list(DVS().encode_parts(signal, [(0, 40), (40, 81)]))
    assert sum(examined) == 500
    examined.clear()
    DVS().encode(MergePolarity()(replace(events, checked=True)))
    assert examined == []


@dataclass(frozen=True)
class Broken(EventTransform):
    """A plugin's transform: `fault` says what is wrong with it."""

    name: ClassVar[str] = "broken"
    fault: str = ""

    def walk(self, events, rng):
        for piece in events.pieces:
            out = piece.copy()
            if self.fault == "place":
                out["x"] = 60_000
            elif self.fault == "order":
                out = out[::-1].copy()
            elif self.fault == "raises":
                raise ZeroDivisionError("no reason")
            elif self.fault == "dtype":
                out = np.zeros(3)
            elif self.fault == "list":
                out = [1, 2]
            yield out


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "place",
            "the result of broken: got event 0 at x 60000, y 1; expected x below 9.*Correct the transform",
        ),
        ("order", "the result of broken: got event 1 at t 2"),
        ("raises", r"the transform broken raised ZeroDivisionError: no reason. Correct .*Broken"),
        ("dtype", "the result of broken: got a piece of dtype float64"),
        ("list", "the result of broken: got a piece of dtype .*list"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_result_of_a_plugin_is_checked_before_a_kernel_uses_it(fault, words, stream):
    events = made([(1, 1, n) for n in range(4)])
    if stream:
        events = replace(events, pieces=[events.array])
    assert len(Broken()(events).array) == 4
    with pytest.raises(SpikeprepError, match=words):
        BackgroundFilter()(Broken(fault)(events)).array  # noqa: B018
