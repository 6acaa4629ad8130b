"""Videos in files: animations, folders of frames, their times, and what is refused."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeprep.data import Events, Video
from spikeprep.encoding.raw_files import RawFiles, StoredEncoding
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError
from spikeprep.random import SampleKey
from spikeprep.recipes import load_recipe
from spikeprep.sources import video_files, videos
from spikeprep.sources.gif_blocks import count_frames
from spikeprep.sources.images import ImageFolder
from spikeprep.sources.videos import VideoFolder
from spikeprep.store import SpikeStore
from spikeprep.transforms import VideoToEvents

from .sound_files import put
from .video_folders import animation, moving_bar, put_frames

Image = pytest.importorskip("PIL.Image")

BARS = moving_bar(0)


def source(path: Path, **settings) -> VideoFolder:
    return VideoFolder(path=str(path), test_share=0, **settings)


def one(tmp_path: Path, content: bytes, name: str = "v.gif", **settings) -> Video:
    put(tmp_path / "a" / name, content)
    opened = source(tmp_path, **settings)
    assert opened.splits() == {"train": 1}
    return opened.read("train", 0).signal


def refusal(path: Path, **settings) -> str:
    with pytest.raises(DataError) as caught:
        source(path, **settings).splits()
    return str(caught.value)


def one_refusal(tmp_path: Path, content: bytes, name: str = "v.gif", **settings) -> str:
    put(tmp_path / "a" / name, content)
    return refusal(tmp_path, **settings)


# ---------------------------------------------------------------- animations


@pytest.mark.parametrize(
    ("form", "name", "settings"),
    [
        ("GIF", "v.gif", {}),
        ("GIF", "v.gif", {"disposal": 1}),
        ("GIF", "v.gif", {"optimize": True, "loop": 0}),
        ("PNG", "v.png", {}),
        ("PNG", "v.apng", {"blend": 0}),
        ("WEBP", "v.webp", {"lossless": True}),
    ],
)
def test_frames_and_times_of_animations(tmp_path, form, name, settings):
    content = animation(BARS, form, duration=[40, 10, 100, 250, 40], **settings)
    video = one(tmp_path, content, name)
    assert (video.size, video.array.dtype) == ((7, 6), np.uint8)
    np.testing.assert_array_equal(video.array, BARS)
    assert video.times.tolist() == [0, 40_000, 50_000, 150_000, 400_000]
    assert video.duration == 440_000
    assert not source(tmp_path).provenance().get("findings")


def test_parts_of_frames_are_composed(tmp_path):
    """A GIF by hand: a grey ground, a square of 2 × 2 in its middle, and the square restored to what was before."""

    def frame(delay, disposal, left, top, width, height, level, transparent=None):
        control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (transparent is not None), delay,
                              transparent or 0, 0)  # fmt: skip
        # uncompressed codes of 3 bits: clear, the pixels with a clear after every two, end
        codes, bits, n = [4], 0, 0
        for k in range(width * height):
            codes += [4] if k and k % 2 == 0 else []
            codes.append(level)
        for code in [*codes, 5]:
            bits |= code << n
            n += 3
        data = bits.to_bytes(-(-n // 8), "little")
        return (
            control
            + struct.pack("<BHHHHBB", 0x2C, left, top, width, height, 0, 2)
            + bytes([len(data)])
            + data
            + b"\0"
        )

    palette = bytes([0] * 3 + [100] * 3 + [200] * 3 + [255] * 3)
    content = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80 | 1, 0, 0) + palette
    content += frame(5, 1, 0, 0, 4, 4, 1) + frame(7, 3, 1, 1, 2, 2, 2) + frame(9, 1, 0, 0, 1, 1, 3) + b";"
    video = one(tmp_path, content)
    ground = np.full((4, 4), 100, np.uint8)
    square = ground.copy()
    square[1:3, 1:3] = 200
    restored = ground.copy()
    restored[0, 0] = 255
    np.testing.assert_array_equal(video.array, [ground, square, restored])
    assert (video.times.tolist(), video.duration) == ([0, 50_000, 120_000], 210_000)
    assert count_frames(content) == 3
    assert count_frames(content[:-1]) is None


def test_frames_of_0_ms_are_shown_as_in_browsers(tmp_path):
    video = one(tmp_path, animation(BARS, duration=[0, 0, 30, 20, 0]))
    assert video.times.tolist() == [0, 100_000, 200_000, 230_000, 250_000]
    assert video.duration == 350_000
    assert "state no duration, shown for 100 ms as in browsers" in source(tmp_path).provenance()["note"]
    assert "note" not in source(tmp_path, rate=20).provenance()


def test_a_stated_rate_comes_first(tmp_path):
    video = one(tmp_path, animation(BARS, duration=40), rate=3)
    assert video.times.tolist() == [0, 333_333, 666_667, 1_000_000, 1_333_333]
    assert video.duration == 1_666_667


def test_the_default_image_of_an_apng_is_no_frame(tmp_path):
    content = animation([np.full((6, 7), 9, np.uint8), *BARS], "PNG", default_image=True, duration=20)
    video = one(tmp_path, content, "v.png")
    np.testing.assert_array_equal(video.array, BARS)
    assert video.duration == 100_000


def test_pages_of_tiff_have_no_durations(tmp_path):
    video = one(tmp_path, animation(BARS, "TIFF"), "v.tif")
    np.testing.assert_array_equal(video.array, BARS)
    assert video.times.tolist() == [0, 33_333, 66_667, 100_000, 133_333]
    assert "30 frames per second" in source(tmp_path).provenance()["note"]


def test_16_bits_are_scaled(tmp_path):
    deep = [Image.fromarray(BARS[k].astype(np.uint16) * 257) for k in range(3)]
    video = one(tmp_path, animation(deep, "TIFF"), "v.tif")
    np.testing.assert_array_equal(video.array, BARS[:3])


def test_colours_become_grey_levels(tmp_path):
    colours = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue", "white")]
    video = one(tmp_path, animation(colours, "PNG"), "v.png")
    assert video.array[:, 0, 0].tolist() == [76, 150, 29, 255]  # ITU-R 601-2
    assert "1 of 1 videos is in colour" in source(tmp_path).provenance()["note"]


def test_frames_are_resized(tmp_path):
    video = one(tmp_path, animation(BARS), size=[3, 14])
    expected = [Image.fromarray(f).resize((14, 3), Image.Resampling.BILINEAR) for f in BARS]
    np.testing.assert_array_equal(video.array, [np.asarray(f) for f in expected])
    assert video.size == (14, 3)


def test_transparency(tmp_path):
    clear = [Image.new("RGBA", (4, 4), (200, 200, 200, 255 if n else 0)) for n in range(3)]
    content = animation(clear, "PNG", disposal=1, blend=0)
    text = one_refusal(tmp_path, content, "v.png")
    assert re.search(r"a/v.png is transparent.* source.alpha=white or source.alpha=black", text)
    for alpha, level in (("white", 255), ("black", 0), ("ignore", 200)):
        video = source(tmp_path, alpha=alpha).read("train", 0).signal
        assert video.array[:, 0, 0].tolist() == [level, 200, 200]


# ---------------------------------------------------------------- folders of frames


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    frames = moving_bar(0, 12)
    put_frames(tmp_path / "a" / "clip", frames, "img_{}_grey.png")
    opened = source(tmp_path, rate=100)
    sample = opened.read("train", 0)
    assert (sample.id, opened.classes) == ("a/clip", ("a",))
    np.testing.assert_array_equal(sample.signal.array, frames)
    assert (sample.signal.times[1], sample.signal.duration) == (10_000, 120_000)
    assert "findings" not in opened.provenance()


def test_folders_are_taken_as_30_frames_per_second(tmp_path):
    put_frames(tmp_path / "a" / "clip", BARS)
    opened = source(tmp_path)
    assert opened.read("train", 0).signal.duration == 166_667
    assert "1 of 1 videos is of pictures without durations" in opened.provenance()["note"]


def test_missing_numbers_are_reported(tmp_path):
    put_frames(tmp_path / "a" / "clip", BARS, numbers=[3, 4, 6, 9, 10])
    put_frames(tmp_path / "a" / "tenth", BARS, "{:04}.png", numbers=[0, 10, 20, 30, 40])  # equally far apart
    (finding,) = source(tmp_path).provenance()["findings"][:1]
    assert finding == "frames taken as consecutive: a/clip lacks 3 of its numbers, such as 5"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.png", "title.png", "2.png"], "a/clip has title.png, which has no number"),
        (["left_1.png", "left_2.png", "right_1.png"], "a/clip has frames of several names, left_1.png, right_1.png"),
        (["1.png", "01.png"], "a/clip has two frames of one number"),
        (["1.png", "1.bmp"], "a/clip has two frames of one number"),
        (["7.png"], "a/clip has one frame (expected at least 2"),
    ],
)  # fmt: skip
def test_names_without_an_order(tmp_path, names, message):
    for n, name in enumerate(names):
        put_frames(tmp_path / "a" / "clip", BARS[n : n + 1], name)
    assert message in refusal(tmp_path)


def test_other_files_beside_frames(tmp_path):
    folder = put_frames(tmp_path / "a" / "clip", BARS)
    (folder / "times.txt").write_text("0\n1\n")
    (folder / ".DS_Store").write_bytes(b"x")
    opened = source(tmp_path)
    assert opened.splits() == {"train": 1}
    assert "left out: one of the files in a" in str(opened.provenance()["findings"])


def test_an_animation_among_frames(tmp_path):
    folder = put_frames(tmp_path / "a" / "clip", BARS)
    (folder / "5.png").write_bytes(animation(BARS, "PNG"))
    text = refusal(tmp_path)
    assert "a/clip has 5.png, which has several frames" in text
    assert "directly into the folder of the class" in text


def test_frames_of_unlike_sizes(tmp_path):
    folder = put_frames(tmp_path / "a" / "clip", BARS)
    put_frames(folder, BARS[:1, :4], "5.png")
    assert "has frames of 6 × 7 pixels, and frame 6 of 4 × 7 pixels" in refusal(tmp_path)
    assert "source.size=[6,7]" in refusal(tmp_path)
    assert source(tmp_path, size=[5, 5]).read("train", 0).signal.size == (5, 5)


def test_a_damaged_frame_is_named(tmp_path):
    folder = put_frames(tmp_path / "a" / "clip", BARS)
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:40])
    assert "a/clip has 3.png, which is no image" in refusal(tmp_path)


def test_classes_whose_videos_have_one_name(tmp_path):
    for label in ("run", "walk"):
        for clip in ("clip1", "clip2"):
            put_frames(tmp_path / label / clip, BARS + np.uint8(len(label) + len(clip)))
    opened = source(tmp_path)
    assert opened.classes == ("run", "walk")
    assert opened.splits() == {"train": 4}


def test_splits_tables_and_groups(tmp_path):
    for split, n in (("train", 3), ("test", 2)):
        for label in ("run", "walk"):
            for k in range(n):
                put_frames(tmp_path / "data" / split / label / f"anna_{k}", moving_bar(k + len(label)))
    assert source(tmp_path / "data").splits() == {"train": 6, "test": 4}
    table = tmp_path / "videos.csv"
    put(tmp_path / "b.gif", animation(BARS))
    lines = ["path,label,split,group", "data/train/run/anna_0,run,train,anna", "b.gif,walk,test,bob"]
    table.write_text("\n".join(lines) + "\n")
    opened = source(table)
    assert opened.splits() == {"train": 1, "test": 1}
    np.testing.assert_array_equal(opened.read("test", 0).signal.array, BARS)
    np.testing.assert_array_equal(opened.read("train", 0).signal.array, moving_bar(3))
    assert [opened.group(split, 0) for split in ("train", "test")] == [0, 1]


# ---------------------------------------------------------------- what is refused


def test_one_frame(tmp_path):
    text = one_refusal(tmp_path, animation(BARS[:1]))
    assert "a/v.gif has one frame (expected at least 2: events are changes)" in text
    assert "mnist-events" in text
    put(tmp_path / "a" / "w.gif", animation(BARS))
    opened = source(tmp_path, skip_bad=True)
    assert opened.splits() == {"train": 1}
    assert opened.provenance()["left_out"] == [
        "a/v.gif has one frame (expected at least 2: events are changes)"
    ]
    put(tmp_path / "a" / "x.png", animation(BARS[:1], "PNG"))
    Image.fromarray(BARS[0]).save(tmp_path / "a" / "y.jpg")
    assert all(f"a/{name} has one frame" in refusal(tmp_path) for name in ("v.gif", "x.png", "y.jpg"))


def test_videos_of_unlike_sizes(tmp_path):
    for n in range(3):
        put(tmp_path / "a" / f"{n}.gif", animation(moving_bar(n)))
    put(tmp_path / "a" / "wide.gif", animation(moving_bar(0, columns=9)))
    assert "a/wide.gif has 6 × 9 pixels, not 6 × 7 pixels" in refusal(tmp_path)
    assert "source.size=[6,7]" in refusal(tmp_path)


def test_films_are_refused_with_the_way_to_their_frames(tmp_path):
    put(tmp_path / "a" / "v.mp4", b"\0\0\0\x18ftypisom" + bytes(100))
    put(tmp_path / "a" / "w.avi", b"RIFF\x64\0\0\0AVI LIST" + bytes(100))
    text = refusal(tmp_path)
    assert "a/v.mp4 is an MPEG-4 video" in text
    assert "a/w.avi is an AVI video" in text
    assert "ffmpeg -i IN FOLDER/%06d.png" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"GIF89a", "is no image"),
        (b"hello, this is text", "is a text file"),
        (bytes(range(100, 200)), "is no image"),
        (animation(BARS)[:150], "a/v.gif"),
        (animation(BARS)[:-1], "is truncated or damaged: it ends early"),
        (animation(BARS, "WEBP", lossless=True)[:-10], "a/v.gif"),
    ],
)  # fmt: skip
def test_damaged_files(tmp_path, content, message):
    assert message in one_refusal(tmp_path, content)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_no_cut_is_taken_for_a_shorter_video(tmp_path, form):
    content = animation(BARS, form, **({"lossless": True} if form == "WEBP" else {}))
    for size in range(20, len(content) - 1, 7):
        put(tmp_path / "a" / "v.gif", content[:size])
        opened = source(tmp_path)
        try:
            opened.splits()
        except DataError:
            continue
        np.testing.assert_array_equal(opened.read("train", 0).signal.array, BARS)


def test_large_frames_are_refused_before_they_are_decoded(tmp_path):
    content = bytearray(animation(BARS))
    content[6:10] = struct.pack("<HH", 9_400, 9_400)
    assert "source.max_bytes=" in one_refusal(tmp_path, bytes(content))


def test_videos_that_expand_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spikeprep.input_files.SMALL", 1 << 16)
    still = np.zeros((60, 200, 200), np.uint8)
    still[::2, 0, 0] = 255
    content = animation(still)
    text = one_refusal(tmp_path, content, max_ratio=20)
    assert "expands to" in text
    assert "source.max_ratio=" in text
    assert one(tmp_path, content, max_ratio=100_000).array.shape == (60, 200, 200)


def test_black_videos_are_refused(tmp_path):
    dark = np.zeros((3, 6, 7), np.uint8)
    dark[1] = 1
    for n in range(3):
        put_frames(tmp_path / "a" / f"{n}", dark)
    assert "have no pixel above 1, where 255 is white" in refusal(tmp_path)
    assert source(tmp_path, white=1).read("train", 0).signal.array.max() == 255


def test_still_videos_are_reported(tmp_path):
    put_frames(tmp_path / "a" / "clip", np.full((3, 6, 7), 90, np.uint8))
    put_frames(tmp_path / "a" / "other", BARS)
    findings = str(source(tmp_path).provenance()["findings"])
    assert "videos whose frames are all alike, which give no events: a/clip" in findings


def test_images_name_the_recipe_for_animations(tmp_path):
    put(tmp_path / "a" / "v.gif", animation(BARS))
    with pytest.raises(DataError, match=r"has several frames .* encode it with the recipe video"):
        ImageFolder(path=str(tmp_path)).splits()


def test_an_empty_class_and_an_empty_folder(tmp_path):
    put(tmp_path / "a" / "v.gif", animation(BARS))
    (tmp_path / "b").mkdir()
    assert "b has no videos" in refusal(tmp_path)
    (tmp_path / "c").mkdir()
    assert "c has no class folders" in refusal(tmp_path / "c")


# ---------------------------------------------------------------- memory, other processes, whole chains


def test_large_videos_are_decoded_piece_by_piece(tmp_path, monkeypatch):
    frames = moving_bar(0, 30)
    put(tmp_path / "a" / "v.gif", animation(frames, duration=20))
    put_frames(tmp_path / "b" / "clip", frames)
    small = source(tmp_path)
    kept = {small.read("train", n).id: small.read("train", n).signal for n in range(2)}
    monkeypatch.setattr(videos, "_IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(video_files, "_PIECE_BYTES", 300)
    large = source(tmp_path)
    for n in range(2):
        sample = large.read("train", n)
        assert not isinstance(sample.signal.pieces, tuple)
        assert [len(piece) for piece in sample.signal.pieces] == [7, 7, 7, 7, 2]
        np.testing.assert_array_equal(sample.signal.array, frames)
        events, expected = VideoToEvents()(sample.signal), VideoToEvents()(kept[sample.id])
        assert isinstance(events, Events)
        np.testing.assert_array_equal(events.array, expected.array)
    put(tmp_path / "a" / "v.gif", animation(frames[::-1], duration=20))
    put_frames(tmp_path / "b" / "clip", frames[::-1])
    for n in range(2):
        with pytest.raises(DataError, match="has changed while it was read"):
            list(large.read("train", n).signal.pieces)


def test_the_recipe_encodes_what_the_transform_gives(tmp_path):
    for n in range(5):
        put(tmp_path / "data" / "left" / f"{n}.gif", animation(moving_bar(n), duration=20))
        put_frames(tmp_path / "data" / "right" / f"{n}", moving_bar(n, 7)[::-1])
    recipe = load_recipe("video")
    encode(recipe, tmp_path / "s.zarr", source_path=tmp_path / "data")
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert store.attributes["unit_shape"] == [2, 6, 7]
    chain, opened = recipe.build_chain(), recipe.open_source(tmp_path / "data")
    for n in range(len(store["train"])):
        sample = opened.read("train", n)
        expected = chain.encode(sample.signal, rng=SampleKey(0, "train", n))
        assert store["train"].ids[n] == sample.id
        np.testing.assert_array_equal(
            store["train"].packed([n]).bits[0][:, : expected.bits.shape[1]], expected.bits
        )
        assert expected.bits.any()


def test_single_files_and_folders_are_predicted(tmp_path):
    put(tmp_path / "new" / "v.gif", animation(BARS, duration=20))
    put_frames(tmp_path / "new" / "clip", moving_bar(3))
    recipe = load_recipe("video")
    config = recipe.build_source().to_config()
    chain = recipe.build_chain().to_config()
    files = RawFiles(StoredEncoding("s.zarr", chain, 0, (2, 6, 7), 0.005, config), "test")
    assert files.listed(tmp_path / "new") == [tmp_path / "new" / "clip", tmp_path / "new" / "v.gif"]
    assert files.listed(tmp_path / "new" / "clip") == [tmp_path / "new" / "clip"]
    for path, frames in ((tmp_path / "new" / "v.gif", BARS), (tmp_path / "new" / "clip", moving_bar(3))):
        (signal,) = files.signals(path)
        np.testing.assert_array_equal(signal.array, frames)
        ((name, train),) = files.encode(path, [signal], 4)
        assert name == str(path)
        assert train.bits.any()
    put(tmp_path / "new" / "one.gif", animation(BARS[:1]))
    with pytest.raises(DataError, match="has one frame"):
        files.signals(tmp_path / "new" / "one.gif")


def test_the_digest_of_a_folder_depends_on_its_frames(tmp_path):
    put_frames(tmp_path / "a" / "clip", BARS)
    before = source(tmp_path).provenance()["sha256"]
    assert source(tmp_path).provenance()["sha256"] == before
    put_frames(tmp_path / "a" / "clip", BARS[::-1])
    assert source(tmp_path).provenance()["sha256"] != before


def test_repeated_videos_are_reported(tmp_path):
    for name in ("x", "y"):
        put_frames(tmp_path / "a" / name, BARS)
    assert "repeats the bytes of files of their class" in str(source(tmp_path).provenance()["findings"])


def test_settings_are_kept_by_copies(tmp_path):
    put_frames(tmp_path / "a" / "clip", BARS)
    other = replace(source(tmp_path, rate=10), size=(2, 2))
    assert other.read("train", 0).signal.duration == 500_000


def test_a_webp_of_one_frame(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(BARS[0]).save(stream, "WEBP")
    assert "has one frame" in one_refusal(tmp_path, stream.getvalue(), "v.webp")
