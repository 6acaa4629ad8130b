"""The documentation site: the code of its pages runs, its reference is complete, no page is missing from it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from spikeprep_cli.main import COMMANDS, main

import spikeprep
from docs_site import reference, tutorials
from docs_site.__main__ import OTHERS, linked, with_outputs
from docs_site.blocks import Block, BlockError, Output, blocks, run, session
from docs_site.notebooks import NOTEBOOKS, notebook
from spikeprep import testing, transforms
from spikeprep.plot import Animation
from spikeprep.recipes import load_recipe, recipe_names
from spikeprep.registry import ENCODERS

ROOT = Path(__file__).parent.parent
NAV = re.findall(r": ([\w-]+\.md)$", (ROOT / "docs_site" / "mkdocs.yml").read_text(), re.MULTILINE)


def unrendered(figure, file, **options):
    """Write a few bytes in place of a picture."""
    assert figure.axes
    if hasattr(file, "write"):
        file.write(b"picture")
    else:
        Path(file).write_bytes(b"picture")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Page → what its blocks printed and drew, all of them in one folder as the site runs them.

    To be fast: on 120 digits, and figures are composed but not rendered, which `make docs` does.
    """
    import matplotlib.figure
    import sklearn.datasets

    digits = sklearn.datasets.load_digits()
    few = type(digits)(
        data=digits.data[:120], target=digits.target[:120], images=digits.images[:120],
        target_names=digits.target_names,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.datasets, "load_digits", lambda: few)
        patch.setattr(matplotlib.figure.Figure, "savefig", unrendered)
        patch.setattr(Animation, "gif", lambda film, dpi=100: b"GIF89a" + bytes([film.frames]))
        patch.setattr(ENCODERS, "_registered", {})
        patch.chdir(tmp_path_factory.mktemp("pages"))
        yield {name: tutorials.run_page(name) for name in tutorials.TUTORIALS}


# slow: `make docs` runs the same blocks
@pytest.mark.slow
@pytest.mark.parametrize("page", tutorials.TUTORIALS)
def test_every_block_of_a_tutorial_runs(page, outputs):
    assert len(outputs[page]) == len(blocks(tutorials.page_text(page))) > 0


@pytest.mark.slow
def test_pictures_are_those_that_the_commands_name(outputs):
    for page, results in outputs.items():
        for block, output in zip(blocks(tutorials.page_text(page)), results, strict=True):
            drawn = set(re.findall(r"plot .*--out (\S+)", block.code))
            assert drawn <= set(output.pictures)
    assert sum(len(output.pictures) for output in outputs["gallery"]) >= 6


@pytest.mark.slow
def test_what_the_tutorials_promise_happens(outputs):
    accuracy = re.compile(r"test: accuracy ([\d.]+)%")
    for page, least in (("quick-start", 30), ("tutorial-speech", 90), ("tutorial-events", 90)):
        found = [float(match[1]) for output in outputs[page] for match in accuracy.finditer(output.text)]
        assert found, page
        assert max(found) >= least, page
    errors = dict(
        re.findall(r"^(\w+) +\d+ spikes  root mean square error ([\d.]+)", outputs["signals"][1].text, re.M)
    )
    assert float(errors["rate"]) > 2 * float(errors["bsa"])
    assert np.isclose(float(errors["step_forward"]), 0.029, atol=0.002)


def test_every_page_is_in_the_navigation_once():
    generated = [f"{name}.md" for name in (*reference.API, "commands", "recipes")]
    generated += [f"settings-{kind}.md" for kind in reference.SETTINGS]
    pages = ["index.md" if path.name == "README.md" else path.name for path in (ROOT / "docs").glob("*.md")]
    # a page that is missing here is added by one line of docs_site/mkdocs.yml, and by one of docs/README.md
    assert sorted(NAV) == sorted([*pages, *generated, *(f"{name}.md" for name in OTHERS.values())])
    home = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [page for page in pages if page != "index.md" and f"]({page})" not in home] == []


@pytest.fixture(scope="module")
def generated():
    return dict(reference.pages())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option_of_a_command(name, generated):
    section = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", generated["commands"], re.MULTILINE | re.DOTALL)[
        1
    ]
    options = [p.opts[-1] for p in main.get_command(None, name).params if p.param_type_name == "option"]
    assert len(options) > 0
    for option in options:
        assert re.search(rf"^\| `[^`]*{option}\b", section, re.MULTILINE), option


def test_the_reference_has_every_recipe_with_its_published_figure(generated):
    for name in recipe_names():
        recipe = load_recipe(name)
        if name == "tonic":
            continue
        row = next(line for line in generated["recipes"].splitlines() if line.startswith(f"| [`{name}`]"))
        assert row.endswith(f"| {recipe.published} |")
        assert recipe.citation in generated["recipes"]


def test_the_reference_has_every_public_name_and_every_setting(generated):
    for name in set(spikeprep.__all__) - {"__version__"}:
        assert f"::: spikeprep.{name}\n" in generated["api"] + "\n"
    for module in (testing, transforms):
        page = generated[f"api-{module.__name__.rpartition('.')[2]}"]
        assert re.findall(r"^::: spikeprep\.\w+\.(\w+)$", page, re.MULTILINE) == module.__all__
    assert "| `poisson.steps` | `400` |" in generated["settings-encoders"]
    assert "| `neuron.tau_m` |" in generated["settings-rules"]


# ---------------------------------------------------------------- the machinery


def test_python_shows_what_it_prints_and_the_last_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with session("page") as module:
        run(Block("python", "x = 4\n", 0), module)
        code = "print('printed')\nfrom pathlib import Path\nPath('a.png').write_bytes(b'')\n[x, 2]\n"
        assert run(Block("python", code, 0), module) == Output("printed\n[4, 2]\n", ("a.png",))
        with pytest.raises(BlockError, match=r"docs/page\.md: ZeroDivisionError"):
            run(Block("python", "1 / 0\n", 0), module, where="docs/page.md")
    assert "page" not in sys.modules


def test_console_runs_commands_and_only_those(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with session("page") as module:
        code = "$ pip install nothing\n$ spikeprep recipe digits > mine.toml\n$ spikeprep list rules\n"
        output = run(Block("console", code, 0), module)
        assert "hm2bp" in output.text
        assert (tmp_path / "mine.toml").read_text().startswith('name = "digits"')
        with pytest.raises(BlockError, match=r"(?s)spikeprep encode digit .*digits"):
            run(Block("console", "$ spikeprep encode digit --out a.zarr\n", 0), module)


def test_output_and_pictures_are_put_below_their_block():
    page = "a\n\n```console\n$ spikeprep plot x --out y.png\n```\n\nb\n"
    assert with_outputs(page, [Output("wrote y.png\n", ("page-y.png",))]) == (
        "a\n\n```console\n$ spikeprep plot x --out y.png\n```\n\n``` { .text .output }\nwrote y.png\n```\n\n"
        "![spikeprep plot x --out y.png](pictures/page-y.png){ .drawn }\n\nb\n"
    )


def test_examples_of_docstrings_become_code():
    pytest.importorskip("griffe", reason="it comes with the extra docs")
    from docs_site.docstrings import as_markdown

    text = "Title.\n\nUse it so::\n\n    f(a[0][1])\n\n>>> g(a[0][1])\n>>> h()\n\nMore."
    assert as_markdown(text) == (
        "Title.\n\nUse it so:\n\n    f(a[0][1])\n\n```python\n>>> g(a[0][1])\n>>> h()\n```\n\nMore."
    )


@pytest.mark.parametrize(
    ("folder", "link", "expected"),
    [
        ("docs", "stores.md#repair", "stores.md#repair"),
        ("docs", "README.md", "index.md"),
        ("docs", "../README.md#recipes", "recipes.md"),
        ("docs", "../README.md", "index.md"),
        ("docs", "schema.json", "schema.json"),
        ("docs", "../benchmarks/RESULTS.md", "measurements.md"),
        (
            "docs",
            "../spikeprep/data.py",
            "https://github.com/spikeprep/spikeprep/blob/main/spikeprep/data.py",
        ),
        (".", "docs/plugins.md#an-encoder", "plugins.md#an-encoder"),
        (".", "https://zarr.dev", "https://zarr.dev"),
        (".", "#python", "#python"),
    ],
)
def test_links_lead_to_pages_of_the_site(folder, link, expected):
    code = "```python\nx[0](stores.md)\n```"
    assert linked(f"[a]({link})\n\n{code}\n", folder) == f"[a]({expected})\n\n{code}\n"


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_notebook_has_the_code_of_its_page(page):
    document = json.loads(notebook(tutorials.page_text(page), "https://site.invalid/"))
    code = [cell["source"] for cell in document["cells"] if cell["cell_type"] == "code"]
    found = blocks(tutorials.page_text(page))
    assert len(code) == len(found)
    for cell, block in zip(code, found, strict=True):
        assert cell == (
            block.code.strip() if block.language == "python" else block.code.strip().replace("$ ", "!")
        )
    assert all(".md)" not in cell["source"] for cell in document["cells"])


@pytest.mark.slow
@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_notebook_runs_in_jupyter(page, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv(
        "PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )  # cells call `spikeprep`
    document = nbformat.reads(notebook(tutorials.page_text(page), "https://site.invalid/"), as_version=4)
    nbformat.validate(document)
    nbclient.NotebookClient(document, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(o.get("text", "") for cell in document.cells for o in cell.get("outputs", []))
    assert "accuracy" in shown
    assert "Error" not in shown
