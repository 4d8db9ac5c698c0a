"""Corpora of written problems, by name; knows neither speech nor tokens."""

from typing import Any

from reasoner_jax.sources.base import Source
from reasoner_jax.sources.gsm8k import Gsm8k
from reasoner_jax.sources.metamath import MetaMath
from reasoner_jax.sources.orca_math import OrcaMath
from reasoner_jax.sources.simple_op import SimpleOp
from reasoner_jax.sources.spoken_facts import SpokenFacts
from reasoner_jax.sources.spoken_mqa import SpokenMqa

# A new corpus is one file and one line here.
SOURCES: dict[str, type] = {
    "gsm8k": Gsm8k,
    "metamath": MetaMath,
    "orca_math": OrcaMath,
    "simple_op": SimpleOp,
    "spoken_facts": SpokenFacts,
    "spoken_mqa": SpokenMqa,
}


def source(name: str, **options: Any) -> Source:
    """The corpus of that name, e.g. "gsm8k" with location="train.jsonl".

    Args:
        name: one of `SOURCES`.
        **options: the fields of its class.

    Raises:
        ValueError: an unknown corpus, or an option that it does not have.
    """
    if name not in SOURCES:
        raise ValueError(f"no corpus {name!r}; expected one of {sorted(SOURCES)}")
    try:
        return SOURCES[name](**options)
    except TypeError as error:
        raise ValueError(f"corpus {name!r}: {error}; see its class for the options") from error
