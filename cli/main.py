"""The group of commands, and the only place that maps errors to exit codes.

==== =========================================================
 0   done
 1   a bug, with its traceback
 2   usage: a command, option, name or setting that does not exist or fit
 3   input data that is bad or missing
 4   a store or run that is damaged, incomplete or foreign
 5   something this machine lacks: a GPU, an extra, disk space, a permission
 130 interrupted
==== =========================================================
"""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

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
)

from .options import Session

# name → module, in the order in which they are used; a module is loaded when its command is asked for
COMMANDS = {
    "list": ".list",
    "encode": ".encode",
    "tune": ".tune",
    "train": ".train",
    "evaluate": ".evaluate",
    "inspect": ".inspect_",
    "verify": ".verify",
    "plot": ".plot",
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

# what the operating system refuses and a person can hint
REFUSALS = {
    errno.ENOSPC: "Free some space, then run the same command again.",
    errno.EDQUOT: "Free some of your quota, then run the same command again.",
    errno.EACCES: "Change its permissions, or name another path.",
    errno.EPERM: "Change its permissions, or name another path.",
    errno.EROFS: "Name a path on a file system that can be written.",
}


class CommandGroup(click.Group):
    """Commands loaded by name, and errors turned into one paragraph and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name], __package__).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begins with; an unknown one fails with the near miss."""
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. {near_miss(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run, and leave the process with the exit code of the table above."""
        extra.pop("prog_name", None)
        sys.exit(self._run(list(sys.argv[1:] if args is None else args), extra))

    def _run(self, args: list[str], extra: dict[str, Any]) -> int:
        if asked := os.environ.get(COMPLETE):
            return shell_complete(self, {}, "spikeprep", COMPLETE, asked)
        session = Session(args)
        try:
            with self.make_context("spikeprep", list(args), obj=session, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()  # here, where a reader that has gone can still be answered
        except click.exceptions.Exit as done:  # --help, --version
            return done.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return 2
        except click.ClickException as error:
            return _fail(_usage(error), 2)
        except SpikeprepError as error:
            return _fail(str(error), next(c for e, c in EXIT_CODES.items() if isinstance(error, e)))
        except (click.Abort, KeyboardInterrupt):
            then = f" To go on: {session.goes_on}" if session.goes_on else ""
            return _fail(f"interrupted.{then}", 130)
        except BrokenPipeError:
            # whoever read our output has enough (`| head`): stay silent, in the interpreter's last flush too
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            if error.errno not in REFUSALS:
                return _bug(args)
            place = f" ({error.filename})" if error.filename else ""
            return _fail(f"{error.strerror}{place}. {REFUSALS[error.errno]}", 5)
        except Exception:
            return _bug(args)
        return 0


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "spikeprep"
    message = error.format_message().rstrip(".")
    end = "" if message.endswith(("?", ")")) else "."
    return f"{message}{end} See: {path} --help"


def _fail(message: str, code: int) -> int:
    click.echo(f"spikeprep: {message}", err=True)
    return code


def _bug(args: list[str]) -> int:
    traceback.print_exc()
    command = shlex.join(["spikeprep", *args])
    click.echo(
        f"spikeprep: this is a bug; please report the lines above with the command: {command}", err=True
    )
    return 1


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(spikeprep.__version__, message="spikeprep %(version)s")
def main() -> None:
    """Turn real data into spike stores, and train spiking networks straight from them.

    A first way through, with data that ships with scikit-learn:

    \b
      spikeprep encode digits --out digits.zarr
      spikeprep train digits.zarr --arch 200 --run run
      spikeprep evaluate run digits.zarr
    """
