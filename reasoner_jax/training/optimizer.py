"""AdamW or Muon as a stage describes it; knows parameter paths and shapes, no network."""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from reasoner_jax.training import muon
from reasoner_jax.training.stage import Optimizer


def learning_rate(optimizer: Optimizer, num_steps: int) -> optax.Schedule:
    """The rate of each step: linear from 0 to the peak, then a cosine to `final_share` of it."""
    warmup = min(optimizer.warmup_steps, num_steps)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else optimizer.peak_rate,
        peak_value=optimizer.peak_rate,
        warmup_steps=warmup,
        decay_steps=max(num_steps, warmup + 1),
        end_value=optimizer.peak_rate * optimizer.final_share,
    )


def make_optimizer(
    optimizer: Optimizer, num_steps: int, params: Mapping[str, jax.Array | jax.ShapeDtypeStruct]
) -> optax.GradientTransformation:
    """The transformation of gradients into updates.

    Args:
        optimizer: the settings.
        num_steps: of the whole run, for the cosine.
        params: trainable parameters by path; only paths and shapes are read.

    Raises:
        ValueError: a factor's pattern matches no trainable parameter.
    """
    factors = {path: _factor(optimizer, path) for path in params}
    for rate in optimizer.factors:
        if not any(re.fullmatch(rate.pattern, path) for path in params):
            raise ValueError(
                f"optimizer.factors: {rate.pattern!r} matches no trainable parameter; they are "
                f"{', '.join(sorted(params)[:8])} .."
            )
    decays = {path: path.endswith("kernel") for path in params}
    steps = [
        optax.clip_by_global_norm(optimizer.clip_norm) if optimizer.clip_norm else None,
        _direction(optimizer, params),
        optax.add_decayed_weights(optimizer.weight_decay, mask=decays),
        optax.stateless(lambda updates, _: {p: u * factors[p] for p, u in updates.items()}),
        optax.scale_by_learning_rate(learning_rate(optimizer, num_steps)),
    ]
    return optax.chain(*filter(None, steps))


def _direction(
    optimizer: Optimizer, params: Mapping[str, jax.Array | jax.ShapeDtypeStruct]
) -> optax.GradientTransformation:
    """Gradients to updates of a root mean square near 1 (Adam) or 0.2 (Muon), before any rate."""
    if optimizer.method == "adamw":
        return optax.scale_by_adam(optimizer.b1, optimizer.b2, optimizer.epsilon)
    # Nesterov's momentum in both.
    rest = optax.scale_by_adam(optimizer.b1, optimizer.b2, optimizer.epsilon, nesterov=True)
    kinds = {path: "muon" if muon.moves(path) else "adam" for path in params}
    return optax.partition({"muon": muon.scale_by_muon(), "adam": rest}, kinds)


def _factor(optimizer: Optimizer, path: str) -> float:
    for rate in optimizer.factors:
        if re.fullmatch(rate.pattern, path):
            return rate.factor
    return 1.0


def average(
    old: dict[str, jax.Array], new: dict[str, jax.Array], decay: float, step: jax.Array
) -> dict[str, jax.Array]:
    """The exponential moving average after one more step; early steps count more (warm-up)."""
    rate = jnp.minimum(decay, (1 + step) / (10 + step))
    return {path: rate * old[path] + (1 - rate) * new[path] for path in new}
