"""What do Muon's updates cost, beside those of optax.contrib.muon?

    XLA_FLAGS="--xla_force_host_platform_device_count=2 $XLA_FLAGS" python benchmarks/muon.py

The parameters that each stage of the preset tiny trains, with random gradients, replicated over all
devices as `launch/quickstart.sh` has them. Both take turns in one process; the table has the
median of the rounds, and how far the updates' singular values are apart.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import jax
import machine
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from optax.contrib import MuonDimensionNumbers
from optax.contrib import muon as optax_muon

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from configs import stage1, stage3, stage4, stage5
from reasoner_jax.core.sharding import make_mesh
from reasoner_jax.models.presets import preset
from reasoner_jax.training import muon, state
from reasoner_jax.training.lowering import abstract_network
from reasoner_jax.training.stage import Stage

STAGES = {"stage1a": stage1, "stage3": stage3, "stage4": stage4, "stage5": stage5}


def theirs() -> optax.GradientTransformation:
    """optax's, for the matrices that ours moves."""

    def axes(params: optax.Params) -> dict[str, MuonDimensionNumbers]:
        return {
            path: MuonDimensionNumbers((0, 1), 2)
            if muon.is_convolution(path)
            else MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)
            for path, leaf in params.items()
        }

    return optax_muon(-1.0, consistent_rms=0.2, muon_weight_dimension_numbers=axes)


def compare(name: str, rounds: int) -> tuple[str, ...]:
    """A row of the table."""
    stage = Stage.from_config(STAGES[name].get_config("tiny").to_dict())
    mesh = make_mesh(data=-1, fsdp=1)
    network = abstract_network(preset("tiny"), stage, mesh)
    trainable, _ = state.split(network, stage.trainable)
    moved = {path: leaf for path, leaf in trainable.items() if muon.moves(path)}
    keys = jax.random.split(jax.random.key(0), len(moved))
    everywhere = NamedSharding(mesh, PartitionSpec())
    grads = {
        path: jax.device_put(jax.random.normal(key, leaf.shape), everywhere)
        for key, (path, leaf) in zip(keys, moved.items(), strict=True)
    }
    times: list[list[float]] = [[], []]
    with jax.set_mesh(mesh):
        optimizers = [theirs(), muon.scale_by_muon()]
        steps = [jax.jit(each.update, out_shardings=everywhere) for each in optimizers]
        states = [jax.device_put(each.init(grads), everywhere) for each in optimizers]
        spreads = [_spread(step(grads, s, grads)[0]) for step, s in zip(steps, states, strict=True)]
        for _ in range(rounds):
            for mine, step, before in zip(times, steps, states, strict=True):
                start = time.perf_counter()
                jax.block_until_ready(step(grads, before, grads))
                mine.append(time.perf_counter() - start)
    theirs_s, ours_s = map(statistics.median, times)
    size = sum(leaf.size for leaf in moved.values())
    return (
        f"{name}: {size / 1e6:.2f} M parameters",
        f"{1e3 * ours_s:.0f}",
        f"{1e3 * theirs_s:.0f}",
        f"{theirs_s / ours_s:.2f}",
        *(f"{low:.2f} to {high:.2f}" for low, high in reversed(spreads)),
    )


def _spread(updates: dict[str, jax.Array]) -> tuple[float, float]:
    """The 5th and 95th percentile of all singular values over their root mean square."""
    shares = []
    for path, leaf in updates.items():
        values = np.linalg.svd(np.asarray(muon.as_matrices(path, leaf)), compute_uv=False)
        shares.append((values / np.sqrt(np.mean(values**2, axis=1, keepdims=True))).ravel())
    low, high = np.percentile(np.concatenate(shares), [5, 95])
    return float(low), float(high)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{machine.describe()}, {jax.device_count()} devices, optax {optax.__version__}\n")
    titles = ("", "ours, ms", "optax, ms", "optax / ours", "singular values, ours", "optax")
    print(f"| {' | '.join(titles)} |")
    print(f"|{'---|' * len(titles)}")
    for name in STAGES:
        print(f"| {' | '.join(compare(name, rounds))} |", flush=True)


if __name__ == "__main__":
    main()
