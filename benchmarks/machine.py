"""What the machine can do at best: the floors that benchmarks compare with."""

import os
import platform
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp


def seconds(call: Callable[[], object], rounds: int = 5) -> float:
    """The fastest of several calls; the first, which compiles, is not counted."""
    jax.block_until_ready(call())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return min(times)


def read_bandwidth() -> float:
    """Bytes per second of a sum over an array far larger than any cache."""
    size = 2**27 if jax.default_backend() == "cpu" else 2**31
    array = jnp.ones((size // 1024, 1024), jnp.float32)
    total = jax.jit(jnp.sum)
    # A GPU takes some tenths of a second to come to its full clock.
    rounds = 5 if jax.default_backend() == "cpu" else 200
    return array.nbytes / seconds(lambda: total(array), rounds)


def matmul_rate(dtype: str, size: int | None = None) -> float:
    """FLOP/s of a square matrix product."""
    size = size or (2048 if jax.default_backend() == "cpu" else 8192)
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = jax.jit(lambda a: a @ a)
    return 2 * size**3 / seconds(lambda: product(a))


def describe() -> str:
    """The machine in words, for the head of a table."""
    device = jax.devices()[0]
    return (
        f"{device.device_kind} ({jax.default_backend()}), {os.cpu_count()} host cores, "
        f"Python {platform.python_version()}, jax {jax.__version__}"
    )
