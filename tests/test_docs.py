"""What the documents say exists: commands, options, targets, files, and code that runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from spikeprep_cli.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """Return every `spikeprep …` and `make …` of a page, in code blocks and in code type."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^(?:\$ |    )((?:spikeprep|make) .*)$", text, re.MULTILINE)
    found += re.findall(r"`((?:spikeprep|make) [^`]*)`", text)
    return [line.split("  #")[0].strip() for line in found]


CASES = [(page.name, line) for page in PAGES for line in commands(page)]


def test_the_pages_have_commands():
    assert {"README.md", "CONTRIBUTING.md", "cli.md"} <= {name for name, _ in CASES}
    assert len(CASES) > 20


@pytest.mark.parametrize(("page", "line"), CASES)
def test_a_command_in_the_documents_exists(page, line):
    program, *words = shlex.split(line)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {w for w in words if "=" not in w} <= set(targets)
        return
    name, *rest = words
    if name == "COMMAND":
        return
    assert name in COMMANDS
    command = main.get_command(None, name)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and "RESULTS" not in target:
            assert (page.parent / target).exists(), target


def test_every_command_and_exit_code_is_documented():
    from spikeprep_cli.main import EXIT_CODES

    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`spikeprep {name}" in text
    for code in {0, 1, 130, *EXIT_CODES.values()}:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE)


def test_the_python_of_the_page_on_transforms_works():
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, object] = {}
    exec(compile(source, "docs/transforms.md", "exec", dont_inherit=True), found)
    assert found["spikes"].shape == (300, 2048)
    assert 0 < len(found["again"].array) <= len(found["quiet"].array) < 20_000
    assert found["spikes"].sum() == len(found["again"].array)


def test_every_transform_of_recordings_is_on_its_page():
    from spikeprep import transforms
    from spikeprep.registry import ENCODERS

    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    for name in ENCODERS.names():
        found = ENCODERS.get(name)
        if issubclass(found, transforms.EventTransform):
            assert f"| `{name}` | `{found.__name__}` |" in page


def test_the_python_of_the_readme_works(tmp_path, monkeypatch):
    import numpy as np

    from spikeprep.encoding.run import encode
    from spikeprep.recipes import load_recipe

    monkeypatch.chdir(tmp_path)
    encode(load_recipe("digits"), "mnist.zarr", limit=3)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    namespace: dict[str, object] = {"image": np.full((4, 4), 255, np.uint8)}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec", dont_inherit=True), namespace)
    assert namespace["spikes"].shape == (400, 16)
    assert len(namespace["train"].labels) == 3
