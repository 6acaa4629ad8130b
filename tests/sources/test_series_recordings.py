"""EDF, EDF+, BDF and WFDB: files that the libraries themselves have written."""

from dataclasses import replace

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources.series import SeriesSource

RNG = np.random.default_rng(11)
# of wfdb 4.3, of pandas' coming versions
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
EEG = np.round(RNG.normal(0, 40, (2, 1000)), 1)  # µV, 10 s at 100 Hz
SLOW = np.linspace(-5, 5, 10)  # 1 Hz
STAGES = [(0, 2, "Sleep stage W"), (2, 4, "Sleep stage 1"), (6, 2, "Sleep stage W"), (8, 30, "Sleep stage 2")]


def source_of(path, **settings):
    return SeriesSource(path=str(path), **settings)


def samples(source):
    """Return id → (split, values, name of the class, group, rate)."""
    return {
        s.id: (split, s.signal.values, source.classes[s.label], source.group(split, n), s.signal.rate)
        for split, size in source.splits().items()
        for n, s in ((n, source.read(split, n)) for n in range(size))
    }


# ------------------------------------------------------------ EDF


def edf(
    path, values=EEG, annotations=(), slow=None, unit="uV", kind="edf", labels=("EEG Fpz-Cz", "EEG Pz-Oz")
):
    edfio = pytest.importorskip("edfio")
    path.parent.mkdir(parents=True, exist_ok=True)
    signal, file = (edfio.EdfSignal, edfio.Edf) if kind == "edf" else (edfio.BdfSignal, edfio.Bdf)
    signals = [
        signal(one, 100, label=label, physical_dimension=unit, physical_range=(-300, 300))
        for one, label in zip(values, labels, strict=True)
    ]
    if slow is not None:
        signals.append(
            signal(slow, 1, label="Temp rectal", physical_dimension="degC", physical_range=(-10, 10))
        )
    notes = [edfio.EdfAnnotation(start, duration, text) for start, duration, text in annotations]
    file(signals, annotations=notes or None).write(path)
    return path


@pytest.mark.parametrize(("kind", "step"), [("edf", 600 / 65535), ("bdf", 600 / (2**24 - 1))])
def test_a_file_per_series_in_physical_units(tmp_path, kind, step):
    edf(tmp_path / f"awake/a.{kind}", kind=kind)
    edf(tmp_path / f"asleep/b.{kind}", -EEG, kind=kind)
    found = samples(source_of(tmp_path, test_share=0))
    np.testing.assert_allclose(found[f"awake/a.{kind}"][1], EEG.T, atol=step / 2 * 1.001)
    assert found[f"awake/a.{kind}"][4] == 100
    chosen = samples(source_of(tmp_path, test_share=0, channels=("EEG Pz-Oz",), window=250))
    assert len(chosen) == 8
    np.testing.assert_array_equal(
        chosen[f"asleep/b.{kind}@250-500"][1], found[f"asleep/b.{kind}"][1][250:500, 1:]
    )
    with pytest.raises(
        DataError, match=r"has no channel 'Pz' .expected one; it has the channels EEG Fpz-Cz, EEG Pz-Oz"
    ):
        source_of(tmp_path, channels=("Pz",)).splits()


def test_channels_of_several_rates(tmp_path):
    edf(tmp_path / "x/a.edf", slow=SLOW)
    edf(tmp_path / "y/b.edf", slow=SLOW)
    words = r"of 100 Hz \(EEG Fpz-Cz, EEG Pz-Oz\) and of 1 Hz \(Temp rectal\).*source\.channels=\[.*mixed_rates=linear"
    with pytest.raises(DataError, match=words):
        source_of(tmp_path).splits()
    assert samples(source_of(tmp_path, channels=(0, 1), test_share=0))["x/a.edf"][1].shape == (1000, 2)
    slow = samples(source_of(tmp_path, channels=("Temp rectal",), test_share=0))["x/a.edf"]
    assert slow[4] == 1
    linear = samples(source_of(tmp_path, mixed_rates="linear", test_share=0))["x/a.edf"]
    assert linear[4] == 100
    np.testing.assert_array_equal(linear[1][::100, 2], slow[1][:, 0])
    np.testing.assert_allclose(linear[1][50, 2], slow[1][:2, 0].mean())
    np.testing.assert_array_equal(linear[1][900:, 2], slow[1][9, 0])


def test_files_that_do_not_go_with_the_others(tmp_path):
    for n, label in enumerate("xxy"):
        edf(tmp_path / f"{label}/{n}.edf")
    edf(tmp_path / "y/turned.edf", EEG[::-1], labels=("EEG Pz-Oz", "EEG Fpz-Cz"))
    with pytest.raises(
        DataError, match=r"y/turned\.edf has the channels EEG Pz-Oz, EEG Fpz-Cz, not EEG Fpz-Cz, EEG Pz-Oz"
    ):
        source_of(tmp_path).splits()
    found = samples(source_of(tmp_path, channels=("EEG Pz-Oz", "EEG Fpz-Cz"), test_share=0))
    np.testing.assert_array_equal(found["y/turned.edf"][1], found["x/0.edf"][1])
    edf(tmp_path / "y/turned.edf", EEG / 10, unit="mV")
    with pytest.raises(DataError, match=r"y/turned\.edf is in mV, mV, and most others in uV, uV"):
        source_of(tmp_path).splits()


def header(content, at, text):
    return content[:at] + text.encode().ljust(8)[:8] + content[at + 8 :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c[:-10], r"has 4,7\d\d bytes, and its header states 10 records \(expected 4,7\d\d bytes"),
        (lambda c: c + b"\0\0", "its header states 10 records"),
        (lambda c: header(c, 236, "-1"), "its header states no number of records"),
        (lambda c: header(c, 244, "0"), "states data records of 0 s: its signals have no rate"),
        (lambda c: header(c, 244, "-1"), "states data records of -1 s"),
        (lambda c: header(c, 192, "EDF+D   "), r"is discontinuous \(EDF\+D\): it may have gaps"),
        (lambda c: header(c, 252, "9999"), "damaged header"),
        (lambda c: header(c, 252, "x"), "damaged header"),
        (lambda c: c[:100], "by its first bytes"),
        (lambda c: b"text" + c[4:], "by its first bytes"),
        (
            lambda c: header(c, 256 + 2 * 104 + 8, "-300"),
            r"EEG Pz-Oz: values .* to .* are stored as .*calibrated|uncal",
        ),
    ],
)
def test_edf_files_that_are_wrong(tmp_path, change, words):
    path = edf(tmp_path / "x/a.edf")
    content = change(path.read_bytes())
    if words.startswith("EEG"):  # the same physical value at both ends
        begin = 256 + 2 * (16 + 80 + 8)
        least = content[begin + 8 : begin + 16]
        content = content[: begin + 24] + least + content[begin + 32 :]
    path.write_bytes(content)
    edf(tmp_path / "y/b.edf")
    with pytest.raises(DataError, match=words):
        source_of(tmp_path).splits()
    if words.startswith("EEG"):
        assert source_of(tmp_path, channels=("EEG Fpz-Cz",), test_share=0).splits()["train"] == 2


# ------------------------------------------------------------ annotations of EDF+


def test_annotated_intervals_are_samples(tmp_path):
    edf(tmp_path / "n1.edf", annotations=STAGES)
    edf(tmp_path / "n2.edf", -EEG, annotations=STAGES)
    stages = ("Sleep stage W", "Sleep stage 1", "Sleep stage 2")
    source = source_of(tmp_path, annotations=stages, window=100, test_groups=("n2",))
    found = samples(source)
    assert dict(source.splits()) == {"train": 10, "test": 10}  # 200 + 400 + 200 + 200 steps
    assert source.classes == ("Sleep stage 1", "Sleep stage 2", "Sleep stage W")
    whole = np.round(EEG.T, 9)
    for id_, (split, values, label, _, rate) in found.items():
        name, _, place = id_.partition("@")
        start, stop = map(int, place.split("-"))
        assert (split == "test", rate, stop - start) == (name == "n2.edf", 100, 100)
        np.testing.assert_allclose(values, whole[start:stop] * (-1 if name == "n2.edf" else 1), atol=0.005)
        assert label == next(text for at, long, text in STAGES if at * 100 <= start < (at + long) * 100)
    assert len({group for _, _, _, group, _ in found.values()}) == 2
    (finding,) = (text for text in source.provenance()["findings"] if "last longer" in text)
    assert finding.endswith(": 2")
    some = source_of(tmp_path, annotations=("Sleep stage W", "Sleep stage 1"))
    assert any("does not name: 'Sleep stage 2' (2)" in text for text in some.provenance()["findings"])
    assert {label for _, _, label, _, _ in samples(some).values()} == {"Sleep stage W", "Sleep stage 1"}
    with pytest.raises(DataError, match=r"no annotation 'Sleep stage X'.*such as 'Sleep stage W'"):
        source_of(tmp_path, annotations=("Sleep stage X",)).splits()


def test_annotations_in_files_of_their_own(tmp_path):
    edfio = pytest.importorskip("edfio")
    for night in ("SC4001", "SC4011"):
        edf(tmp_path / f"{night}E0-PSG.edf", EEG if night == "SC4001" else -EEG)
        notes = [edfio.EdfAnnotation(*stage) for stage in STAGES]
        edfio.Edf([], annotations=notes).write(tmp_path / f"{night}EC-Hypnogram.edf")
    source = source_of(tmp_path, annotations=("*",), group_pattern=r"SC4(\d\d)")
    found = samples(source)
    chosen = samples(source_of(tmp_path, annotations=("*",), channels=("EEG Pz-Oz",)))
    np.testing.assert_array_equal(
        chosen["SC4011E0-PSG.edf@200-600"][1], found["SC4011E0-PSG.edf@200-600"][1][:, 1:]
    )
    assert {id_.partition("@")[0] for id_ in found} == {"SC4001E0-PSG.edf", "SC4011E0-PSG.edf"}
    assert len(found) == 8
    np.testing.assert_allclose(found["SC4011E0-PSG.edf@200-600"][1], -EEG.T[200:600], atol=0.005)
    (tmp_path / "SC4011E0-PSG.edf").rename(tmp_path / "SC4001F0-PSG.edf")
    with pytest.raises(DataError, match=r"not clear of which recording|two files of annotations"):
        source_of(tmp_path, annotations=("*",)).splits()
    only = tmp_path / "c/x"
    only.mkdir(parents=True)
    (tmp_path / "SC4001EC-Hypnogram.edf").rename(only / "a.edf")
    with pytest.raises(DataError, match="has annotations, and no signals"):
        source_of(tmp_path / "c", test_share=0).splits()


def test_moments_need_a_time_around(tmp_path):
    edf(tmp_path / "a.edf", annotations=[(1, None, "blink"), (3.5, None, "blink"), (9.9, None, "blink")])
    with pytest.raises(UsageError, match=r"moments, such as 'blink' at 1 s of a\.edf.*source\.around"):
        source_of(tmp_path, annotations=("blink",)).splits()
    source = source_of(tmp_path / "a.edf", annotations=("blink",), around=(0.25, 0.5), test_share=0)
    found = samples(source)
    assert {*found} == {"a.edf@75-150", "a.edf@325-400"}
    assert any("reach beyond their recording: 1" in text for text in source.provenance()["findings"])
    with pytest.raises(UsageError, match="seconds before and after"):
        source_of(tmp_path, annotations=("blink",), around=(0.1,))


# ------------------------------------------------------------ WFDB

ECG = np.round(np.stack([np.sin(np.arange(2000) / 9), np.cos(np.arange(2000) / 7)], axis=1), 3)  # mV


def wfdb_record(folder, name, values=ECG, beats=(), rhythms=(), **settings):
    wfdb = pytest.importorskip("wfdb")
    folder.mkdir(parents=True, exist_ok=True)
    given = {"fmt": ["212", "212"], "adc_gain": [1000.0, 1000.0], "baseline": [0, 0], **settings}
    wfdb.wrsamp(name, 360, ["mV", "mV"], ["MLII", "V1"], p_signal=values, write_dir=str(folder), **given)
    marks = sorted([(at, symbol, "") for at, symbol in beats] + [(at, "+", note) for at, note in rhythms])
    if marks:
        at, symbols, notes = (list(column) for column in zip(*marks, strict=True))
        wfdb.wrann(name, "atr", np.array(at), symbols, aux_note=notes, write_dir=str(folder))
    return folder / f"{name}.hea"


def test_a_record_by_its_name_without_an_ending(tmp_path):
    wfdb_record(tmp_path / "mit", "100", beats=[(100, "N"), (200, "V")])
    settings = {"annotations": ("*",), "around": (0.1, 0.1), "test_share": 0}
    series = load_recipe("series")
    recipe = replace(series, source={**series.source, **settings})
    source = recipe.open_source(tmp_path / "mit/100")
    assert dict(source.splits()) == {"train": 2}
    named = samples(source_of(tmp_path / "mit/100", **settings))
    assert named.keys() == samples(source_of(tmp_path / "mit/100.hea", **settings)).keys()
    with pytest.raises(DataError, match=r'use source\.annotations=\["\*"\]'):
        source_of(tmp_path / "mit").splits()


def test_recordings_without_classes(tmp_path):
    edf(tmp_path / "a.edf", annotations=STAGES)
    for path in (tmp_path, tmp_path / "a.edf"):
        with pytest.raises(DataError, match=r'use source\.annotations=\["\*"\]'):
            source_of(path).splits()
    edf(tmp_path / "plain/a.edf")
    with pytest.raises(DataError) as caught:
        source_of(tmp_path / "plain").splits()
    assert "annotations" not in caught.value.hint


def test_records_in_folders_of_classes(tmp_path):
    for name, label, sign in (("a", "sinus", 1), ("b", "sinus", 1), ("c", "flutter", -1)):
        wfdb_record(tmp_path / label, name, sign * ECG)
    source = source_of(tmp_path, test_share=0, channels=("V1",))
    found = samples(source)
    assert {*found} == {"sinus/a.hea", "sinus/b.hea", "flutter/c.hea"}
    np.testing.assert_allclose(found["flutter/c.hea"][1], -ECG[:, 1:], atol=1e-9)
    assert found["sinus/a.hea"][4] == 360
    assert not any(".dat" in text for text in source.provenance().get("findings", []))


def test_beats_and_rhythms(tmp_path):
    beats = [(100, "N"), (500, "V"), (900, "N"), (1300, "~"), (1990, "N")]
    rhythms = [(50, "(N"), (700, "(AFIB")]
    for name in ("100", "101", "102"):
        wfdb_record(tmp_path, name, ECG * (2 if name == "101" else 1), beats, rhythms)
    source = source_of(tmp_path, annotations=("N", "V"), around=(0.1, 0.2), test_groups=(101,))
    found = samples(source)
    assert dict(source.splits()) == {"train": 6, "test": 3}
    np.testing.assert_allclose(found["101.hea@464-572"][1], 2 * ECG[464:572], atol=1e-9)
    assert found["101.hea@464-572"][2] == "V"
    assert any("'~' (3)" in text for text in source.provenance()["findings"])
    rhythm = samples(source_of(tmp_path, annotations=("(N", "(AFIB"), test_share=0))
    assert {id_: label for id_, (_, _, label, _, _) in rhythm.items() if id_.startswith("100")} == {
        "100.hea@50-700": "(N",
        "100.hea@700-2000": "(AFIB",
    }
    (tmp_path / "102.atr").unlink()
    with pytest.raises(DataError, match=r"102\.hea has no annotations 102\.atr beside it"):
        source_of(tmp_path, annotations=("N",), around=(0.1, 0.2)).splits()


def test_values_that_a_record_marks_as_invalid_are_missing(tmp_path):
    gaps = ECG.copy()
    gaps[10:13, 0] = np.nan
    wfdb_record(tmp_path / "x", "a", gaps)
    wfdb_record(tmp_path / "y", "b")
    with pytest.raises(DataError, match="lacks 3 of 4,000 values, the first at step 10 of channel 0"):
        source_of(tmp_path).splits()
    filled = samples(source_of(tmp_path, missing="linear", test_share=0))["x/a.hea"][1]
    np.testing.assert_allclose(filled[9:14, 0], np.linspace(ECG[9, 0], ECG[13, 0], 5), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda hea, dat: hea.write_text(hea.read_text().replace("a.dat", "../a.dat")),
            r"names the file \.\./a\.dat",
        ),
        (
            lambda hea, dat: hea.write_text(hea.read_text().replace("a.dat", "/etc/passwd")),
            "names the file /etc/passwd",
        ),
        (lambda hea, dat: hea.write_text(hea.read_text().replace("a 2", "a/3 2")), "several segments"),
        (lambda hea, dat: hea.write_text("a 2 360 2000\na.dat 212\n"), "states 2 signals, and has 1 lines"),
        (lambda hea, dat: hea.write_text("hello"), "no header of WFDB"),
        (lambda hea, dat: hea.write_text(hea.read_text().replace("2000", "999999999999")), "bytes of memory"),
        (lambda hea, dat: dat.unlink(), r"names a\.dat, which does not exist"),
        (lambda hea, dat: dat.write_bytes(dat.read_bytes()[:-900]), "cannot be read|checksum"),
        (lambda hea, dat: dat.write_bytes(dat.read_bytes()[:-3] + b"\1\2\3"), "have the checksum"),
    ],
)
def test_records_that_are_wrong(tmp_path, change, words):
    header = wfdb_record(tmp_path / "x", "a")
    wfdb_record(tmp_path / "y", "b")
    change(header, header.with_suffix(".dat"))
    with pytest.raises(DataError, match=words):
        source_of(tmp_path).splits()


def test_channels_without_a_gain_are_not_in_millivolts(tmp_path):
    header = wfdb_record(tmp_path / "x", "a")
    for name in "bc":
        wfdb_record(tmp_path / "y", name)
    header.write_text(header.read_text().replace("1000.0(0)/mV", "0"))
    with pytest.raises(
        DataError, match=r"is in mV \(uncalibrated\), mV \(uncalibrated\), and most others in mV, mV"
    ):
        source_of(tmp_path).splits()


# ------------------------------------------------------------ files alone


def test_a_file_alone(tmp_path):
    path = edf(tmp_path / "a.edf", annotations=STAGES)
    signals = source_of("", window=300, channels=(1,), annotations=("*",)).signals_of(path, "")
    assert [s.values.shape for s in signals] == [(300, 1)] * 3
    record = wfdb_record(tmp_path, "r")
    (signal,) = source_of("", annotations=("*",), around=(0.1, 0.1)).signals_of(record, "")
    np.testing.assert_allclose(signal.values, ECG, atol=1e-9)
