"""What this project asks of CuPy exists in the installed one, and takes the arguments that it is given.

CuPy loads without a GPU. Its compiled functions have no signature for `inspect`, but state one in their docstring. What
needs a library of its own (cuBLAS, NCCL) is checked where that is installed.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from pathlib import Path

import pytest

import spikeprep

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install 'spikeprep[cuda13]'")
cupyx = pytest.importorskip("cupyx")

FOLDER = Path(spikeprep.__file__).parent


def library(name):
    """A module of `cupy.cuda` that loads a library of CUDA's, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = getattr(__import__("cupy.cuda", fromlist=[name]), name)
    except (ImportError, AttributeError):
        return None
    return module if getattr(module, "available", True) else None


CUBLAS, NCCL = library("cublas"), library("nccl")

# what names stand for, in every function or in one of them; classes stand for their instances
ANYWHERE = {
    "cupy": cupy, "xp": cupy, "self.xp": cupy, "self._cupy": cupy, "self._runtime.xp": cupy, "runtime.xp": cupy,
    "self.runtime.xp": cupy, "cupyx": cupyx,
}  # fmt: skip
SPECIAL = {
    "cuda/gpu.py": {
        "__init__": {"self._device": cupy.cuda.Device},
        "adopt_thread": {"self._device": cupy.cuda.Device},
        "pinned": {"cuda": cupy.cuda},
        "copy_in": {"device": cupy.ndarray},
        "copy_out": {"device": cupy.ndarray},
        "to_device": {"device": cupy.ndarray},
        "to_host": {"device": cupy.ndarray},
        "half_product": {"cublas": CUBLAS, "device": library("device")},
        "recorded": {"stream": cupy.cuda.Stream, "graph": cupy.cuda.Graph, "pool": cupy.cuda.MemoryPool},
        "synchronize": {"self._device": cupy.cuda.Device, "self.raw": cupy.cuda.Stream},
        "facts": {"runtime": cupy.cuda.runtime},
        "launch": {"kernel": cupy.RawKernel},
        "attributes": {"self._kernel(name)": cupy.RawKernel},
        "_kernel": {"self._raw": cupy.RawModule},
        "done": {"self.raw": cupy.cuda.Event},
        "record": {"event": cupy.cuda.Event},
        "wait": {"self.raw": cupy.cuda.Stream},
        "__enter__": {"self.raw": cupy.cuda.Stream},
        "__exit__": {"self.raw": cupy.cuda.Stream},
    },
    "cuda/nccl.py": {
        "__init__": {"self._nccl": NCCL},
        "_identifier": {"self._nccl": NCCL},
        "all_reduce": {"self._nccl": NCCL, "self._communicator": getattr(NCCL, "NcclCommunicator", None)},
        "_nccl": {"runtime": cupy.cuda.runtime},
    },
}


def signature(function):
    """The signature of a function, or of a class's constructor; without self."""
    try:
        return inspect.signature(function)
    except ValueError:
        line = (inspect.getdoc(function) or "").split("\n")[0].replace("\\*", "*")
        found = re.fullmatch(r"[\w.]+\((.*)\)(?: *->.*)?", line)
        assert found, f"{function} states no signature: {line!r}"
        names = []
        for part in re.split(r",\s*(?![^()\[\]]*[)\]])", found[1]) if found[1] else []:
            name, _, default = part.partition("=")
            names.append(name.split()[-1] + ("=None" if default else ""))
        scope = {}
        exec(f"def stated({', '.join(name for name in names if name != 'self')}): pass", scope)
        return inspect.signature(scope["stated"])


def uses(file):
    """Each attribute and each call in a file that begins with a name of CuPy's: line, object or None, text, call."""
    tree = ast.parse(file.read_text())
    special = SPECIAL.get(file.relative_to(FOLDER).as_posix(), {})
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = ANYWHERE | special.get(function.name, {})
        calls = {id(call.func): call for call in ast.walk(function) if isinstance(call, ast.Call)}
        for node in ast.walk(function):
            text = ast.unparse(node) if isinstance(node, (ast.Attribute, ast.Name)) else ""
            root = max(
                (name for name in names if text.startswith(f"{name}.") or text == name), key=len, default=""
            )
            path = text[len(root) + 1 :]
            if (
                root
                and re.fullmatch(r"[\w.]*", path)
                and text not in ANYWHERE
                and (path or id(node) in calls)
            ):
                yield node.lineno, names[root], path, calls.get(id(node))


FILES = sorted(
    file for file in FOLDER.rglob("*.py") if re.search(r"\b(xp|cupyx?|_?nccl)\b", file.read_text())
)


def test_cupy_has_what_is_used_and_takes_the_arguments():
    seen = 0
    for file in FILES:
        for line, thing, path, call in uses(file):
            place = f"{file.relative_to(FOLDER)}:{line}"
            if thing is None:  # of a library that is not installed
                continue
            method = False
            for name in path.split(".") if path else []:
                method = inspect.isclass(thing)
                assert hasattr(thing, name), f"{place}: CuPy {cupy.__version__} has no {path}"
                thing = getattr(thing, name)
            if not path:
                thing, method = thing.__call__, True
            seen += 1
            if call is None or any(isinstance(part, ast.Starred) for part in call.args):
                continue
            stated = signature(thing)
            first = next(iter(stated.parameters), "")
            arguments = [None] * (len(call.args) + (method and first == "self"))
            try:
                stated.bind(*arguments, **{word.arg: None for word in call.keywords})
            except TypeError as error:
                pytest.fail(f"{place}: {ast.unparse(call)}: {error}; CuPy {cupy.__version__} has {stated}")
    assert seen > 60


@pytest.mark.skipif(NCCL is None, reason="NCCL is not installed: pip install 'spikeprep[nccl13]'")
def test_an_identifier_of_nccl_is_what_its_constructor_takes():
    identifier = NCCL.get_unique_id()
    assert isinstance(identifier, (bytes, tuple))
    assert len(identifier) == 128
    if isinstance(identifier, bytes):
        assert re.match(r"NcclCommunicator\(int ndev, bytes commId, int rank", NCCL.NcclCommunicator.__doc__)
