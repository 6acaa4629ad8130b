"""The pages whose code the site runs, in one folder and in this order, with what it printed and drew below each block.

A page may use what the pages before it wrote: the gallery draws the stores and runs of the tutorials. A page is added
by its name here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from .blocks import Output, blocks, run, session

ROOT = Path(__file__).resolve().parent.parent

TUTORIALS = (
    "quick-start",
    "tutorial-images",
    "tutorial-speech",
    "tutorial-events",
    "gallery",
    "signals",
    "cookbook",
)

_LIBRARIES = ("matplotlib", "numpy", "numba", "scikit-learn")


def page_text(name: str) -> str:
    """Return the Markdown of a page of docs/."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def run_page(name: str) -> list[Output]:
    """Run every block of a page in the working directory."""
    with session(name.replace("-", "_")) as module:
        return [run(block, module, where=f"docs/{name}.md") for block in blocks(page_text(name))]


def outputs(cache: Path) -> dict[str, list[Output]]:
    """Return page → the output of each of its blocks, with the pictures in ``cache/pictures``.

    The code runs again where a page, the package or one of the libraries that draw changed.
    """
    key, record = _key(), cache / "outputs.json"
    if record.exists():
        saved = json.loads(record.read_text(encoding="utf-8"))
        if saved["key"] == key:
            return {
                name: [Output(text, tuple(pictures)) for text, pictures in page]
                for name, page in saved["pages"].items()
            }
    shutil.rmtree(cache, ignore_errors=True)
    (cache / "pictures").mkdir(parents=True)
    pages = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name in TUTORIALS:
            print(f"running docs/{name}.md", flush=True)
            pages[name] = list(_moved(run_page(name), name, cache / "pictures"))
    document = {
        "key": key,
        "pages": {name: [(output.text, output.pictures) for output in page] for name, page in pages.items()},
    }
    record.write_text(json.dumps(document), encoding="utf-8")
    return pages


def _moved(page: list[Output], name: str, folder: Path) -> Iterator[Output]:
    """Copy the pictures of a page to a folder, under names that no other page has."""
    for output in page:
        names = []
        for picture in output.pictures:
            names.append(f"{name}-{picture}")
            shutil.copyfile(picture, folder / names[-1])
        yield Output(output.text, tuple(names))


def _key() -> str:
    digest = hashlib.sha256(str([version(name) for name in _LIBRARIES]).encode())
    files = [
        ROOT / "docs_site" / "blocks.py",
        Path(__file__),
        *(ROOT / "docs" / f"{n}.md" for n in TUTORIALS),
    ]
    for folder in ("spikeprep", "cli"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".toml")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
