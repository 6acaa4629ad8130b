"""The backend that a device's name selects, and the error where it is not available."""

from __future__ import annotations

import pytest

from spikeprep import devices
from spikeprep.devices import connect, parse_device, rank_device, select_backend
from spikeprep.distributed.shared_memory import SharedGroup, SharedRanks
from spikeprep.errors import CapabilityError, UsageError
from spikeprep.system import Device

NONE = Device("cuda", False, "no NVIDIA driver", "Install it.")
NO_CUPY = Device("cuda", False, "H100 (CUDA 13.0), but CuPy is not installed", "python -m pip install it", 1)
ONE = Device("cuda", True, "H100", count=1)
TWO = Device("cuda", True, "H100, H100", count=2)


@pytest.fixture
def found(monkeypatch):
    """Pretend that the machine has other GPUs."""
    return lambda gpus: monkeypatch.setattr(devices, "cuda_device", lambda: gpus)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [("auto", ("auto", None)), ("cpu", ("cpu", None)), ("cuda", ("cuda", None)), ("cuda:12", ("cuda", 12))],
)
def test_names(name, parsed):
    assert parse_device(name) == parsed


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cpu:0", "reference:1", "", "CUDA"])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match=f"got device = '{name}'"):
        select_backend(name)


@pytest.mark.parametrize(
    ("gpus", "name", "says"),
    [
        (NONE, "cuda", r"got device = 'cuda', but no NVIDIA driver\. Install it\. Or use device=auto\."),
        (NO_CUPY, "cuda:0", "but CuPy is not installed"),
        (ONE, "cuda:7", "got device = 'cuda:7'; expected cuda:0"),
        (TWO, "cuda:2", "expected cuda:0 to cuda:1"),
    ],
)
def test_a_gpu_that_is_not_available(found, gpus, name, says):
    found(gpus)
    with pytest.raises(CapabilityError, match=says):
        select_backend(name)


@pytest.mark.parametrize("gpus", [NONE, NO_CUPY])
def test_auto_is_the_cpu_where_no_gpu_can_be_used(found, gpus):
    found(gpus)
    backend = select_backend("auto", "float64", threads=1)
    assert (backend.name, backend.dtype) == ("cpu", "float64")


def test_auto_is_the_cpu_where_the_gpu_fails(found, monkeypatch):
    def fail(*args):
        raise CapabilityError("got no CuPy (it is broken)")

    monkeypatch.setattr(devices, "_cuda_backend", fail)
    found(ONE)
    assert select_backend("auto", threads=1).name == "cpu"
    with pytest.raises(CapabilityError, match="it is broken"):
        select_backend("cuda")


def test_auto_is_a_gpu_where_one_can_be_used(found, monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "_cuda_backend", lambda *args: asked.append(args))
    found(ONE)
    select_backend("auto", "float64", feed="streamed")
    select_backend("cuda:1")
    assert asked == [(0, "float64", "streamed"), (1, "float32", "auto")]


def test_each_rank_has_its_device(found):
    found(NONE)
    assert {rank_device(name, 1, 2) for name in ("cpu", "auto")} == {"cpu"}
    found(TWO)
    for name in ("auto", "cuda"):
        assert [rank_device(name, rank, 2) for rank in (0, 1)] == ["cuda:0", "cuda:1"]
        with pytest.raises(CapabilityError, match=r"got 3 ranks for 2 GPUs.*ranks=2"):
            rank_device(name, 0, 3)
    with pytest.raises(UsageError, match="got device = 'cuda:1' for 2 ranks"):
        rank_device("cuda:1", 0, 2)


def test_ranks_on_cpus_use_shared_memory_and_on_gpus_need_nccl(found):
    ranks = SharedRanks(SharedGroup(2), 0)
    backend = select_backend("cpu", threads=1)
    assert connect(backend, ranks) is ranks
    nccl = pytest.importorskip("cupy.cuda.nccl", exc_type=ImportError)
    if nccl.available:
        pytest.skip("NCCL is here")
    backend.name = "cuda"
    with pytest.raises(CapabilityError, match=r"spikeprep\[nccl1\d\]"):
        connect(backend, ranks)


def test_any_backend_of_the_registry_is_a_device():
    backend = select_backend("reference", "float64")
    assert (backend.name, backend.dtype) == ("reference", "float64")
    assert rank_device("reference", 1, 2) == "reference"


def test_a_backend_of_another_package_is_a_device(monkeypatch):
    from spikeprep.reference.backend import ReferenceBackend

    class Mine(ReferenceBackend):
        name = "mine"

    monkeypatch.setattr(devices.BACKENDS, "_registered", {})
    devices.BACKENDS.register(Mine)
    assert type(select_backend("mine")) is Mine
