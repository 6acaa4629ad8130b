"""Build the site into build/documentation/site: ``python -m docs_site``. Needs the extra ``docs``, and no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .blocks import Output, blocks
from .notebooks import NOTEBOOKS, notebook
from .reference import pages
from .tutorials import ROOT, outputs, page_text

SOURCE = "https://github.com/spikeprep/spikeprep/blob/main"
SITE = "https://spikeprep.github.io/spikeprep/"
BUILD = ROOT / "build" / "documentation"
CACHE = ROOT / "build" / "documentation-cache"

# files outside docs/ that are pages of the site
OTHERS = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "benchmarks/RESULTS.md": "measurements",
}
README_SECTIONS = {"recipes": "recipes", "python": "api"}  # of the README → the page that has more
OUTPUT_LINES = 40  # of a block, shown on its page


def main() -> int:
    """Write the Markdown of every page to build/documentation/docs, and build the site; return an exit code."""
    reference = list(pages())  # before the tutorials register plugins of their own
    results = outputs(CACHE)
    shutil.rmtree(BUILD, ignore_errors=True)
    folder = BUILD / "docs"
    shutil.copytree(CACHE / "pictures", folder / "pictures")
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = linked(page_text(path.stem), "docs")
        if path.stem in NOTEBOOKS:
            _write(folder, f"{path.stem}.ipynb", notebook(text, SITE))
        if path.stem in results:
            text = with_outputs(text, results[path.stem])
        if path.stem in NOTEBOOKS:
            text += f"\n[This page as a notebook]({path.stem}.ipynb)\n"
        _write(folder, page_name(f"docs/{path.name}"), text)
    for path in (ROOT / "docs").iterdir():
        if path.suffix != ".md":
            shutil.copyfile(path, folder / path.name)
    for file in OTHERS:
        _write(
            folder, page_name(file), linked((ROOT / file).read_text(encoding="utf-8"), str(Path(file).parent))
        )
    for name, text in reference:
        _write(folder, f"{name}.md", text)
    for name in ("style.css",):
        shutil.copyfile(ROOT / "docs_site" / name, folder / name)
    shutil.copyfile(ROOT / "docs_site" / "mkdocs.yml", BUILD / "mkdocs.yml")
    command = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--strict",
        "--clean",
        "-f",
        str(BUILD / "mkdocs.yml"),
    ]
    return subprocess.run(command, cwd=ROOT).returncode


def page_name(file: str) -> str:
    """Return the name of the page of a Markdown file of the repository."""
    name = OTHERS.get(file, Path(file).stem)
    return "index.md" if file == "docs/README.md" else f"{name}.md"


def linked(text: str, folder: str) -> str:
    """Return a page whose relative links lead to pages of the site, or to files of the repository."""

    def rewrite(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        file = os.path.normpath(os.path.join(folder, target))
        is_page = file in OTHERS or (file.startswith("docs/") and file.endswith(".md"))
        if file.startswith("docs/") and not is_page:
            return match[0]  # a file beside the pages: copied with them
        if file == "README.md":
            return f"]({README_SECTIONS.get(anchor, 'index')}.md)"
        location = page_name(file) if is_page else f"{SOURCE}/{file}"
        return f"]({location}{'#' if anchor else ''}{anchor})"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)  # code between prose
    parts[::2] = [re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", rewrite, prose) for prose in parts[::2]]
    return "".join(parts)


def with_outputs(text: str, results: list[Output]) -> str:
    """Return a page with what each block printed and drew below it."""
    parts, start = [], 0
    for block, output in zip(blocks(text), results, strict=True):
        parts.append(text[start : block.end])
        start = block.end
        lines = output.text.rstrip().splitlines()
        if len(lines) > OUTPUT_LINES:
            lines = [*lines[: OUTPUT_LINES - 1], "…"]
        if lines:
            parts.append("\n\n``` { .text .output }\n" + "\n".join(lines) + "\n```")
        parts += [
            f"\n\n![{_caption(block.code, name)}](pictures/{name}){{ .drawn }}" for name in output.pictures
        ]
    return "".join([*parts, text[start:]])


def _caption(code: str, picture: str) -> str:
    """Return the command that drew a picture, or else its name."""
    name = Path(picture).name
    lines = [line[2:] for line in code.splitlines() if line.startswith("$ ") and "--out" in line]
    drawn = [line for line in lines if name.endswith(line.split("--out")[1].split()[0])]
    return (drawn or [name])[0].replace("[", "(").replace("]", ")")


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
