from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, sides
from benchmarks.compare import Pairs, digits, page, row
from benchmarks.machine import ROOT, Commit, git
from benchmarks.main_figures import FIGURES, Figure, chosen
from benchmarks.sides import Process, Side, alternate, check_imports, checked_out

FIGURE = Figure("train", "ms", lambda place: 1.0, wall=True)
BASE, HEAD = Commit("aaa", "Before"), Commit("bbb", "After", changed=True)


def rounds(*pairs: tuple[float | str, float | str]) -> list[compare.Round]:
    """Return rounds of one figure; a text is the reason why a side lacks it."""

    def result(value: float | str) -> dict[str, Any]:
        return {"missing": value} if isinstance(value, str) else {"value": value}

    return [{"train": (result(base), result(head))} for base, head in pairs]


@pytest.mark.parametrize(
    ("values", "ratios", "mark"),
    [
        (((2, 1), (9, 3), (5, 4), (2, 1), (2, 1)), [2, 3, 1.25, 2, 2], "**faster**"),
        (((1, 2), (3, 9), (4, 5), (1, 2), (1, 2)), [0.5, 1 / 3, 0.8, 0.5, 0.5], "**slower**"),
        (((2, 1), (3, 4), (2, 1), (2, 1), (2, 1)), [2, 0.75, 2, 2, 2], ""),
        (((1, 1), (2, 1), (2, 1), (2, 1), (2, 1)), [1, 2, 2, 2, 2], ""),  # 1 is within the spread
        (((2, 1), (2, 1), (2, 1), (2, 1)), [2, 2, 2, 2], ""),  # too few
    ],
)
def test_ratios_are_of_one_round_and_marked_where_all_agree(
    values: Any, ratios: list[float], mark: str
) -> None:
    pairs = Pairs.of("train", rounds(*values))
    assert pairs.ratios == pytest.approx(ratios)
    assert pairs.mark == mark


def test_ratio_of_a_drifting_machine_is_of_neighbours_not_of_medians() -> None:
    # the machine slows down ten times in the second round; HEAD is always a tenth faster
    pairs = Pairs.of("train", rounds((1.1, 1), (11, 10), (1.1, 1), (1.1, 1), (1.1, 1)))
    assert pairs.ratios == pytest.approx([1.1] * 5)
    assert pairs.mark == "**faster**"


def test_a_figure_that_one_side_lacks_in_any_round_has_no_ratio() -> None:
    pairs = Pairs.of("train", rounds((3, 1), ("ImportError: x", 2)))
    assert pairs == Pairs((), (1, 2), {"BASE": "ImportError: x"})
    assert pairs.ratios == []
    assert pairs.mark == ""


def test_a_row_has_medians_of_sides_and_of_ratios() -> None:
    text = row(FIGURE, Pairs.of("train", rounds((2, 1), (900, 300), (5, 4), (5, 4), (9, 4))))
    assert text == "| train | ms | 5 | 4 | 2.00 | 1.25 to 3.00 | **faster** |"
    processor = Figure("read", "ns", lambda place: 1.0)
    assert (
        row(processor, Pairs((1,), (1,), {}))
        == "| read | ns, processor time | 1 | 1 | 1.00 | 1.00 to 1.00 | |"
    )


def test_a_page_names_commits_changes_and_what_is_missing() -> None:
    text = page([FIGURE], rounds(("ImportError: no evaluate", 1)), BASE, HEAD, "A processor, 2 cores")
    assert "BASE aaa: Before" in text
    assert "HEAD bbb with uncommitted changes: After" in text
    assert "A processor, 2 cores; rounds: 1. Medians" in text
    assert "Fewer than 5 rounds: nothing is marked." in text
    assert "| train | ms | missing | 1 | | | |" in text
    assert "- train, BASE: ImportError: no evaluate" in text
    assert "Missing" not in page([FIGURE], rounds((1, 2)), BASE, HEAD, "A processor")


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (99.44, "99.4"), (123.4, "123"), (12345.6, "12346")]
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_figures_are_chosen_by_words_and_have_names_of_their_own() -> None:
    assert {figure.name for figure in chosen(["STORE"])} == {
        "store: write 784 × 400",
        "store: read 784 × 400",
    }
    assert chosen(["nothing"]) == ()
    everything = chosen(compilation=True)
    assert len({figure.name for figure in everything}) == len(everything) > len(FIGURES)


def test_sides_take_turns_and_each_is_first_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    class Fake:
        def __init__(self, side: str, inputs: Path) -> None:
            self.side = side

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None:
            heard.append((self.side, "ends"))

        def measure(self, name: str) -> dict[str, Any]:
            heard.append((self.side, name))
            return {"value": len(heard)}

    monkeypatch.setattr(sides, "Process", Fake)
    results = alternate("BASE", "HEAD", Path(), ["a", "b"], 0)  # type: ignore[arg-type]
    assert heard[:4] == [("BASE", "a"), ("HEAD", "a"), ("HEAD", "b"), ("BASE", "b")]
    assert results == {"a": ({"value": 1}, {"value": 2}), "b": ({"value": 4}, {"value": 3})}
    heard.clear()
    results = alternate("BASE", "HEAD", Path(), ["a", "b"], 1)  # type: ignore[arg-type]
    assert heard[:4] == [("HEAD", "a"), ("BASE", "a"), ("BASE", "b"), ("HEAD", "b")]
    assert results == {"a": ({"value": 2}, {"value": 1}), "b": ({"value": 3}, {"value": 4})}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose package can do little: import itself, and start its command line."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    tree = tmp_path / "repository"
    for name, text in {
        "spikeprep/__init__.py": "",
        "cli/__init__.py": "",
        "cli/main.py": "def main():\n    print('version')\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    git("init", "--quiet", tree=tree)
    git("add", ".", tree=tree)
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    git(*author, "commit", "--quiet", "-m", "First", tree=tree)
    return tree


def test_a_version_without_a_function_lacks_its_figures(repository: Path, tmp_path: Path) -> None:
    with checked_out("BASE", "HEAD", tmp_path / "base", repository) as side:
        side.link()
        with Process(side, tmp_path) as process:
            assert process.measure("read text") == {
                "missing": "ModuleNotFoundError: No module named 'spikeprep.eventfiles'"
            }
            assert 0 < process.measure("`spikeprep --version`")["value"] < 60_000


def test_a_process_that_fails_says_why(repository: Path, tmp_path: Path) -> None:
    (repository / "spikeprep/__init__.py").write_text("raise RuntimeError('broken package')\n")
    side = Side("HEAD", repository, HEAD, tmp_path / "head")
    side.link()
    with pytest.raises(SystemExit, match=r"(?s)HEAD, bbb with uncommitted changes: .*broken package"):
        Process(side, tmp_path).__enter__()


def test_a_process_that_imports_another_tree_is_refused(tmp_path: Path) -> None:
    side = Side("BASE", tmp_path, BASE, tmp_path)
    right = {"spikeprep": f"{tmp_path}/spikeprep/__init__.py", "spikeprep_cli": f"{tmp_path}/cli/main.py"}
    check_imports(right, side)
    with pytest.raises(SystemExit, match=r"BASE imported spikeprep from .*, not from"):
        check_imports(right | {"spikeprep": f"{ROOT}/spikeprep/__init__.py"}, side)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, None])
def test_the_temporary_tree_is_removed(
    repository: Path, tmp_path: Path, error: type[BaseException] | None
) -> None:
    def use() -> None:
        with checked_out("BASE", "HEAD", tmp_path / "base", repository) as side:
            assert side.commit.subject == "First"
            assert not side.commit.changed
            assert (side.tree / "cli/main.py").is_file()
            (side.tree / "left_over").write_text("")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            use()
    else:
        use()
    assert not (tmp_path / "base").exists()
    assert len(git("worktree", "list", tree=repository).splitlines()) == 1


def test_an_unknown_commit_is_an_error(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(SystemExit, match=r"git worktree add.*nowhere"),
        checked_out("BASE", "nowhere", tmp_path / "base", repository),
    ):
        raise AssertionError("was checked out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "HEAD", "--only", "nothing"], "no figure has nothing in its name"),
        (["--base", "HEAD", "--rounds", "0"], "--rounds: at least 1"),
        ([], "--base"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare", *arguments])
    with pytest.raises(SystemExit):
        compare.main()
    assert message in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_passes_commit_and_rounds_on() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "-C", str(ROOT), "bench-compare", "BASE=abc", "ROUNDS=3", "PYTHON=true"],
        capture_output=True,
        text=True,
    )
    assert '-m benchmarks.compare --base "abc"' in done.stdout
    assert "--rounds 3" in done.stdout
