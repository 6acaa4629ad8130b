"""Networks: NIR and what it cannot say, importing frameworks, named arrays."""

from __future__ import annotations

import io
import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep.errors import RunError, StoreError, UsageError
from spikeprep.export import nir_graph
from spikeprep.export.comparison import Agreement
from spikeprep.export.network import TrainedNetwork
from spikeprep.export.nir_graph import nir_omissions, write_nir
from spikeprep.export.simulation import simulate

nir = pytest.importorskip("nir")


@pytest.fixture(scope="module")
def network(grid_run):
    return TrainedNetwork.of(spikeprep.open_run(grid_run).folder)


def dense(reader):
    """The samples of a split, bool (sample, time, unit), the shorter ones followed by silence."""
    spikes = np.zeros((len(reader), reader.max_steps, reader.units), bool)
    for n in range(len(reader)):
        spikes[n, : len(reader[n])] = reader[n]
    return spikes


def test_the_simulation_is_what_the_backend_computes(network, grid_run, store):
    reader = spikeprep.open_store(store)["test"]
    output = simulate(network, dense(reader), complete=True)
    within = np.arange(reader.max_steps)[None, :, None] < reader.steps[:, None, None]
    counts = spikeprep.predict(grid_run, store, progress=False).counts
    assert counts.sum() > 50
    np.testing.assert_array_equal((output & within).sum(axis=1), counts)
    assert (simulate(network, dense(reader), complete=False).sum(axis=1) != counts).any()


def test_the_nodes_of_a_graph(network):
    graph = nir_graph(network)
    names = ["input", "conv0", "neurons0", "pool1", "neurons1", "flatten2", "dense2", "neurons2"]
    names += ["dense3", "neurons3", "output"]
    assert list(graph.nodes) == names
    assert graph.edges == list(pairwise(names))
    shapes = {name: tuple(node.output_type["output"]) for name, node in graph.nodes.items()}
    assert shapes["input"] == (2, 7, 6)
    assert (shapes["neurons0"], shapes["neurons1"], shapes["flatten2"]) == ((3, 7, 6), (3, 3, 3), (27,))
    neurons = graph.nodes["neurons2"]
    for name, value in {"tau_syn": 8e-4, "tau_mem": 64e-4, "w_in": 8, "r": 64, "v_reset": 0}.items():
        np.testing.assert_allclose(getattr(neurons, name), value)
    np.testing.assert_allclose(neurons.v_threshold, 8 * (1 - 1e-6), rtol=1e-12)
    np.testing.assert_allclose(graph.nodes["neurons0"].v_threshold, 8 * 0.5)  # convolutions have no slack


def test_forward_euler_of_the_graph_gives_our_spikes(network, store):
    """NIR's equations, stepped by hand in float64 from the file's own constants, against the simulation."""
    file = io.BytesIO()
    write_nir(nir_graph(network, dt=0.002), file)
    node = nir.read(file).nodes["neurons3"]
    rng, dt = np.random.default_rng(0), 0.002
    drive = rng.normal(0, 1, (200, 2))
    current, v, spikes = np.zeros(2), np.zeros(2), []
    for x in drive:
        current = current + dt / node.tau_syn * (node.w_in * x - current)
        v = v + dt / node.tau_mem * (node.v_leak - v + node.r * current)
        spikes.append(v > node.v_threshold)
        v = np.where(spikes[-1], node.v_reset, v)
    p, u, ours = np.zeros(2), np.zeros(2), []
    for x in drive:
        p = p * (1 - 1 / 8) + x
        u = u * (1 - 1 / 64) + p / 8
        ours.append(u > 0.5 - 1e-6)
        u = np.where(ours[-1], 0, u)
    assert np.sum(ours) > 10
    np.testing.assert_array_equal(spikes, ours)


def test_a_graph_says_what_it_leaves_out(network, grid_run, store, tmp_path):
    result = spikeprep.export(grid_run, tmp_path / "a.nir", to="nir", check=False)
    assert [o.what for o in result.omissions] == ["refractory period", "lateral inhibition"]
    assert [o.value for o in result.omissions] == [2, 1.0]
    assert (result.comparison, result.not_compared) == (None, "not requested")
    assert "not in nir: lateral inhibition (lateral=1)" in str(result)
    about = json.loads(nir.read(tmp_path / "a.nir").metadata["spikeprep"])
    assert about["omissions"] == result.to_json()["omissions"]
    assert (about["steps_ahead"], about["nir_dt"], about["seconds_per_step"]) == (4, 1e-4, 0.0006)
    assert (about["input"], about["stored_units"]) == (["channel", "row", "column"], "channels last")


def test_frameworks_agree_with_the_network_without_what_nir_cannot_say(grid_run, store, tmp_path):
    for name in ("snntorch", "norse", "spikingjelly"):
        pytest.importorskip(name)
    result = spikeprep.export(grid_run, tmp_path / "a.nir", to="nir", samples=5)
    comparison = result.comparison
    assert (comparison.samples, comparison.split, comparison.missing) == (5, "test", ())
    assert [check.framework for check in comparison.frameworks] == ["snntorch", "norse", "spikingjelly"]
    for check in comparison.frameworks:
        assert check.error == ""
        assert check.exported == Agreement(1.0, 1.0)
        assert check.trained == comparison.omissions
    assert comparison.omissions.spikes < 0.9
    assert "norse" in str(result)
    assert result.to_json()["comparison"]["frameworks"][0]["exported"] == {"spikes": 1.0, "predictions": 1.0}


def test_another_dt_is_refused_by_snntorch_and_reported(grid_run, store, tmp_path, monkeypatch):
    pytest.importorskip("snntorch")
    monkeypatch.setattr("spikeprep.export.comparison.installed_frameworks", lambda: ["snntorch"])
    result = spikeprep.export(grid_run, tmp_path / "a.nir", to="nir", samples=2, dt=0.0006)
    (check,) = result.comparison.frameworks
    assert "r not supported in CubaLIF" in check.error
    assert "cannot import it" in str(result)
    assert (tmp_path / "a.nir").exists()


@pytest.fixture
def moved_run(store, tmp_path, monkeypatch):
    """A run whose store was "gone.zarr" in the current folder and is there no more."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(store.path, "gone.zarr")
    settings = {"init": 2.0, "validation": 0.0, "loss.target": 8}
    spikeprep.train(
        "gone.zarr", run="run", arch="4", epochs=1, batch=4, device="cpu", settings=settings, progress=False
    )
    shutil.rmtree("gone.zarr")
    return tmp_path / "run"


def test_where_the_store_is_gone_the_file_is_written_without_a_comparison(moved_run, tmp_path):
    result = spikeprep.export(moved_run, tmp_path / "a.nir", to="nir")
    assert result.comparison is None
    assert result.not_compared.endswith("name the run's store: store=STORE")
    assert (tmp_path / "a.nir").exists()
    done = CliRunner().invoke(main, ["export", str(moved_run), "--to", "nir", "--out", f"{tmp_path}/b"])
    assert "name the run's store: --store STORE" in done.output
    assert "(neuron.refractory=2)" in done.output


def test_another_store_where_the_run_s_own_one_was_is_not_compared_on(
    moved_run, store, tmp_path, monkeypatch
):
    monkeypatch.setattr("spikeprep.export.comparison.installed_frameworks", list)  # none
    opened = spikeprep.open_store(store)
    items = [
        (opened[s][n].reshape(-1, 7, 6, 2) & (n > 0), n % 2, s) for s in opened for n in range(8)
    ]  # others
    spikeprep.write_store(tmp_path / "gone.zarr", items, dt=0.0006, classes=["quiet", "loud"])
    result = spikeprep.export(moved_run, tmp_path / "a.nir", to="nir")
    assert result.comparison is None
    assert "gone.zarr is another one than" in result.not_compared
    with pytest.raises(StoreError, match=r"is another one than .*store=STORE"):
        spikeprep.draw(moved_run, kind="misclassified")
    result = spikeprep.export(
        moved_run, tmp_path / "a.nir", to="nir", store="gone.zarr", samples=1, overwrite=True
    )
    assert result.comparison.store == "gone.zarr"  # by name, it may be any that fits


@pytest.mark.parametrize("argument", [{"store": "/nope"}, {"split": "nope"}, {"samples": 5}])
def test_without_a_comparison_its_arguments_are_refused(grid_run, tmp_path, argument):
    with pytest.raises(UsageError, match="for a network that is not compared"):
        spikeprep.export(grid_run, tmp_path / "a.nir", to="nir", check=False, **argument)
    assert not list(tmp_path.iterdir())


def test_a_run_s_own_files_are_never_replaced(grid_run, lee_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(grid_run.run, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() >= {"best.npz", "last.npz", "config.json", "journal.jsonl"}
    for name in (*before, "lease.json", "last.previous.npz"):
        for source in (folder, lee_run):  # its own, and another run's
            with pytest.raises(UsageError, match="is a file of the run"):
                spikeprep.export(source, folder / name, to="npz", overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    spikeprep.export(folder, folder / "network.npz", to="npz")
    (tmp_path / "best.npz").write_text("no run's")
    spikeprep.export(folder, tmp_path / "best.npz", to="npz", overwrite=True)


def test_agreement():
    one, other = np.zeros((2, 3, 2), bool), np.zeros((2, 3, 2), bool)
    one[0, 0, 0] = one[0, 1, 0] = other[0, 0, 0] = other[1, 0, 1] = True
    assert Agreement.of(one, other) == Agreement(1 / 3, 0.5)
    assert Agreement.of(one & False, other & False) == Agreement(1.0, 1.0)


def test_nir_cannot_say_lee_2016(lee_run, tmp_path):
    with pytest.raises(UsageError, match=r"cannot say the neurons .*lee2016.*lateral inhibition.*to=npz"):
        spikeprep.export(lee_run, tmp_path / "a.nir", to="nir", check=False)
    assert not list(tmp_path.iterdir())


def test_nir_cannot_say_an_unknown_layer_kind(network):
    from dataclasses import replace

    from spikeprep.train.layers.dense import Dense

    class Diagonal(Dense):
        name = "diagonal"

    layers = (replace(network.layers[0], kind=Diagonal((4,), 4)), *network.layers[1:])
    with pytest.raises(UsageError, match="cannot say the layer kind diagonal"):
        nir_omissions(replace(network, layers=layers))


def test_a_network_without_inhibition_loses_only_its_refractory_period(network):
    from dataclasses import replace

    last = replace(network.layers[-1], lateral=0.0)
    (omission,) = nir_omissions(replace(network, layers=(*network.layers[:-1], last)))
    assert omission.setting == "neuron.refractory"


def test_arrays_of_a_network(grid_run, tmp_path):
    spikeprep.export(grid_run, tmp_path / "a.npz", to="npz")
    best = spikeprep.open_run(grid_run).folder.best
    with np.load(tmp_path / "a.npz") as file, np.load(best) as trained:
        for n in (0, 2, 3):
            np.testing.assert_array_equal(file[f"layer{n}.weight"], trained[f"layer{n}.weight"])
        assert [float(file[f"layer{n}.neuron.threshold"]) for n in range(4)] == [0.5, 1.5, 1.0, 0.5]
        assert [float(file[f"layer{n}.neuron.slack"]) for n in range(4)] == [0, 1e-6, 1e-6, 1e-6]
        assert [float(file[f"layer{n}.lateral"]) for n in range(4)] == [0, 0, 0, 1]
        about = json.loads(str(file["description"]))
    assert about["network"] == "84-3C3p1-P2-9-2"
    assert [layer["kind"] for layer in about["layers"]] == ["conv", "pool", "dense", "dense"]
    assert about["layers"][0]["settings"]["padding"] == [1, 1]
    assert about["layers"][1]["out_shape"] == [3, 3, 3]


def test_a_state_dict(lee_run, tmp_path):
    torch = pytest.importorskip("torch")
    spikeprep.export(lee_run, tmp_path / "a.pt", to="torch")
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    tensors = loaded["state_dict"]
    assert tuple(tensors["layer0.weight"].shape) == (2, 2, 3, 3)
    # a pool fires as often as its inputs do in the mean: its threshold is the number of its synapses
    assert tensors["layer1.neuron.threshold"].tolist() == [4.0] * 8
    assert tensors["layer2.neuron.threshold"].shape == (5,)
    assert json.loads(loaded["description"])["rule"] == "lee2016"


def test_a_damaged_run_is_refused(grid_run, tmp_path):
    shutil.copytree(grid_run.run, tmp_path / "run")
    with (tmp_path / "run/best.npz").open("r+b") as file:
        file.truncate(700)
    with pytest.raises(RunError, match=r"best\.npz"):
        spikeprep.export(tmp_path / "run", tmp_path / "a.npz", to="npz")
    assert not (tmp_path / "a.npz").exists()
