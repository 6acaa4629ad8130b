"""ROS 1 bags of events."""

from __future__ import annotations

import bz2
import struct
import sys

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, DataError
from spikeprep.eventfiles import Changes, outline, read, scan
from spikeprep.eventfiles.rosbag import DEFINITION, decode_message

from . import writing
from .writing import events_of

rosbag1 = pytest.importorskip("rosbags.rosbag1")
typesys = pytest.importorskip("rosbags.typesys")

SOME = events_of([3, 4, 5, 6], [1, 2, 3, 4], [0, 1000, 2000, 2500], [1, 0, 1, 1])
LATER = events_of([3, 4, 5, 6], [1, 2, 3, 4], 1_600_000_000_000_000 + SOME["t"], [1, 0, 1, 1])


def types():
    """The types of ROS, and those of dvs_msgs."""
    store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    event = "uint16 x\nuint16 y\ntime ts\nbool polarity\n"
    array = "Header header\nuint32 height\nuint32 width\nEvent[] events\n"
    for name, text in {"Event": event, "EventArray": array}.items():
        store.register(typesys.get_types_from_msg(text, f"dvs_msgs/msg/{name}"))
    return store


def test_a_message_as_ros_writes_it():
    store = types()
    assert store.generate_msgdef("dvs_msgs/msg/EventArray", ros_version=1)[1] == DEFINITION
    time, header = store.types["builtin_interfaces/msg/Time"], store.types["std_msgs/msg/Header"]
    event, array = store.types["dvs_msgs/msg/Event"], store.types["dvs_msgs/msg/EventArray"]
    rows = [(7, 250, 1_600_000_000, 999_999_999, True), (345, 0, 1_600_000_001, 1_999, False)]
    message = array(
        header(9, time(1_600_000_000, 5), "camera"), 260, 346,
        [event(x, y, time(s, ns), p) for x, y, s, ns, p in rows],
    )  # fmt: skip
    events, size = decode_message(bytes(store.serialize_ros1(message, "dvs_msgs/msg/EventArray")))
    assert size == (346, 260)
    assert events.tolist() == [(7, 250, 1_600_000_000_999_999, 1), (345, 0, 1_600_000_001_000_001, 0)]


def test_topics(tmp_path):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER, ("/left/events", "/right/events"), each=1)
    with pytest.raises(
        DataError,
        match=r"has events in /left/events, /right/events.*Pass topic='/left/events' or topic='/right/events'",
    ):
        read(path)
    with pytest.raises(
        DataError, match=r"no events in the topic '/left/event'.*Did you mean '/left/events'\?"
    ):
        read(path, topic="/left/event")
    events = read(path, topic="/right/events")
    assert events.start == LATER["t"][0]
    np.testing.assert_array_equal(events.array, SOME)
    np.testing.assert_array_equal(outline(path, topic="/left/events").array, SOME[-1:])


def test_several_writers_of_one_topic_are_joined(tmp_path):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER, ("/dvs/events", "/dvs/events"), each=4)
    changes: list[Changes] = []
    events = read(path, order="sort", report=changes.append)
    np.testing.assert_array_equal(events.array, np.repeat(SOME, 2))
    assert changes[0].sorted == 3


def test_other_packages_have_the_same_messages(tmp_path):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER, ("/prophesee/events",), (1280, 720), package="prophesee_event_msgs")
    assert read(path).size == (1280, 720)


@pytest.mark.parametrize("topics", [(), None])
def test_a_bag_without_events(tmp_path, topics):
    path = tmp_path / "a.bag"
    if topics is None:
        with rosbag1.Writer(path):
            pass
    else:
        writing.bag_file(path, LATER, topics)
    shown = "no topics" if topics is None else r"/log \(std_msgs/msg/String\)"
    with pytest.raises(DataError, match=f"has no topic of events: {shown}; expected messages like dvs_msgs"):
        read(path)


def test_a_topic_without_messages_is_a_recording_without_events(tmp_path):
    path = tmp_path / "a.bag"
    with rosbag1.Writer(path) as writer:
        writer.add_connection("/dvs/events", "dvs_msgs/msg/EventArray", typestore=types())
    with pytest.raises(DataError, match="does not state the size of its sensor"):
        read(path)
    with pytest.raises(DataError, match="no events"):
        read(path, size=(9, 9))


def test_a_camera_that_changes_is_refused(tmp_path):
    path = tmp_path / "a.bag"
    store = types()
    with rosbag1.Writer(path) as writer:
        topic = writer.add_connection("/dvs/events", "dvs_msgs/msg/EventArray", typestore=store)
        for n, width in enumerate((346, 640)):
            writer.write(topic, n, bytes(16) + struct.pack("<IIIHHIIB", 260, width, 1, 1, 1, 5, n * 1000, 1))
    with pytest.raises(
        DataError, match=r"message of 0\.000000 s is of a sensor of 640 × 260; expected 346 × 260"
    ):
        read(path)


@pytest.mark.parametrize("length", [20, 4000, -1])
def test_a_truncated_bag(tmp_path, length):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        DataError, match=r"a\.bag cannot be read .*expected a complete ROS bag.*rosbag reindex"
    ):
        read(path)


def test_another_version_is_named(tmp_path):
    path = tmp_path / "a.bag"
    path.write_bytes(b"#ROSBAG V1.2\n" + bytes(100))
    with pytest.raises(DataError, match=r"is a ROS bag of an old version.*rosbag fix"):
        read(path)


def test_a_part_that_expands_without_a_bound_is_refused(tmp_path):
    path = tmp_path / "a.bag"
    writer = rosbag1.Writer(path)
    writer.set_compression(writer.CompressionFormat.BZ2)
    writer.compressor = lambda _: bz2.compress(bytes(200 << 20))
    with writer:
        topic = writer.add_connection("/dvs/events", "dvs_msgs/msg/EventArray", typestore=types())
        writer.write(topic, 1, bytes(28))
    with pytest.raises(DataError, match=r"a part of it expands to .*expected at most 1,000 times"):
        read(path)


def test_without_rosbags(tmp_path, monkeypatch):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER)
    monkeypatch.setitem(sys.modules, "rosbags.rosbag1", None)
    with pytest.raises(CapabilityError, match=r"rosbags is not installed.*Install spikeprep\[ros\]"):
        read(path)


def test_a_bag_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "a.bag"
    writing.bag_file(path, LATER)
    scanned = scan(path)
    raw = bytearray(path.read_bytes())
    at = raw.index(struct.pack("<HH", 5, 3))
    raw[at] = 9
    path.write_bytes(raw)
    with pytest.raises(DataError, match="has changed while it was read"):
        scanned.read()
