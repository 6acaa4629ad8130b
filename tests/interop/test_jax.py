"""JAX's adaptor: the spikes of the store, and training loops in plain JAX and with Spyx."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from spikeprep.errors import UsageError  # noqa: E402
from spikeprep.interop.jax import SpikeLoader  # noqa: E402


@pytest.mark.parametrize(
    ("layout", "dtype"), [("BTN", jnp.float32), ("TBCHW", jnp.bool_), ("BCHWT", jnp.bfloat16)]
)
def test_a_batch_has_the_spikes_of_the_store(images, layout, dtype):
    store, spikes = images
    (batch,) = SpikeLoader(store["train"], 40, layout=layout, dtype=dtype, shuffle=False)
    expected = spikes.reshape(40, 20, 30) if layout == "BTN" else spikes.transpose(
        ["BTCHW".index(axis) for axis in layout])  # fmt: skip
    assert batch.spikes.dtype == dtype
    assert (np.asarray(batch.spikes) == expected).all()
    assert batch.labels.tolist() == (np.arange(40) % 3).tolist()


def test_all_batches_have_the_steps_of_the_longest_sample(ragged):
    store, spikes = ragged
    seen = 0
    for batch in SpikeLoader(store["train"], 8, shuffle=False):
        assert batch.spikes.shape == (len(batch.labels), 30, 6)
        for got, length in zip(np.asarray(batch.spikes), batch.lengths.tolist(), strict=True):
            assert length == len(spikes[seen])
            assert (got[:length] == spikes[seen]).all()
            assert not got[length:].any()
            seen += 1
    assert seen == 23
    (batch,) = SpikeLoader(store["train"], 23, steps=12, shuffle=False)
    assert batch.spikes.shape == (23, 12, 6)
    assert set(batch.lengths.tolist()) == {9, 12}
    assert SpikeLoader(store["train"], 8, steps=40).__iter__().__next__().spikes.shape == (8, 40, 6)


def test_earlier_batches_stay_as_they_were(images):
    store, spikes = images
    batches = list(SpikeLoader(store["train"], 4, shuffle=False))
    got = np.concatenate([np.asarray(batch.spikes) for batch in batches])
    assert (got == spikes.reshape(40, 20, 30)).all()


def test_its_state_resumes(images):
    loader = SpikeLoader(images[0]["train"], 16, drop_last=True)
    first = [batch.labels.tolist() for batch in loader]
    state = loader.state_dict()
    again = SpikeLoader(images[0]["train"], 16, drop_last=True)
    again.load_state_dict(state)
    assert len(loader) == len(first) == 2
    assert [b.labels.tolist() for b in again] == [b.labels.tolist() for b in loader] != first
    with pytest.raises(UsageError, match="an order of B"):
        SpikeLoader(images[0]["train"], 16, layout="TN")


def test_a_network_of_leaky_neurons_trains(images):
    """A scan over time of a leaky integrate-and-fire layer, with a surrogate gradient."""

    @jax.custom_jvp
    def fire(membrane):
        return (membrane > 1).astype(jnp.float32)

    @fire.defjvp
    def _(primals, tangents):
        return fire(*primals), tangents[0] / (1 + 10 * jnp.abs(primals[0] - 1)) ** 2

    def scores(weights, spikes):
        def step(membrane, drive):
            membrane = 0.9 * membrane + drive
            fired = fire(membrane)
            return membrane - fired, fired

        drive = spikes @ weights[0]
        _, fired = jax.lax.scan(step, jnp.zeros((spikes.shape[1], 20)), drive)
        return fired.mean(0) @ weights[1]

    @jax.jit
    def update(weights, batch):
        def loss(weights):
            logits = jax.nn.log_softmax(scores(weights, batch.spikes))
            return -logits[jnp.arange(len(batch.labels)), batch.labels].mean()

        value, gradient = jax.value_and_grad(loss)(weights)
        return [w - 0.5 * g for w, g in zip(weights, gradient, strict=True)], value

    keys = jax.random.split(jax.random.key(0))
    weights = [0.3 * jax.random.normal(keys[0], (30, 20)), 0.3 * jax.random.normal(keys[1], (20, 3))]
    loader, means = SpikeLoader(images[0]["train"], 10, layout="TBN"), []
    for _ in range(8):
        values = []
        for batch in loader:
            weights, value = update(weights, batch)
            values.append(float(value))
        means.append(np.mean(values))
    assert means[-1] < 0.9 * means[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_of_spyx_trains(images):
    pytest.importorskip("spyx")
    import optax
    import spyx
    from flax import nnx

    rngs = nnx.Rngs(0)
    model = spyx.nn.Sequential(
        nnx.Linear(30, 20, rngs=rngs), spyx.nn.LIF((20,), beta=0.9, rngs=rngs),
        nnx.Linear(20, 3, rngs=rngs), spyx.nn.LI((3,), rngs=rngs),
    )  # fmt: skip
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    entropy = spyx.fn.integral_crossentropy()

    def loss(model, spikes, labels):
        traces, _ = spyx.nn.run(model, spikes, batch_major=True)
        return entropy(traces, labels)

    update = spyx.optimize.make_train_step(loss)
    loader, means = SpikeLoader(images[0]["train"], 10, layout="BTN"), []
    for _ in range(8):
        means.append(np.mean([float(update(model, optimizer, b.spikes, b.labels)) for b in loader]))
    assert means[-1] < 0.8 * means[0]
