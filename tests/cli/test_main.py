"""The group: help, near misses, exit codes, interruptions; shown on commands made up here."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import types
import warnings

import click
import pytest
from spikeprep_cli import main as shell
from spikeprep_cli.main import COMMANDS
from spikeprep_cli.options import emit_json, json_option

import spikeprep
from spikeprep.errors import CapabilityError, DataError, RunError, StoreError, UsageError
from spikeprep.interruption import Interrupted

# command → what the documentation promises of its options and arguments
PROMISED = {
    "list": ["[encoders|transforms|recipes|sources|formats|layers|rules|devices|settings]", "[NAME]", "--json"],
    "recipe": ["NAME", "--json"],
    "encode": ["RECIPE", "--out", "--source", "--encoder", "--seed", "--set", "--limit", "--workers", "--overwrite",
               "--dry-run", "--repair", "--scheduler", "--download"],
    "train": ["STORE", "--arch", "--rule", "--epochs", "--batch", "--device", "--seed", "--run", "--resume", "--recipe",
              "--set", "--limit", "--json"],
    "evaluate": ["RUN", "STORE", "--split", "--json"],
    "export": ["RUN|STORE", "--to", "--out", "--store", "--split", "--samples", "--check", "--dt", "--url",
               "--overwrite", "--json"],
    "convert": ["RECORDING…", "--out", "--to", "--format", "--size", "--invalid", "--set", "--overwrite", "--resume",
                "--json"],
    "predict": ["RUN", "FILE…", "--split", "--store", "--device", "--csv", "--json"],
    "inspect": ["STORE|RUN", "--json"],
    "verify": ["STORE", "--json"],
    "tune": ["RECIPE|STORE", "--source", "--set", "--search", "--samples", "--seed", "--json"],
    "plot": ["STORE|RUN", "--out", "--kind", "--source", "--theme"],
    "doctor": ["--json"],
}  # fmt: skip


@pytest.fixture
def acting(monkeypatch):
    """Make `spikeprep act` do what a test says."""

    def act(does, option=lambda command: command) -> None:
        module = types.ModuleType("spikeprep_cli.act")
        module.command = option(
            click.Command("act", callback=does, params=[click.Option(["--speed"], type=int)])
        )
        monkeypatch.setitem(sys.modules, "spikeprep_cli.act", module)
        monkeypatch.setitem(COMMANDS, "act", ".act")

    return act


def raises(error):
    def does(**_):
        raise error

    return does


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_what_the_documentation_promises(spikeprep, name):
    done = spikeprep(name, "--help")
    assert done.exit_code == 0
    assert name in PROMISED, "a new command: say what it promises"
    text = "".join(done.stdout.split())  # lines may break anywhere
    for word in PROMISED[name]:
        assert word in text


def test_the_group_lists_every_command_with_a_line(spikeprep):
    done = spikeprep("--help")
    assert done.exit_code == 0
    lines = {
        line.split()[0]: line.split(None, 1) for line in done.stdout.splitlines() if line.startswith("  ")
    }
    for name in COMMANDS:
        assert len(lines[name]) == 2, f"{name} has no help"


def test_version(spikeprep):
    import spikeprep as library

    assert spikeprep("-V").stdout == spikeprep("--version").stdout == f"spikeprep {library.__version__}\n"


def test_no_command_shows_the_help_and_is_a_usage_error(spikeprep):
    done = spikeprep()
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: spikeprep" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["encoed"], ["No such command 'encoed'", "Did you mean 'encode'?", "spikeprep --help"]),
        (["xyzzy"], ["No such command 'xyzzy'", "Known:", "encode"]),
        (["--versoin"], ["--versoin", "--version"]),
        (["encode", "digits", "--ouy", "x"], ["--ouy", "--out", "spikeprep encode --help"]),
        (["encode", "digits"], ["Missing option '--out'", "spikeprep encode --help"]),
        (["encode", "--out", "x"], ["Missing argument 'RECIPE'"]),
        (["encode", "digits", "--out", "x", "--seed", "one"], ["--seed", "'one'"]),
        (["encode", "digits", "--out", "x", "--limit", "0"], ["--limit", "0"]),
        (["encode", "digits", "--out", "x", "--set", "steps"], ["--set 'steps'", "KEY=VALUE"]),
        (["encode", "digits", "--out", "x", "--set", "=3"], ["--set '=3'", "KEY=VALUE"]),
        (["list", "encodrs"], ["encodrs", "encoders"]),
    ],
)
def test_usage_errors_are_one_paragraph_and_exit_code_2(spikeprep, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    done = spikeprep(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("spikeprep: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("got 3", "4", "Say 4."), 2),
        (DataError("got 3", "4", "Say 4."), 3),
        (StoreError("got 3", "4", "Say 4."), 4),
        (RunError("got 3", "4", "Say 4."), 4),
        (CapabilityError("got 3", "4", "Say 4."), 5),
        (type("Narrower", (StoreError,), {})("got 3", "4", "Say 4."), 4),
    ],
)
def test_errors_are_one_paragraph_and_their_exit_code(spikeprep, acting, error, code):
    acting(raises(error))
    done = spikeprep("act")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == "spikeprep: got 3; expected 4. Say 4.\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS])
def test_errors_of_the_system_have_no_traceback(spikeprep, acting, number):
    acting(raises(OSError(number, "the system's words", "/some/where")))
    done = spikeprep("act")
    assert done.exit_code == 5
    assert done.stderr.startswith("spikeprep: the system's words (/some/where). ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), OSError(errno.EBADF, "oh"), KeyError("oh")])
def test_a_bug_shows_its_traceback(spikeprep, acting, error):
    acting(raises(error))
    done = spikeprep("act", "--speed", "3")
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert "oh" in done.stderr
    assert "bug" in done.stderr.splitlines()[-1]
    assert done.stderr.endswith("spikeprep act --speed 3\n")


def test_an_interruption_shows_the_command_that_resumes(spikeprep, acting):
    acting(raises(Interrupted("stopped", {"resume": True, "run": "runs/a b"})))
    done = spikeprep("act", "--speed", "3")
    assert done.exit_code == 130
    assert done.stderr.strip() == (
        "spikeprep: interrupted. To resume: spikeprep act --speed 3 --resume --run 'runs/a b'"
    )


def test_an_option_that_was_given_is_not_repeated(spikeprep, acting):
    acting(raises(Interrupted("stopped", {"speed": 4})))
    assert spikeprep("act", "--speed", "3").stderr.strip().endswith("spikeprep act --speed 3")


def test_nothing_to_resume_promises_nothing(spikeprep, acting):
    acting(raises(KeyboardInterrupt()))
    done = spikeprep("act")
    assert (done.exit_code, done.stderr.strip()) == (130, "spikeprep: interrupted.")


def test_a_command_that_works_exits_with_0(spikeprep, acting):
    acting(lambda **_: click.echo("fine"))
    done = spikeprep("act")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "fine\n", "")


def test_json_errors_are_one_document(spikeprep, tmp_path):
    cases = [
        (["encode", "digtis", "--out", tmp_path / "a.zarr"], 2, "UsageError"),
        (["encode", "mnist", "--out", tmp_path / "a.zarr"], 3, "DataError"),
        (["inspect", tmp_path / "nothing"], 4, "StoreError"),
        (["evaluate", tmp_path / "nothing", tmp_path / "nothing"], 4, "StoreError"),
        (["encode", "digits", "--limit", "0"], 2, "UsageError"),
        (["encoed"], 2, "UsageError"),
    ]
    for args, code, kind in cases:
        done = spikeprep(*args, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.exit_code, error["exit_code"], error["type"]) == (code, code, kind), args
        assert done.stderr == f"spikeprep: {error['message']}\n"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("wrong", [["--nonsense"], ["--json=3"], ["a", "b", "c", "d"], ["--seed"]])
def test_usage_errors_of_every_command_are_one_document(spikeprep, name, wrong):
    if name in ("predict", "convert") and wrong[0] == "a":  # any number of files is right, and none is wrong
        wrong = wrong[:1]
    done = spikeprep(name, *wrong, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["exit_code"], error["type"]) == (2, 2, "UsageError")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Interrupted("stopped", {}), "Interrupted", 130),
        (OSError(errno.ENOSPC, "No space left on device"), "OSError", 5),
        (ZeroDivisionError("oh"), "ZeroDivisionError", 1),
    ],
)
def test_json_errors_of_other_kinds(spikeprep, acting, error, kind, code):
    acting(raises(error), json_option)
    document = json.loads(spikeprep("act", "--json").stdout)
    assert (document["error"]["type"], document["error"]["exit_code"]) == (kind, code)


def test_a_command_that_has_printed_its_document_prints_no_other(spikeprep, acting):
    def does(**_):
        emit_json({"ok": False})
        raise StoreError("got 3", "4", "Say 4.")

    acting(does, json_option)
    done = spikeprep("act", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (4, {"ok": False})


def test_every_error_kind_has_an_exit_code():
    from spikeprep.errors import SpikeprepError

    assert set(shell.EXIT_CODES) == set(SpikeprepError.__subclasses__())


def test_a_warning_is_one_line(spikeprep, acting):
    def does(**_):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("\nbeware\nTraceback: …", RuntimeWarning, stacklevel=1)

    acting(does)
    assert spikeprep("act").stderr == "warning: beware\n"


def test_control_c_in_a_real_process():
    script = """
import signal, time, spikeprep.encoding.run
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
def encode(*_, **__):
    print("encoding", flush=True)
    time.sleep(60)
spikeprep.encoding.run.encode = encode
from spikeprep_cli.main import main
main(["encode", "digits", "--out", "my digits.zarr"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "encoding\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (
        errors.strip() == "spikeprep: interrupted. To resume: spikeprep encode digits --out 'my digits.zarr'"
    )


@pytest.fixture
def unread():
    """The end to write to of a pipe that nobody reads."""
    reads, writes = os.pipe()
    os.close(reads)
    yield writes
    os.close(writes)


def run(*args, **streams):
    return subprocess.run([sys.executable, "-m", "spikeprep_cli", *args], timeout=60, check=False, **streams)


@pytest.mark.parametrize(
    "words", [["list", "--json"], ["list"], ["--help"], ["list", "--help"], ["--version"]]
)
def test_output_that_nobody_reads_ends_a_command_without_a_word(unread, words):
    done = run(*words, stdout=unread, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, b"")


def test_messages_that_nobody_reads_change_nothing(unread, tmp_path):
    done = run("list", "--json", stdout=subprocess.PIPE, stderr=unread)
    assert (done.returncode, "encoders" in json.loads(done.stdout)) == (0, True)
    done = run(
        "encode", "no-recipe", "--out", str(tmp_path / "a"), "--json", stdout=subprocess.PIPE, stderr=unread
    )
    assert (done.returncode, json.loads(done.stdout)["error"]["exit_code"]) == (2, 2)
    assert (
        run("encode", "no-recipe", "--out", str(tmp_path / "a"), stdout=unread, stderr=unread).returncode == 2
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize("words", [["list", "--json"], ["list"], ["recipe", "digits", "--json"]])
def test_output_to_a_full_disk_is_one_error(words):
    with open("/dev/full", "w") as full:
        done = run(*words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 5
    assert done.stderr == (
        b"spikeprep: standard output could not be written (No space left on device). All else is done: runs, stores "
        b"and files are there. Write it to another place.\n"
    )


def test_work_is_finished_though_nobody_reads_what_it_says(unread, tmp_path):
    store, folder = tmp_path / "d.zarr", tmp_path / "run"
    encoded = run("encode", "digits", "--out", str(store), "--limit", "40", stdout=unread, stderr=unread)
    assert encoded.returncode == 141
    assert len(spikeprep.open_store(store)["train"]) == 40
    words = ["train", str(store), "--run", str(folder), "--arch", "8", "--epochs", "2", "--device", "cpu"]
    trained = run(*words, stdout=unread, stderr=unread)
    assert trained.returncode == 141
    assert len(spikeprep.open_run(folder).history) == 2
