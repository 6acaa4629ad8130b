"""Formats of sound files: what is read, what is truncated, what states no length or another scale."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile

from spikeprep.encoding.run import encode
from spikeprep.errors import DataError
from spikeprep.recipes import load_recipe
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.fsdd import Fsdd
from spikeprep.sources.sound_crc import crc16
from spikeprep.sources.sound_decoder import decode
from spikeprep.sources.ti46 import Ti46
from spikeprep.store import SpikeStore

from ..assets import asset
from .sound_files import put, spoken, wav

SOUND = spoken(1, 0, 3000, 8000) / 32768
PCM = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "NIST", "FLAC", "VOC"]
LOSSY = [
    ("OGG", "VORBIS", 0.02), ("OGG", "OPUS", 0.05), ("MP3", "MPEG_LAYER_III", 0.02), ("WAV", "ULAW", 0.02),
    ("WAV", "GSM610", 0.1), ("AU", "ALAW", 0.02), ("CAF", "ALAC_16", 0),
]  # fmt: skip
STREAMED = [0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFF000, 0x7FFFFFFF, 0x80000000]


def written(form, subtype="PCM_16", sound=SOUND, rate=8000, **settings):
    stream = io.BytesIO()
    soundfile.write(stream, sound, rate, format=form, subtype=subtype, **settings)
    return stream.getvalue()


def with_field(data, mark, offset, form, value):
    """Return data with a number written `offset` bytes after the first occurrence of `mark`."""
    changed = bytearray(data)
    struct.pack_into(form, changed, data.index(mark) + offset, value)
    return bytes(changed)


def samples(data, channel=-1, full_scale=1.0):
    return decode(data, channel, full_scale).samples


@pytest.mark.parametrize("form", PCM)
def test_formats_without_loss(form):
    sound, rate, kind = decode(written(form), -1, 1.0)
    np.testing.assert_array_equal(sound, SOUND)
    assert (rate, kind) == (8000, "16-bit")


@pytest.mark.parametrize(("form", "subtype", "most"), LOSSY)
def test_formats_with_loss(form, subtype, most):
    found = samples(written(form, subtype))
    assert len(found) == 3000
    assert np.abs(found - SOUND).max() <= most


def test_the_pad_byte_of_gsm_is_no_sound():
    data = written("WAV", "GSM610", np.tile(SOUND, 3)[:8000])
    assert len(data) % 2 == 0
    assert len(samples(data)) == 8000  # libsndfile: 8 320


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("W64", "GSM610")])
def test_the_padding_of_the_last_block_is_no_sound(form, subtype):
    whole = written(form, subtype)
    found = samples(with_field(whole, b"fact", 24 if form == "W64" else 8, "<I", 2990))
    np.testing.assert_array_equal(found, samples(whole)[:2990])
    with pytest.raises(
        DataError, match=r"states 1,000 samples in its chunk fact, but has 3,\d\d\d.*sox IN.wav"
    ):
        samples(with_field(whole, b"fact", 24 if form == "W64" else 8, "<I", 1000))


RATE, ALIGN, BITS, TAG, CHANNELS, BYTE_RATE = (
    (12, "<I"),
    (20, "<H"),
    (22, "<H"),
    (8, "<H"),
    (10, "<H"),
    (16, "<I"),
)


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "W64", "RIFX"])
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (RATE, 44_100, "16-bit sound in one channel of 44,100 Hz has a block align of 2 and a byte rate of 88,200, "
                       "but it states 2 and 16,000. state the true rate, for example: sox -r RATE IN.wav OUT.wav"),
        (BITS, 24, "24-bit sound in one channel of 8,000 Hz has a block align of 3 and a byte rate of 24,000, "
                   "but it states 2 and 16,000. "),
        (BITS, 8, "has a block align of 1 and a byte rate of 8,000, but it states 2 and 16,000. "),
        (CHANNELS, 2, "16-bit sound in 2 channels of 8,000 Hz has a block align of 4"),
        (ALIGN, 4, "has a block align of 2 and a byte rate of 16,000, but it states 4 and 16,000. "),
        (TAG, 6, "A-law sound in one channel of 8,000 Hz has a block align of 1 and a byte rate of 8,000"),
    ],
)  # fmt: skip
def test_wav_headers_that_contradict_themselves(form, field, value, words):
    if form == "WAVEX" and field is TAG:
        field = (32, "<H")
    offset, kind = field[0] + (16 if form == "W64" else 0), field[1]
    data = written("WAV", endian="BIG") if form == "RIFX" else written(form)
    with pytest.raises(DataError) as error:
        samples(with_field(data, b"fmt ", offset, kind.replace("<", ">" if form == "RIFX" else "<"), value))
    assert str(error.value).startswith("has a header that contradicts itself: ")
    assert words in str(error.value)
    if field is not RATE:
        start = len(data) - 6000 if form != "WAVEX" else data.index(b"data") + 8
        order, encoding = "-B" if form == "RIFX" else "-L", "ENCODING" if value == 6 else "signed"
        assert f"tail -c +{start + 1} IN | head -c 6000 | sox -t raw {order} -r RATE -e {encoding} " in str(
            error.value
        )


@pytest.mark.parametrize("field", [ALIGN, BYTE_RATE])
def test_fields_of_wav_headers_that_state_nothing(field):
    np.testing.assert_array_equal(samples(with_field(written("WAV"), b"fmt ", *field, 0)), SOUND)
    with pytest.raises(DataError, match="contradicts itself"):
        samples(with_field(with_field(written("WAV"), b"fmt ", *field, 0), b"fmt ", *BITS, 24))


def test_containers_that_are_larger_than_their_numbers():
    extensible = with_field(written("WAVEX", "PCM_32"), b"fmt ", 26, "<H", 24)  # 24 valid bits of 32
    np.testing.assert_array_equal(samples(extensible), SOUND)
    np.testing.assert_array_equal(
        samples(with_field(written("WAV"), b"fmt ", *BITS, 12)), SOUND
    )  # the upper 12 of 16
    in_four = with_field(with_field(written("WAV", "PCM_32"), b"fmt ", *BITS, 24), b"fmt ", *ALIGN, 4)
    with pytest.raises(DataError, match=r"24-bit sound .* block align of 3 and .* states 4 and 32,000"):
        samples(in_four)  # libsndfile reads numbers of 3 bytes


@pytest.mark.parametrize(("offset", "kind", "value", "size"), [(8, ">H", 2, 12_000), (14, ">H", 8, 3000)])
def test_aiff_headers_that_contradict_themselves(offset, kind, value, size):
    words = rf"contradicts itself: 3,000 samples .* take {size:,} bytes, but it states 6,000\. .*raw -B -r"
    with pytest.raises(DataError, match=words):
        samples(with_field(written("AIFF"), b"COMM", offset, kind, value))


@pytest.mark.parametrize("form", [*PCM[:-2], "VOC"])
@pytest.mark.parametrize("missing", [2, 2000])
def test_truncated_pcm(form, missing):
    with pytest.raises(DataError, match=r"is truncated: .* bytes of sound, the header states"):
        samples(written(form)[: -missing - (form == "VOC")])


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "GSM610"),
     ("CAF", "ALAC_16"), ("AIFF", "IMA_ADPCM")],
)  # fmt: skip
def test_truncated_files_of_other_formats(form, subtype):
    data = written(form, subtype)
    for stop in (-3, len(data) // 2):
        with pytest.raises(DataError, match="is truncated"):
            samples(data[:stop])


@pytest.mark.parametrize("size", STREAMED)
def test_wav_headers_of_streams(size):
    for order, data in (
        ("<", wav(spoken(1), 8000)),
        (">", written("WAV", endian="BIG", sound=spoken(1) / 32768)),
    ):
        streamed = with_field(data, b"data", 4, f"{order}I", size)
        for outer in (size, 36):  # of a header that was never finished, too
            np.testing.assert_array_equal(
                samples(with_field(streamed, b"RIF", 4, f"{order}I", outer)), spoken(1) / 32768
            )


def test_an_empty_sound_ahead_of_other_chunks():
    empty = b"WAVE" + wav(spoken(1))[12:36] + b"data" + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    with pytest.raises(DataError, match="has no samples"):
        samples(b"RIFF" + struct.pack("<I", len(empty)) + empty)


@pytest.mark.parametrize(
    ("form", "mark", "offset", "kind", "sizes"),
    [
        ("AIFF", b"SSND", 4, ">I", (0x7F000008, 0xFFFFFFFF, 0x7FFFFFFF)),
        ("CAF", b"data", 4, ">q", (-1,)),
        ("AU", b".snd", 8, ">I", (0xFFFFFFFF, 0)),
        ("W64", b"data\xf3", 16, "<Q", (2**64 - 1, 2**63 - 1, 24)),
        ("RF64", b"ds64", 16, "<Q", (2**64 - 1, 0)),
    ],
)
def test_other_headers_of_streams(form, mark, offset, kind, sizes, monkeypatch):
    for size in sizes:
        np.testing.assert_array_equal(samples(with_field(written(form), mark, offset, kind, size)), SOUND)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    np.testing.assert_array_equal(samples(with_field(written(form), mark, offset, kind, sizes[0])), SOUND)


def test_flac_without_a_length():
    data = bytearray(written("FLAC", sound=np.tile(SOUND, 3)))
    data[21] &= 0xF0  # the samples' number: 36 bits from here on
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(samples(bytes(data)), np.tile(SOUND, 3))
    with pytest.raises(DataError, match="is truncated or damaged"):
        samples(bytes(data[:-100]))


def variable_mp3():
    """A sound of 4 s whose first second is silent: frames of several sizes."""
    noise = np.random.default_rng(0).standard_normal(24_000) / 8
    return written("MP3", "MPEG_LAYER_III", np.concatenate([np.zeros(8000), noise]))


def test_mp3_that_does_not_state_its_length():
    data = variable_mp3()
    whole = samples(data)
    assert len(whole) == 32_000
    for changed in (with_field(data, b"Xing", 8, ">I", 0), with_field(data, b"Xing", 0, ">I", 0)):
        for tagged in (changed, b"ID3\3\0\0\0\0\0\5.....", changed + b"TAG" + bytes(125)):
            found = samples(tagged + changed if tagged[:3] == b"ID3" else tagged)
            assert 32_000 < len(found) < 34_000  # the encoder's delay and padding are no longer known
            delay = int(
                np.argmax([np.dot(whole[9000:9500], found[9000 + n : 9500 + n]) for n in range(2500)])
            )
            np.testing.assert_allclose(found[9000 + delay : 31_000 + delay], whole[9000:31_000], atol=1e-6)


def test_damaged_mp3():
    data = with_field(variable_mp3(), b"Xing", 8, ">I", 0)
    for changed, words in (
        (data + b"no tag", r"is damaged: 6 bytes after frame \d+ are no MP3"),
        (data[:-5], "its last frame has"),
        (b"ID3\3\0\0\0\0\0\5....." + b"text", "no frame of MP3 follows its tag"),
    ):
        with pytest.raises(DataError, match=words):
            samples(changed)


def test_mp3_with_damaged_frames():
    data = variable_mp3()
    middle = len(data) // 2
    for changed in (data, with_field(data, b"Xing", 8, ">I", 0)):  # which states a length, or does not
        frame = changed.index(data[:2], middle)
        for damage in (bytes(100), b"\xff\xfb\x90\x64" + bytes(96)):  # the latter: of another rate
            with pytest.raises(
                DataError, match=rf"no frame like the others follows frame \d+ at byte {frame:,}"
            ):
                samples(changed[:frame] + damage + changed[frame + 100 :])
    with pytest.raises(DataError, match="have another checksum than the first one states"):
        samples(data[: frame + 60] + bytes(20) + data[frame + 80 :])
    tag = data.index(b"LAME")  # files whose first frame was edited state no checksum
    assert (
        len(samples(with_field(data[: frame + 60] + bytes(20) + data[frame + 80 :], b"LAME", 34, ">H", 0)))
        == 32_000
    )
    assert crc16(b"123456789") == 0xBB3D
    assert crc16(data[: tag + 34]) == int.from_bytes(data[tag + 34 : tag + 36], "big")


def test_chained_ogg():
    with pytest.raises(DataError, match="holds 2 streams of Ogg"):
        samples(written("OGG", "VORBIS") * 2)
    assert len(samples(written("OGG", "VORBIS") + bytes(50))) == 3000
    with pytest.raises(DataError, match="no page of Ogg"):
        samples(written("OGG", "VORBIS") + b"more")


def id3v2(content=b""):
    return b"ID3\3\0\0\0\0\0" + bytes([len(content)]) + content


TAGS = {
    "ID3v1": b"TAG" + b"x" * 125,
    "ID3v2": id3v2(b"name" * 20),
    "APE": b"APETAGEX" + struct.pack("<IIII8x", 2000, 300, 0, 1 << 31) + b"x" * 300,
    "zeros": bytes(5000),
    "0xFF": b"\xff" * 5000,
}


@pytest.mark.parametrize("form", [*PCM, "MP3"])
def test_two_files_in_one_are_refused(form):
    data = written(form, "MPEG_LAYER_III" if form == "MP3" else "PCM_16")
    with pytest.raises(DataError, match="holds more than one"):
        samples(data * 2)
    with pytest.raises(DataError, match=r"holds more than one|bytes behind the sound"):
        samples(data + TAGS["ID3v1"] + data)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("form", [*PCM, "MP3"])
def test_tags_and_padding_behind_a_sound(form, tag):
    if form == "MP3" and tag != "0xFF":
        data = with_field(variable_mp3(), b"Xing", 8, ">I", 0)
        assert (
            len(samples(data))
            == len(samples(data + TAGS[tag]))
            == len(samples(data + TAGS[tag] + TAGS["ID3v1"]))
        )
    elif form != "MP3":
        np.testing.assert_array_equal(samples(written(form) + TAGS[tag]), SOUND)


@pytest.mark.parametrize(("form", "header"), [("WAV", "<"), ("RF64", "<"), ("AIFF", ">")])
def test_chunks_behind_a_sound(form, header):
    chunks = b"".join(
        struct.pack(f"{header}4sI", kind, 501) + bytes(range(250)) * 2 + b"x\0" for kind in (b"abcd", b"LIST")
    )
    np.testing.assert_array_equal(samples(written(form) + chunks), SOUND)
    np.testing.assert_array_equal(
        samples(written(form) + chunks[:-300] if form != "AIFF" else written(form)), SOUND
    )
    with pytest.raises(DataError, match=r"more than one|bytes behind the sound"):
        samples(written(form) + chunks + written("AU")[24:])


@pytest.mark.parametrize(
    ("form", "mark", "offset", "kind", "size"),
    [("WAV", b"data", 4, "<I", 3000), ("RF64", b"ds64", 16, "<Q", 3000), ("W64", b"data\xf3", 16, "<Q", 3024),
     ("AIFF", b"SSND", 4, ">I", 3008), ("CAF", b"data", 4, ">q", 3004), ("AU", b".snd", 8, ">I", 3000)],
)  # fmt: skip
def test_headers_that_state_less_than_there_is(form, mark, offset, kind, size):
    data = with_field(written(form), mark, offset, kind, size)
    with pytest.raises(
        DataError, match=r"has 3,0\d\d bytes behind the sound and the chunks.*ffmpeg -ignore_length 1"
    ):
        samples(data)
    cut = data[: data.index(mark) + 3100]
    if form == "AIFF":
        with pytest.raises(
            DataError, match=r"3,000 samples of 16 bits .* take 6,000 bytes, but it states 3,000"
        ):
            samples(cut)
        return
    assert 1490 <= len(samples(cut)) <= 1540


def test_numbers_of_fewer_bits_in_large_ones(tmp_path):
    quiet, tiny = written("WAV", "PCM_24", SOUND / 256), written("WAV", "PCM_32", SOUND / 65536)
    loud = written("WAV", "PCM_24", SOUND)

    def found(*contents):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for n, data in enumerate(contents):
            put(folder / "ab"[n % 2] / f"{n}.wav", data)
        findings = AudioFiles(path=str(folder), test_share=0).provenance().get("findings", [])
        return [text for text in findings if "the bytes of files" not in text]  # the files are the same

    assert found(*[loud, loud, loud, quiet] * 2) == []
    peak = np.abs(SOUND).max()
    (text,) = found(*[quiet] * 6)
    assert text.startswith(f"the sounds have no sample above {peak / 256:.2g} of full scale, such as ")
    assert text.endswith("of 8 bits less, make them 256 times louder, for example: sox -v 256 IN.wav OUT.wav")
    (text,) = found(*[tiny, loud] * 3)
    assert text.startswith("the 32-bit sounds have no sample")
    assert "unlike the others" in text
    assert "sox -v 65536 IN.wav" in text
    (text,) = found(written("WAV"), quiet, written("WAV"))
    assert text.startswith("the 24-bit sounds have no sample")
    (text,) = found(*[quiet, loud] * 3)
    assert text.startswith("the sounds of class a have no sample")


# ---------------------------------------------------------------- scale and channels


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "AIFF", "CAF"])
def test_sounds_on_another_scale(form, subtype):
    numbers = np.round(32768 * SOUND)
    data = written(form, subtype, numbers)
    with pytest.raises(DataError, match=r"holds floating-point samples from .* use source\.full_scale=32768"):
        samples(data)
    np.testing.assert_array_equal(samples(data, full_scale=32768), SOUND)
    with pytest.raises(DataError, match=r"full_scale=32768"):  # quiet, and whole numbers
        samples(written(form, subtype, np.clip(numbers, -3, 3)))
    with pytest.raises(DataError, match="are in ±1, not in ±32768"):
        samples(written(form, subtype, SOUND), full_scale=32768)
    with pytest.raises(DataError, match=r"far beyond source\.full_scale = 128"):
        samples(data, full_scale=128)
    np.testing.assert_allclose(samples(written(form, subtype, 8 * SOUND)), 8 * SOUND, atol=1e-6)  # overshoots
    np.testing.assert_array_equal(samples(written("WAV", "PCM_16"), full_scale=32768), SOUND)


def test_the_average_of_channels(tmp_path):
    both = np.stack([spoken(0), spoken(2)], axis=1)
    put(tmp_path / "a/x.wav", wav(both))
    source = AudioFiles(path=str(tmp_path), channel="mean", test_share=0)
    np.testing.assert_array_equal(source.read("train", 0).signal.samples, both.mean(axis=1) / 32768)
    with pytest.raises(DataError, match=r"has 2 channels\. .*source\.channel=0, .*source\.channel=mean"):
        AudioFiles(path=str(tmp_path), test_share=0).splits()


def test_channels_that_cancel_each_other():
    for other in (-SOUND, -0.95 * SOUND):
        data = written("WAV", "PCM_16", np.stack([SOUND, other], axis=1))
        with pytest.raises(DataError, match=r"channels that cancel each other: .*use source\.channel=0"):
            samples(data, "mean")
        np.testing.assert_array_equal(samples(data, 0), SOUND)
    one = np.stack(
        [SOUND, *[np.zeros(3000)] * 31], axis=1
    )  # a sound in one of many channels is none of these
    np.testing.assert_allclose(samples(written("WAV", "PCM_16", one), "mean"), SOUND / 32, atol=1e-12)


def test_mono_files_beside_stereo_ones(tmp_path):
    both = np.stack([spoken(0), spoken(2)], axis=1)
    put(tmp_path / "a/stereo.wav", wav(both))
    put(tmp_path / "a/mono.wav", wav(spoken(1)))
    with pytest.raises(
        DataError, match=r"a/mono\.wav is mono, and has no channel 1\. .*source\.channel=mean; or take"
    ):
        AudioFiles(path=str(tmp_path), test_share=0, channel=1).splits()
    for channel, expected in (("mean", both.mean(axis=1)), (0, both[:, 0])):
        source = AudioFiles(path=str(tmp_path), test_share=0, channel=channel)
        found = {(sample := source.read("train", n)).id: sample.signal.samples for n in range(2)}
        np.testing.assert_array_equal(found["a/stereo.wav"], expected / 32768)
        np.testing.assert_array_equal(found["a/mono.wav"], spoken(1) / 32768)


def test_a_rate_of_0():
    with pytest.raises(DataError, match=r"has a rate of 0 Hz, or no channels.*sox -r RATE"):
        samples(wav(spoken(1), 0))


# ---------------------------------------------------------------- names


def test_every_ending_that_is_read(tmp_path):
    formats = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "oga": ("OGG", "VORBIS")}
    for ending in ("au", "snd", "caf", "w64", "aifc", "nist", "voc", "rf64", *formats):
        form = {"snd": "AU", "aifc": "AIFF"}.get(ending, ending.upper())
        put(tmp_path / "a" / f"1.{ending}", written(*formats.get(ending, (form,))))
    put(tmp_path / "a" / "notes.txt", b"not a sound")
    assert AudioFiles(path=str(tmp_path), test_share=0).splits() == {"train": 11}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("1.m4a", b"\0\0\0\x20ftypM4A ", "is MPEG-4 audio, which libsndfile does not read.*ffmpeg"),
        ("1.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "is Windows Media audio"),
        ("1.aac", b"\xff\xf1\x50\x80\x02\x1f\xfc", "is AAC"),
        ("1.amr", b"#!AMR\n", "is AMR"),
        ("1.raw", b"\1\0\2\0", "is no audio.*sox -t raw"),
        ("1.wav", b"\0\0\0\x20ftypM4A ", "is MPEG-4 audio"),
    ],
)
def test_sounds_that_cannot_be_read_are_named(tmp_path, name, data, words):
    for n in range(2):
        put(tmp_path / "a" / f"{n}.wav", wav(spoken(n), 8000))
    put(tmp_path / "a" / name.replace("1.wav", "3.wav"), data)
    with pytest.raises(DataError, match=words):
        AudioFiles(path=str(tmp_path), test_share=0).splits()
    source = AudioFiles(path=str(tmp_path), test_share=0, skip_bad=True)
    assert source.splits() == {"train": 2}
    assert "left out: a/" in source.provenance()["findings"][0]


def test_sounds_of_another_rate_than_their_corpus(tmp_path):
    for digit in range(3):
        put(tmp_path / f"{digit}_theo_7.wav", wav(spoken(digit), 16_000 if digit == 1 else 8000))
    with pytest.raises(DataError, match=r"1_theo_7\.wav has 16000 Hz, not 8000"):
        Fsdd(path=str(tmp_path)).splits()
    assert Fsdd(path=str(tmp_path), rate=12_500).provenance()["findings"] == [
        "of another rate than the corpus' 8,000 Hz, and resampled: 1 of 3 sounds, such as 1_theo_7.wav of 16,000 Hz"
    ]


def test_corpora_in_other_formats(tmp_path):
    for digit in range(2):
        put(tmp_path / f"fsdd/{digit}_theo_7.flac", written("FLAC"))
    assert Fsdd(path=str(tmp_path / "fsdd")).splits() == {"train": 2}
    put(tmp_path / "ti46/0af1set0.flac", written("FLAC", rate=12500))
    assert Ti46(path=str(tmp_path / "ti46")).splits() == {"train": 1}


# ---------------------------------------------------------------- the collection of cases


@pytest.mark.parametrize(
    ("case", "number", "length"),
    [
        ("all_mp3", 4, 8000),
        ("ext_mp3", 7, 8000),
        ("flac_unknown", 5, 8000),
        ("sox_pipe", 5, 8000),
        ("st_gsm", 5, 8000),
    ],
)
def test_cases_that_are_read(case, number, length):
    source = AudioFiles(path=str(asset(f"cases/images_and_sound/aud_{case}")), test_share=0)
    assert source.splits() == {"train": number}
    for n in range(number):
        sound = source.read("train", n).signal.samples
        assert len(sound) == length
        assert 0.25 < np.abs(sound).max() < 0.4


def test_cases_that_are_refused():
    with pytest.raises(
        DataError, match=r"lo/s\.aiff is truncated: 7,973 bytes of sound, the header states 16,000"
    ):
        AudioFiles(path=str(asset("cases/images_and_sound/aud_aiff_trunc"))).splits()
    path = str(asset("cases/images_and_sound/aud_f32_int16scale"))
    with pytest.raises(DataError, match=r"lo/s\.wav holds floating-point samples.*full_scale=32768"):
        AudioFiles(path=path).splits()
    source = AudioFiles(path=path, full_scale=32768, test_share=0)
    for n in range(source.splits()["train"]):
        assert 0.25 < np.abs(source.read("train", n).signal.samples).max() < 0.4


# ---------------------------------------------------------------- lengths and names, from file to store


def sounds(root, *lengths):
    for n, length in enumerate(lengths):
        put(root / "a" / f"{n}.wav", wav(spoken(1, n, length), 8000))
    return load_recipe("audio").override(
        {"source.rate": 0, "source.test_share": 0, "lyon.decimation": 128, "lyon.precision": "float32"}
    )


def test_sounds_without_a_time_step(tmp_path):
    recipe = sounds(tmp_path / "data", 900, 1, 127, 128)
    with pytest.raises(DataError) as error:
        encode(recipe, tmp_path / "s.zarr", source_path=tmp_path / "data")
    assert "2 samples have no time step, being too short: a/" in str(error.value)
    assert "use fix_length.seconds=1" in error.value.hint
    assert not (tmp_path / "s.zarr").exists()
    fixed = recipe.override({"fix_length.seconds": 0.1})
    encode(fixed, tmp_path / "s.zarr", source_path=tmp_path / "data")
    assert SpikeStore.open(tmp_path / "s.zarr")["train"].steps.tolist() == [60] * 4  # 6 frames, held 10 steps
    sounds(tmp_path / "short", 1, 5)
    with pytest.raises(DataError, match="no sample has a time step"):
        encode(recipe, tmp_path / "t.zarr", source_path=tmp_path / "short")
