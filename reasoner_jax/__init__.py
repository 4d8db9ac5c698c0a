"""Speech models that think while they speak, in JAX and Flax.

import reasoner_jax as rj

omni = rj.load("path/to/checkpoint")
logits = omni.logits(tokens, mel, mel_lengths)
"""

import importlib
from typing import Any

# Names are imported when first used: a worker that only cuts text must not wait for JAX.
_NAMES = {
    "load": "reasoner_jax.weights.load",
    "save": "reasoner_jax.weights.load",
    "extend_vocabulary": "reasoner_jax.weights.load",
    "Omni": "reasoner_jax.models.omni",
    "Compute": "reasoner_jax.models.config",
    "preset": "reasoner_jax.models.presets",
    "make_mesh": "reasoner_jax.core.sharding",
    "log_mel": "reasoner_jax.audio.log_mel",
    "Schedule": "reasoner_jax.text.schedule",
    "interleave": "reasoner_jax.text.interleave",
    "deinterleave": "reasoner_jax.text.interleave",
    "answer": "reasoner_jax.generation.stream",
    "stream": "reasoner_jax.generation.stream",
    "listen": "reasoner_jax.generation.listen",
    "score": "reasoner_jax.evaluation.scorer",
    "score_normalised": "reasoner_jax.evaluation.scorer",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'reasoner_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return __all__
