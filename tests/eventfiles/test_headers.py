"""Headers: what they state, and how damaged or old ones and those of unknown cameras are read."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.eventfiles import ChangedEvents, Changes, outline, read
from spikeprep.eventfiles.cameras import camera_in
from spikeprep.eventfiles.prophesee import header_of, sensor_of

from . import writing
from .test_formats import FORMS, recording
from .writing import events_of

SOME = events_of([3, 4, 5], [1, 2, 3], [1000, 2000, 3000], [1, 0, 1])


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("% evt 2.0\n% geometry 320x240\n% end\n", (320, 240)),
        ("% format EVT2;height=480;width=641\n% end\n", (641, 480)),
        ("% evt 2.0\n% Width 304\n% Height 240\n", (304, 240)),
        ("% evt 2.0\n% plugin_name hal_plugin_gen3_fx3\n% system_ID 21\n", (640, 480)),
        ("% evt 2.0\n% plugin_name hal_plugin_gen31_evk2\n", (640, 480)),
        ("% evt 2.0\n% plugin_name hal_plugin_imx636_evk4\n", (1280, 720)),
        ("% evt 2.0\n% generation 4.1\n", (1280, 720)),
        ("% evt 2.0\n% camera_integration_name GenX320\n", (320, 320)),
    ],
)
def test_prophesee_sensor_sizes(tmp_path, header, size):
    path = tmp_path / "a.raw"
    path.write_bytes(writing.evt2_bytes(SOME, header))
    assert read(path).size == size
    assert read(path, size=(700, 700)).size == (700, 700)
    assert read(path).start == 1000


def test_an_unknown_sensor(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(writing.evt2_bytes(SOME, "% evt 2.0\n% date 2020-09-14 09:03:25\n"))
    for look in (read, outline):
        with pytest.raises(
            DataError, match=r"does not state the size of its sensor.*Give size=\(width, height\)"
        ):
            look(path)
    assert read(path, size=(10, 10)).size == (10, 10)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "% evt 5.0\n",
            "begins with '% evt 5.0.*; expected Prophesee EVT2 .raw or .*Fetch it again, or convert",
        ),
        ("% evt 2.0\n% endianness big\n", "is big-endian"),
        (
            "% date 2020\n",
            "does not tell its format; .*Pass format='evt2' or format='evt21' or format='evt3' or format='evt4'",
        ),
    ],
)
def test_other_prophesee_encodings(tmp_path, header, message):
    path = tmp_path / "a.raw"
    path.write_bytes(writing.evt2_bytes(SOME, header))
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("evt2", writing.evt2_bytes),
        ("evt21", writing.evt21_bytes),
        ("evt3", writing.evt3_bytes),
        ("evt4", writing.evt4_bytes),
    ],
)
def test_a_header_without_an_encoding_is_read_in_the_named_one(tmp_path, form, write):
    path = tmp_path / "a.raw"
    path.write_bytes(write(SOME, "% date 2018-05-24 17:43:43\n% firmware_version 3.0.0\n% system_ID 21\n"))
    events = read(path, format=form)
    assert events.size == (640, 480)
    np.testing.assert_array_equal(events.array, events_of([3, 4, 5], [1, 2, 3], [0, 1000, 2000], [1, 0, 1]))


def test_the_words_of_evt21_tell_which_half_is_first(tmp_path):
    path = tmp_path / "a.raw"
    legacy = "% evt 2.1\n% format EVT21;endianness=legacy;height=320;width=320\n"
    for upper_first, header in ((False, legacy), (True, legacy.replace(";endianness=legacy", ""))):
        raw = writing.evt21_bytes(SOME, header, upper_first)
        path.write_bytes(raw)
        assert read(path).array.tolist() == [(3, 1, 0, 1), (4, 2, 1000, 0), (5, 3, 2000, 1)]


def test_a_word_of_evt21_holds_events_of_32_pixels(tmp_path):
    path = tmp_path / "a.raw"
    words = [0x8000_0002 << 32, 1 << 60 | 5 << 54 | 64 << 43 | 7 << 32 | 0x8000_0005]
    path.write_bytes(b"% evt 2.1\n% geometry 99x9\n" + np.array(words, "<u8").tobytes())
    events = read(path)
    assert (events.start, events.array.tolist()) == (133, [(64, 7, 0, 1), (66, 7, 0, 1), (95, 7, 0, 1)])


def test_words_of_evt4_as_the_makers_decoder_reads_them(tmp_path):
    """As OpenEB's own tests: a mask before the first TIME_HIGH, which looks like one, is none."""
    path = tmp_path / "a.raw"

    def cd(kind: int, x: int, y: int, t: int) -> int:
        return kind << 28 | t << 22 | x << 11 | y

    words = [cd(0xA, 3, 2, 1), cd(0xC, 9, 8, 7), 0xE0000011, cd(0xD, 12, 11, 10), 0x22]
    words += [0xE0000003, cd(0xA, 5, 4, 1), 0xFFFFFFFF, cd(0xC, 5, 4, 2), 1 << 7 | 1 << 3 | 1]
    words += [cd(0xD, 10, 6, 2), 1 << 14 | 1 << 10 | 1 << 4, cd(0xB, 7, 6, 2)]
    path.write_bytes(b"% evt 4.0\n% geometry 99x9\n" + np.array(words, "<u4").tobytes())
    with pytest.warns(ChangedEvents, match="8 events left out before the first word that sets the time"):
        events = read(path)
    assert events.start == (3 << 6) + 1
    assert events.array.tolist() == [
        (5, 4, 0, 0), *((x, 4, 1, 0) for x in (5, 8, 12)), *((x, 6, 1, 1) for x in (14, 20, 24)), (7, 6, 1, 1),
    ]  # fmt: skip
    path.write_bytes(path.read_bytes() + np.array([cd(0xC, 1, 1, 3)], "<u4").tobytes())
    with pytest.raises(DataError, match="the vector at byte 78 has no mask"):
        read(path)


def test_a_header_ends_before_words_that_begin_with_a_percent_sign():
    fields, length = header_of(b"% evt 3.0\n% a b c\n%\x20\x81\x82\n")
    assert (fields, length) == ({"evt": "3.0", "a": "b c"}, 18)
    fields, length = header_of(b"% evt 3.0\n% end\n% not a line\n")
    assert (fields, length) == ({"evt": "3.0", "end": ""}, 16)
    assert sensor_of({}) is None


@pytest.mark.parametrize("form", ["evt2", "evt3"])
def test_events_before_the_first_time_word_are_left_out_and_counted(tmp_path, form):
    path = tmp_path / "a.raw"
    if form == "evt2":
        raw = (
            b"% evt 2.0\n% geometry 9x9\n% end\n"
            + np.array([0x10000801, 0x00001002, 0x80000001, 0x10000803], "<u4").tobytes()
        )
        t = 64
    else:
        words = [0x6005, 0x0003, 0x2804, 0x3004, 0x4003, 0x8001, 0x2806]
        raw, t = b"% evt 3.0\n% geometry 9x9\n% end\n" + np.array(words, "<u2").tobytes(), 4096
    path.write_bytes(raw)
    changes: list[Changes] = []
    events = read(path, report=changes.append)
    assert events.start == t
    assert len(events.array) == 1
    assert changes[0].undated == (2 if form == "evt2" else 3)
    with pytest.warns(ChangedEvents, match="left out before the first word that sets the time"):
        read(path)


def test_a_new_time_high_sets_the_lower_bits_to_0_and_the_same_one_does_not(tmp_path):
    path = tmp_path / "a.raw"
    words = [0x0001, 0x8001, 0x6005, 0x2001, 0x8001, 0x2002, 0x8002, 0x2003]
    path.write_bytes(b"% evt 3.0\n% geometry 9x9\n% end\n" + np.array(words, "<u2").tobytes())
    assert read(path).array["t"].tolist() == [0, 0, 4096 - 5]


# ---------------------------------------------------------------- jAER and cAER


@pytest.mark.parametrize(
    ("text", "camera"),
    [
        ("eu.seebetter.ini.chips.davis.DAVIS240C", "DAVIS240"),
        ("eu.seebetter.ini.chips.davis.Davis346blue", "DAVIS346"),
        ("eu.seebetter.ini.chips.sbret10.SBret10", "DAVIS240"),
        ("ch.unizh.ini.jaer.chip.retina.DVS128", "DVS128"),
        ("ch.unizh.ini.jaer.chip.retina.DVS640", "DVS640"),
        ("ch.unizh.ini.jaer.chip.cochlea.CochleaAMS1c", ""),
        ("", ""),
    ],
)
def test_camera_names_of_headers(text, camera):
    assert camera_in(text) == camera


def test_a_camera_is_given_where_the_header_has_none(tmp_path):
    path = tmp_path / "a.aedat"
    whole = writing.aedat2_bytes(SOME)
    path.write_bytes(whole.replace(b"# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n", b""))
    with pytest.raises(DataError, match=r"names no camera; expected one of DVS128, .*Pass camera=NAME"):
        read(path)
    events = read(path, camera="DAVIS346")
    assert events.size == (346, 260)
    assert events.array["x"].tolist() == [3, 4, 5]
    with pytest.raises(UsageError, match=r"got aedat2\.camera = 'DAVIS345'; expected .*DAVIS346"):
        read(path, camera="DAVIS345")


@pytest.mark.parametrize(
    "changes",
    [
        [(b"\r\n", b"\n")],  # as tools write it that read and write lines of text
        [(b"#!AER-DAT2.0", b"#!AER-DAT2.1")],
        [(b"# a comment", "# User name: Jürgen".encode("latin-1"))],
        [(b"#End Of ASCII Header\r\n", b"")],
        [(b"#End Of ASCII Header\r\n", b""), (b"\r\n", b"\n")],
    ],
)
def test_headers_of_other_tools(tmp_path, changes):
    path = tmp_path / "a.aedat"
    raw = writing.aedat2_bytes(SOME)
    header, events = raw[:-24], raw[-24:]
    for old, new in changes:
        assert old in header
        header = header.replace(old, new)
    path.write_bytes(header + events)
    assert read(path).array.tolist() == [(3, 1, 0, 1), (4, 2, 1000, 0), (5, 3, 2000, 1)]


def test_addresses_of_another_camera_are_refused(tmp_path):
    path = tmp_path / "v2e.aedat"
    x, y, p = np.array([639, 5, 300, 7]), np.array([479, 0, 200, 3]), np.array([1, 0, 0, 1])
    pairs = np.stack([y << 11 | x << 1 | p, [10, 20, 30, 40]], axis=1).astype(">u4")
    path.write_bytes(b"#!AER-DAT2.0\r\n# created by AEDat2Output in v2e\r\n" + pairs.tobytes())
    events = read(path, camera="DVS640")
    assert events.size == (640, 480)
    assert events.array.tolist() == [(639, 479, 0, 1), (5, 0, 10, 0), (300, 200, 20, 0), (7, 3, 30, 1)]
    for camera in ("DAVIS640", "DAVIS346"):
        with pytest.raises(
            DataError, match=r"bits that DAVIS\d+ does not use, in 3 of 3 .*Pass camera=NAME.*DVS640"
        ):
            read(path, camera=camera)


def test_words_of_frames_and_special_events_are_ignored(tmp_path):
    path = tmp_path / "a.aedat"
    whole = bytearray(writing.aedat2_bytes(SOME))
    for bits in (0x80000000, 0x400, 0x80000C00):
        whole += np.array([bits | 7 << 12, 2500], ">u4").tobytes()
    path.write_bytes(bytes(whole))
    assert read(path).array["t"].tolist() == [0, 1000, 2000]


def test_a_first_event_may_begin_with_the_byte_of_a_comment(tmp_path):
    davis = events_of([0x120, 0x121], [0x8C, 0x8D], [10, 20], [1, 0])  # 0x23…: the byte '#'
    raw = writing.aedat2_bytes(davis).replace(b"#End Of ASCII Header\r\n", b"")
    assert raw[-16:-15] == b"#"
    path = tmp_path / "a.aedat"
    path.write_bytes(raw)
    assert read(path, size=(300, 180)).array["x"].tolist() == [0x120, 0x121]


@pytest.mark.parametrize(
    ("cut", "message"),
    [(b"#!END-HEADER\r\n", "has no header of AEDAT 3.1"), (b"#Format: RAW\r\n", "")],
)
def test_a_header_of_aedat3(tmp_path, cut, message):
    path = tmp_path / "a.aedat"
    path.write_bytes(writing.aedat3_bytes(SOME).replace(cut, b""))
    if message:
        with pytest.raises(DataError, match=message):
            read(path)
    else:
        assert len(read(path).array) == 3


def test_compressed_aedat3_is_refused(tmp_path):
    path = tmp_path / "a.aedat"
    path.write_bytes(writing.aedat3_bytes(SOME).replace(b"Format: RAW", b"Format: SerializedTS"))
    with pytest.raises(DataError, match="is compressed: Format SerializedTS"):
        read(path)


def test_aedat3_of_an_unknown_camera(tmp_path):
    path = tmp_path / "a.aedat"
    path.write_bytes(writing.aedat3_bytes(SOME, source="FILE"))
    with pytest.raises(DataError, match="does not state the size"):
        read(path)
    assert read(path, size=(128, 128)).size == (128, 128)


# ---------------------------------------------------------------- .dat and .es


def test_dat_states_its_sensor_or_has_the_old_one(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(writing.dat_bytes(SOME, header="% Height 720\n% Width 1280\n"))
    assert read(path).size == (1280, 720)
    path.write_bytes(writing.dat_bytes(SOME))
    assert read(path).size == (304, 240)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Version 2", b"Version 3", "has version 3; expected 1 or 2"),
        (bytes([12, 8]), bytes([14, 16]), r"type and size \(14, 16\)"),
    ],
)
def test_another_kind_of_dat(tmp_path, old, new, message):
    path = tmp_path / "a.dat"
    path.write_bytes(writing.dat_bytes(SOME).replace(old, new))
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_clock_of_32_bits_is_unwrapped(tmp_path):
    events = recording(FORMS["dat 2"], 100)
    events["t"] += 2**32 - 100
    for form in ("dat 2", "aedat2 DAVIS"):
        path = FORMS[form].put(tmp_path, events)
        got = read(path, size=(304, 240))
        np.testing.assert_array_equal(got.array["t"], events["t"] - events["t"][0])
        assert got.start == events["t"][0] == 2**32 - 100
    stored = read(FORMS["dat 2"].put(tmp_path, events), origin="stored")
    np.testing.assert_array_equal(stored.array["t"], events["t"])


def test_an_invalid_polarity_is_named(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(writing.dat_bytes(events_of([1, 2], [3, 4], [5, 6], [1, 9])))
    with pytest.raises(
        DataError, match=r"event 1 at byte \d+: has polarity 9; expected 0 \(OFF\) or 1 \(ON\)"
    ):
        read(path)
    with pytest.warns(ChangedEvents):
        assert read(path, invalid="clip").array["p"].tolist() == [1, 1]
    with pytest.warns(ChangedEvents):
        assert read(path, invalid="drop").array["t"].tolist() == [5]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"Event Stream\x01\x00\x00\x01\x10\x00\x10\x00", "has version 1.0.0; expected 2"),
        (b"Event Stream\x02\x00\x00\x02\x10\x00\x10\x00", "holds ATIS events"),
        (b"Event Stream\x02\x00\x00\x01\x10", "is truncated: 17 bytes"),
        (b"Event Stream\x02\x00", "is truncated: 14 bytes"),
    ],
)
def test_another_kind_of_es(tmp_path, header, message):
    path = tmp_path / "a.es"
    path.write_bytes(header)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_reset_in_es_takes_no_time(tmp_path):
    path = tmp_path / "a.es"
    raw = writing.es_bytes(SOME)
    path.write_bytes(raw[:20] + b"\xfe\xfe" + raw[20:])
    assert read(path).array["t"].tolist() == [1000, 2000, 3000]


@pytest.mark.parametrize(("name", "height"), [("aedat2 DAVIS", 180), ("es", 240)])
def test_y_from_the_bottom_is_flipped(tmp_path, name, height):
    path = FORMS[name].put(tmp_path, SOME)
    assert read(path).array["y"].tolist() == [1, 2, 3]
    assert read(path, flip_y=True).array["y"].tolist() == [height - 2, height - 3, height - 4]
    assert outline(path, flip_y=True).array["y"].tolist() == [height - 4]
    invalid = SOME.copy()
    invalid["y"][1] = height
    path = FORMS[name].put(tmp_path, invalid)
    with pytest.raises(DataError, match=f"y {height} lies off"):
        read(path, flip_y=True)
    with pytest.warns(ChangedEvents):
        assert read(path, flip_y=True, invalid="drop").array["y"].tolist() == [height - 2, height - 4]
