"""Lower bounds on the times of the CUDA backend's kernels, from operations and bytes counted for a task.

    python -m benchmarks.roofline [--json]

Nothing is measured here. Each kernel has six bounds: bytes of device memory, of L2, and of shared memory and L1 (128
per cycle and multiprocessor), issued instructions, counted in the machine code for sm_90 (docs/cuda.md), cycles of a
chain of dependent steps, and operations of half-precision products. The largest is the kernel's floor; `benchmarks.gpu`
compares measured times with it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

LANES, WORD = 32, 4

# Instructions that a warp issues, from the machine code; a "pair" is a sample and a tile of 32 neurons.
FORWARD_STEP, FORWARD_EIGHT, FORWARD_FOUR, FORWARD_TWO = 116, 60, 27, 14  # two tiles per warp
GRADIENT_UNIT, GRADIENT_EIGHT = 100, 44
GRADIENT_ADD = 43  # a row of the gradient
GATE_STEP, GATE_LEAVING = 32, 53
# dense_gradient_products: 32 units that fire, and each 32 steps of them; 32 steps of gates, a firing at their end, a
# step; what every warp does for a sample; order_units, for 32 units
PRODUCT_UNITS, PRODUCT_WORD = 620, 111
SEGMENT, SEGMENT_FIRING, SEGMENT_STEP, PRODUCT_WARP = 131, 65, 35, 200
ORDER_UNITS = 120
DRIVE_ROW, LIF_STEP = 95, 34
EVENTS_WORD, EVENTS_BIT = 60, 7


@dataclass(frozen=True)
class Card:
    """Rates of a card: datasheet figures, but for the clock, which is sustained under load.

    Attributes
    ----------
    memory, l2
        Bytes per second.
    processors
        Multiprocessors.
    clock
        Hz.
    shared, issue
        Bytes of shared memory and warp instructions per cycle and multiprocessor.
    half
        Half-precision operations per second.
    """

    name: str = "H100 SXM"
    memory: float = 3.35e12
    l2: float = 5.5e12
    processors: int = 132
    clock: float = 1.7e9
    shared: int = 128
    issue: int = 4
    half: float = 990e12


@dataclass(frozen=True)
class Task:
    """An epoch of training.

    Attributes
    ----------
    sizes
        Units of the input and of each layer.
    steps
        Time steps per sample.
    spikes, active
        Of each layer's input, per sample: spikes, and units with at least one.
    samples, batch
        Samples of an epoch and of a batch.
    """

    name: str
    sizes: tuple[int, ...]
    steps: int
    spikes: tuple[float, ...]
    active: tuple[float, ...]
    samples: int = 60_000
    batch: int = 128

    @property
    def batches(self) -> float:
        """Batches per epoch."""
        return self.samples / self.batch


MNIST = Task("MNIST 784-800-10, T = 400", (784, 800, 10), 400, (7100, 3920), (150, 560))
NMNIST = Task("N-MNIST 2312-800-10, T = 540", (2312, 800, 10), 540, (4100, 5200), (900, 600))


@dataclass
class Kernel:
    """The launches of one kernel per batch: bytes, warp instructions, and the time of each bound."""

    name: str
    memory: float = 0  # bytes
    l2: float = 0
    shared: float = 0
    instructions: float = 0  # of warps
    chain: float = 0  # cycles of one warp, each step waiting for the one before
    halves: float = 0  # operations of half-precision products
    launches: int = 1
    times: dict[str, float] = field(default_factory=dict)

    def on(self, card: Card) -> Kernel:
        """Compute `times`, in seconds, on a card; return the kernel."""
        per_second = card.processors * card.clock
        self.times = {
            "memory": self.memory / card.memory,
            "l2": self.l2 / card.l2,
            "shared": self.shared / (card.shared * per_second),
            "issue": self.instructions / (card.issue * per_second),
            "chain": self.chain / card.clock,
            "halves": self.halves / card.half,
        }
        return self

    @property
    def floor(self) -> float:
        """Least time in seconds."""
        return max(self.times.values())

    @property
    def bound(self) -> str:
        """Name of the bound that sets the floor."""
        return max(self.times, key=lambda key: self.times[key])


def tiles(units: int) -> int:
    """Return the tiles of a layer: 32 neurons each."""
    return -(-units // LANES)


def row_instructions(events: float, eight: float, four: float, two: float) -> float:
    """Return the instructions to sum `events` rows: vectors of eight ids, and the mean remainder."""
    vectors = max(events / 8 - 0.5, 0)
    return vectors * eight + four / 2 + two / 2


def ids_bytes(events: float) -> float:
    """Return the bytes of L1 to broadcast a list's ids: for each eight, 16 bytes to each of 32 lanes."""
    return (events / 8 + 0.5) * 16 * LANES


def kernels(task: Task, products: bool = False) -> Iterator[Kernel]:
    """Yield the launches of one training step, in order.

    Parameters
    ----------
    task
        The network and its spikes.
    products
        Whether the first layer's gradient is products of its active units, not sums over events.
    """
    batch, steps = task.batch, task.steps
    words = tiles(steps)
    last = len(task.sizes) - 2
    yield Kernel(
        "upload, unpack",
        memory=batch * task.sizes[0] * (2 * steps / 8 + words * WORD),
        instructions=batch * task.sizes[0] * words,
    )
    for n, (pre, post) in enumerate(zip(task.sizes[:-1], task.sizes[1:], strict=True)):
        events, columns = task.spikes[n], tiles(pre)
        rows = batch * steps
        each = events / steps
        if n == 0:
            yield Kernel(
                "transpose",
                l2=2 * batch * pre * words * WORD,
                instructions=batch * columns * words * 130,
            )
        yield Kernel(
            f"events by step {n}",
            l2=rows * columns * WORD + batch * events * 2,
            instructions=rows * tiles(columns) * (EVENTS_WORD + EVENTS_BIT * max(1.0, 3 * each / columns)),
        )
        separate_drive = batch * tiles(post) < 8 * 132
        if separate_drive or n == last:
            yield Kernel(
                f"dense_drive {n}",
                l2=rows * (each * LANES * WORD + 2 * LANES * WORD) * tiles(post),
                shared=rows * tiles(post) * (each * LANES * WORD + ids_bytes(each)),
                instructions=rows * tiles(post) * (DRIVE_ROW + each * 6),
            )
            yield Kernel(
                f"lif_lateral {n}",
                l2=rows * LANES * WORD * tiles(post),
                instructions=rows * tiles(post) * LIF_STEP,
                chain=steps * 75,
            )
        else:
            fits = 2 * pre * LANES * WORD <= 227 * 1024
            warps = rows * -(-tiles(post) // 2) if fits else rows * tiles(post)
            width = 2 if fits else 1
            row = each * LANES * WORD * width
            # if one tile's weights are larger than L1, a quarter of their rows is assumed to come from L2
            yield Kernel(
                f"dense_forward {n}",
                l2=batch * events * 2 * tiles(post) + (0 if fits else warps * row / 4),
                shared=warps * (row + ids_bytes(each) + 2 * WORD * LANES),
                instructions=warps
                * (
                    FORWARD_STEP * (1 if fits else 0.7)
                    + row_instructions(each, FORWARD_EIGHT, FORWARD_FOUR, FORWARD_TWO)
                ),
            )
    for n in reversed(range(len(task.sizes) - 1)):
        pre, post = task.sizes[n], task.sizes[n + 1]
        pairs = batch * tiles(post)
        gates = pairs * steps * LANES * WORD
        fired = (task.spikes[n + 1] if n < last else 10 * post) / post * LANES  # a tile's spikes
        if n == last:
            yield Kernel("output: gate, psp, error", l2=2 * gates, chain=steps * 60, launches=4)
        if products and n == 0:
            yield from gradient_products(task, fired)
            yield update(task, n)
            continue
        yield Kernel(
            f"gate {n}",
            memory=gates,
            instructions=pairs * (steps * GATE_STEP + fired * GATE_LEAVING),
            chain=steps * 60,
        )
        yield Kernel(
            f"events by unit {n}",
            l2=batch * pre * words * WORD + batch * task.spikes[n] * 2,
            instructions=batch
            * (
                pre * EVENTS_WORD
                + task.active[n] * EVENTS_BIT * 2.5 * task.spikes[n] / task.active[n] / words
            ),
            launches=2,
        )
        each, active = task.spikes[n] / task.active[n], task.active[n]
        shared_limit = 227 * 1024 - 65 * LANES * WORD
        rows_apart = (steps + pre) * LANES * WORD > shared_limit
        yield Kernel(
            f"dense_gradient {n}",
            memory=gates,
            l2=gates + pairs * active * LANES * WORD * (4 if rows_apart else 2) + pairs * task.spikes[n] * 2,
            shared=pairs
            * (active * (each * LANES * WORD + ids_bytes(each) + 5 * LANES * WORD) + 2 * steps * LANES * WORD)
            + (pairs * pre * 7 * LANES * WORD if n else 0),
            instructions=pairs
            * (
                active * (GRADIENT_UNIT + row_instructions(each, GRADIENT_EIGHT, 21, 10) + GRADIENT_ADD)
                + (pre * 20 if n else 0)
            ),
            launches=1 if n == 0 or tiles(post) == 1 else 2,
        )
        yield update(task, n)


def update(task: Task, n: int) -> Kernel:
    """Return the launches that update layer n."""
    post = tiles(task.sizes[n + 1])
    count, groups = task.sizes[n] * post * LANES, max(1, 128 // post)
    return Kernel(
        f"update {n}",
        l2=count * WORD * (7 + 2 * groups),
        instructions=count / LANES * (40 + 6 * groups),
        launches=2,
    )


def gradient_products(task: Task, fired: float) -> Iterator[Kernel]:
    """Yield the launches of the first layer's gradient as products; `fired`: spikes of a post tile in a sample."""
    batch, steps, pre, post = task.batch, task.steps, task.sizes[0], task.sizes[1]
    pairs, words = batch * tiles(post), tiles(steps)
    yield Kernel(
        "events by unit 0",  # counts and order
        l2=batch * pre * words * WORD,
        instructions=batch * tiles(pre) * ORDER_UNITS,
        launches=2,
    )
    products = tiles(math.ceil(task.active[0]))
    products += max(products - 20, 0)  # more than there are warps: twice
    # firings that matter at the end of a segment, of the lane with most: twice the mean within 166 steps
    ends = 2 * fired / LANES * 166 / steps
    gates = steps * LANES * WORD
    yield Kernel(
        "dense_gradient 0",
        l2=pairs
        * (task.active[0] * LANES * WORD * 3 + products * 32 * words * WORD + LANES * words * WORD * 3),
        shared=pairs * (products * gates + 2 * gates),
        instructions=pairs
        * (
            products * (PRODUCT_UNITS + words * PRODUCT_WORD)
            + words * (SEGMENT + SEGMENT_FIRING * ends)
            + steps * SEGMENT_STEP
            + fired * GATE_LEAVING
            + 20 * PRODUCT_WARP
        ),
        # sixteen pre neurons, eight post neurons and sixteen steps, for high and low halves
        halves=pairs * products * 2 * 4 * 2 * (2 * words) * 2 * 16 * 8 * 16,
    )


def dense_floor(task: Task, card: Card) -> dict[str, float]:
    """Return the seconds of an epoch in which every layer is two dense products, forward and gradient.

    Weights and gates are split into high and low halves, which doubles the products; drives and gates are written and
    read once.
    """
    positions = task.samples * task.steps
    pairs = list(zip(task.sizes[:-1], task.sizes[1:], strict=True))
    return {
        "matrix": sum(2 * 2 * 2 * positions * a * b for a, b in pairs) / card.half,
        "memory": sum(4 * WORD * positions * b for _, b in pairs) / card.memory,
    }


def main() -> None:
    """Print the floors of MNIST and N-MNIST."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    card = Card()
    report = {}
    for task in (MNIST, NMNIST):
        dense = dense_floor(task, card)
        for products in (False, True):
            name = f"{task.name}{', products of active units' if products else ''}"
            floors = [kernel.on(card) for kernel in kernels(task, products)]
            total = sum(kernel.floor for kernel in floors) * task.batches
            report[name] = {
                "kernels": [asdict(kernel) | {"floor": kernel.floor} for kernel in floors],
                "epoch_seconds": total,
                "dense_epoch_seconds": dense,
            }
            if args.json:
                continue
            print(f"{name}, batch {task.batch}, on an {card.name}: microseconds per batch")
            print("  ".join([f"  {'kernel':26}", *(f"{bound:>6}" for bound in floors[0].times), " floor"]))
            for kernel in floors:
                times = "".join(f"{1e6 * t:8.1f}" for t in kernel.times.values())
                print(f"  {kernel.name:26}{times}{1e6 * kernel.floor:8.1f} {kernel.bound}")
            launches = sum(kernel.launches for kernel in floors)
            microseconds = 1e6 * total / task.batches
            print(
                f"  all {microseconds:.0f} in {launches} launches and those that report: {total:.3f} s per epoch"
            )
        if not args.json:
            print(
                f"  as dense products: {dense['matrix']:.3f} s at the matrix rate, {dense['memory']:.3f} by memory"
            )
    if args.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
