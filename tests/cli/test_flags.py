"""The library's names for arguments and settings become flags."""

from __future__ import annotations

import click
import pytest
from spikeprep_cli.flags import flags_of, hint_with_flags, rejected_with_flags

TRAIN = flags_of(
    click.Command(
        "train",
        params=[
            click.Option(["--device"]),
            click.Option(["--run"]),
            click.Option(["--resume"], is_flag=True),
            click.Option(["--check/--no-check"], default=True),
            click.Option(["--set", "settings"], multiple=True),
        ],
    )
)
ENCODE = flags_of(click.Command("encode", params=[click.Option(["--overwrite"], is_flag=True)]))


@pytest.mark.parametrize(
    ("hint", "flags"),
    [
        ("Pass resume=True, or another run=….", "Pass --resume, or another --run …."),
        ("Use device=cuda:1.", "Use --device cuda:1."),
        ("Call write_store(overwrite=True) again.", "Call write_store(overwrite=True) again."),
        ("Name it: device='my gpu'.", "Name it: --device 'my gpu'."),
        ("Use check=False.", "Use --no-check."),
        ("Use device='cpu'.", "Use --device cpu."),
        ("Encode again with overwrite=True, then retry.", "Encode again with --overwrite, then retry."),
        ("Lower it: optim.rate=0.005.", "Lower it: --set optim.rate=0.005."),
        (
            "Set thresholds=[20, 8], or thresholds=auto.",
            "Set --set thresholds=[20, 8], or --set thresholds=auto.",
        ),
        ("See https://x.org/?a=b&c=d or --set a.b=c.", "See https://x.org/?a=b&c=d or --set a.b=c."),
        ('use source.class_names=["a","b c"].', """use --set 'source.class_names=["a","b c"]'."""),
    ],
)
def test_hints(hint, flags):
    assert hint_with_flags(hint, TRAIN, ENCODE) == flags


@pytest.mark.parametrize(
    ("got", "args", "flags"),
    [
        ("got optim.rate = -1", ["--set", "optim.rate=-1"], "got --set optim.rate=-1"),
        ("got training.batch = 'many'", ["--set", "batch=many"], "got --set batch=many"),
        ("got optim.rate = -1", [], "got optim.rate = -1"),  # a recipe's file may have it
        ("got device = 'gpu'", ["--device", "gpu"], "got --device gpu"),
        ("got device = 'gpu'", ["--device=gpu"], "got --device gpu"),
        ("got device = 'gpu'", [], "got device = 'gpu'"),
        ("got run = 'x' and resume = True", ["--resume", "--run", "x"], "got --run x and --resume"),
        ("got check = False for a run", ["--no-check"], "got --no-check for a run"),
        ("got 3 ranks for 2 GPUs", ["--ranks", "3"], "got 3 ranks for 2 GPUs"),
    ],
)
def test_what_was_rejected(got, args, flags):
    assert rejected_with_flags(got, TRAIN, args) == flags
