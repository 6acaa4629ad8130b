"""The group of commands, and the only place that turns errors into messages and exit codes.

==== =========================================================
 0   done
 1   a bug, with its traceback
 2   usage: a command, option, name or setting that does not exist or fit
 3   input data that is bad or missing
 4   a store or run that is damaged, incomplete or foreign
 5   something this machine lacks: a GPU, an extra, disk space, a permission
 130 interrupted
 141 the reader of standard output ended before it had all of it
==== =========================================================
"""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

import click
from click.shell_completion import shell_complete

import spikeprep
from spikeprep.errors import (
    CapabilityError,
    DataError,
    RunError,
    SpikeprepError,
    StoreError,
    UsageError,
    near_miss,
    printable,
)
from spikeprep.interruption import Interrupted
from spikeprep.urls import hide_secrets, redacted

from .flags import flags_of, hint_with_flags, rejected_with_flags
from .options import Invocation, emit_json, say

# Numba colours its own errors where colorama is installed, which then ends each command with an escape sequence
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")

# name → module, in the order in which they are used; a module is loaded when its command is called
COMMANDS = {
    "list": ".list",
    "recipe": ".recipe",
    "encode": ".encode",
    "tune": ".tune",
    "train": ".train",
    "evaluate": ".evaluate",
    "predict": ".predict",
    "inspect": ".inspect_",
    "verify": ".verify",
    "plot": ".plot",
    "export": ".export",
    "convert": ".convert",
    "doctor": ".doctor",
}

EXIT_CODES: dict[type[SpikeprepError], int] = {
    UsageError: 2,
    DataError: 3,
    StoreError: 4,
    RunError: 4,
    CapabilityError: 5,
}

COMPLETE = "_SPIKEPREP_COMPLETE"  # set by a shell that asks for completions

# errors of the operating system that a user can fix
REFUSALS = {
    errno.ENOSPC: "Free some space, then run the same command again.",
    errno.EDQUOT: "Free some of your quota, then run the same command again.",
    errno.EFBIG: "Raise the limit (ulimit -f), or name a path on a file system that takes larger files.",
    errno.EACCES: "Change its permissions, or name another path.",
    errno.EPERM: "Change its permissions, or name another path.",
    errno.EROFS: "Name a path on a file system that can be written.",
    errno.ENOENT: "Name a folder that exists.",
    errno.ENOTDIR: "Name a path that does not lead through a file.",
    errno.EISDIR: "Name a file, not a folder.",
    errno.EEXIST: "Name another path.",
    errno.ENAMETOOLONG: "Name a shorter path.",
    errno.ELOOP: "Name a path without circular links.",
}


class CommandGroup(click.Group):
    """Commands loaded by name; errors become one paragraph and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name], __package__).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begins with; for an unknown one name the nearest known."""
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. {near_miss(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run, and exit with a code of the table above."""
        extra.pop("prog_name", None)
        for name in ("stdout", "stderr"):  # None where a caller has closed them
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = self._run(list(sys.argv[1:] if args is None else args), extra)
        for stream in (sys.stdout, sys.stderr):
            _flush_or_discard(stream)
        sys.exit(code)

    def _run(self, args: list[str], extra: dict[str, Any]) -> int:
        if asked := os.environ.get(COMPLETE):
            return shell_complete(self, {}, "spikeprep", COMPLETE, asked)
        report = _Report(self, args)
        try:
            with self.make_context("spikeprep", list(args), obj=report.invocation, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()  # here, where an error can still be handled
        except click.exceptions.Exit as done:  # --help, --version
            return done.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            say(error.format_message())
            return 2
        except click.ClickException as error:
            return report.fail("UsageError", _usage(error), 2)
        except SpikeprepError as error:
            return report.fail_with(error)
        except Interrupted as error:
            return report.fail("Interrupted", f"interrupted. To resume: {report.resuming(error)}", 130)
        except (click.Abort, KeyboardInterrupt):
            return report.fail("Interrupted", "interrupted.", 130)
        except BrokenPipeError:  # whoever reads our output has enough of it (`| head`): stay silent
            return 141
        except OSError as error:
            if error.errno not in REFUSALS:
                return report.bug(error)
            if _is_of_output(error):
                what = f"standard output could not be written ({error.strerror})"
                fix = "All else is done: runs, stores and files are there. Write it to another place."
                return report.fail("OSError", f"{what}. {fix}", 5)
            place = f" ({error.filename})" if error.filename else ""
            return report.fail("OSError", f"{error.strerror}{place}. {REFUSALS[error.errno]}", 5)
        except MemoryError as error:
            detail = f" ({error})" if str(error) else ""
            return report.fail("MemoryError", f"out of memory{detail}. Free some, or do less at a time.", 5)
        except Exception as error:
            if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
                return report.fail(
                    "RuntimeError", f"{error}. Raise the limits of processes and memory (ulimit).", 5
                )
            return report.bug(error)
        return 0


class _Report:
    """Turns what ended a command into one paragraph on standard error, and with ``--json`` a document too."""

    def __init__(self, group: CommandGroup, args: list[str]) -> None:
        self.group, self.args = group, args
        self.invocation = Invocation(args)

    def fail(self, kind: str, message: str, code: int, **more: str) -> int:
        """Report an error, and return its exit code."""
        message = printable(hide_secrets(message, *self.args), "\n\t")  # names of files come from anywhere
        more = {key: hide_secrets(value, *self.args) for key, value in more.items()}
        say(f"spikeprep: {message}")
        if "--json" in self.args and not self.invocation.json_printed:
            with suppress(OSError):  # nobody reads it, or its disk is full
                error = {"type": kind, "message": message, **more, "exit_code": code}
                emit_json({"error": error} | self.invocation.document)
        return code

    def fail_with(self, error: SpikeprepError) -> int:
        """Report an error of the library, its arguments and settings as flags."""
        own = self._flags(name) if (name := next((a for a in self.args if a in COMMANDS), "")) else {}
        others = {key: flag for other in COMMANDS for key, flag in self._flags(other).items()}
        got = rejected_with_flags(error.got, own, self.args)
        hint = hint_with_flags(error.hint, own, others)
        code = next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        message = str(SpikeprepError(got, error.expected, hint))
        kinds = (
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ == SpikeprepError.__module__
        )
        return self.fail(next(kinds), message, code, got=got, expected=error.expected, hint=hint)

    def _flags(self, name: str) -> dict[str, click.Option]:
        command = self.group.get_command(click.Context(self.group), name)
        return flags_of(command) if command else {}

    def resuming(self, error: Interrupted) -> str:
        """Return the command that resumes the interrupted work."""
        given = error.arguments.items()
        words = [word for key, value in given if f"--{key}" not in self.args for word in _words(key, value)]
        return shlex.join(["spikeprep", *map(redacted, self.args), *words])

    def bug(self, error: Exception) -> int:
        """Report an error that is none of a user's, with its traceback."""
        lines = "".join(traceback.format_exception(error))
        say(hide_secrets(lines, *self.args).rstrip("\n"))
        command = shlex.join(["spikeprep", *map(redacted, self.args)])
        message = f"this is a bug; please report the lines above with the command: {command}"
        return self.fail(type(error).__name__, message, 1)


def _is_of_output(error: OSError) -> bool:
    """Whether an error was met where a command prints; those of files are raised in the library."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = frames[-1].f_globals.get("__name__", "").partition(".")[0]
    return error.filename is None and module in ("click", __package__)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print the first line of a warning; what follows is where in a library it was met."""
    say(f"warning: {printable(str(message).strip().partition(chr(10))[0])}")


def _flush_or_discard(stream: TextIO) -> None:
    """Flush a stream; what it does not take is dropped, so that the interpreter's last flush does not fail."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _words(name: str, value: object) -> list[str]:
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "spikeprep"
    message = error.format_message().rstrip(".")
    end = "" if message.endswith(("?", ")")) else "."
    return f"{message}{end} See: {path} --help"


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(spikeprep.__version__, "-V", "--version", message="spikeprep %(version)s")
def main() -> None:
    """Turn real data into spike stores, and train spiking networks straight from them.

    A first example, with data that ships with scikit-learn:

    \b
      spikeprep encode digits --out digits.zarr
      spikeprep train digits.zarr --arch 200 --run run
      spikeprep evaluate run digits.zarr
    """
