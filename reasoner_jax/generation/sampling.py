"""How the next token is drawn from the scores, for thoughts and speech apart; knows no schedule."""

import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.text.schedule import Stream


@dataclasses.dataclass(frozen=True)
class Draw:
    """How one stream is sampled. The default is greedy.

    Attributes:
        temperature: divides the scores; 0 takes the best token.
        top_k: only the k best tokens; 0 for all.
        top_p: only the best tokens that together have this probability.
        repetition_penalty: divides a positive score (multiplies a negative one) of every token
            that the stream has emitted before; 1 changes nothing.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.temperature) or self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}, expected 0 (greedy) or more")
        if not isinstance(self.top_k, int) or self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k!r}, expected an integer of 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected 0 < top_p <= 1")
        if not np.isfinite(self.repetition_penalty) or self.repetition_penalty <= 0:
            raise ValueError(
                f"repetition_penalty is {self.repetition_penalty}, expected more than 0; 1 for none"
            )


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a reply is sampled.

    Attributes:
        response: what is said.
        reasoning: what is thought.
        seed: equal seeds draw equal replies, in whatever batches the questions are answered.
    """

    response: Draw = Draw()
    reasoning: Draw = Draw()
    seed: int = 0

    @property
    def kind(self) -> "SamplingKind":
        """What the compiled sampler has to be able to do."""
        draws = (self.response, self.reasoning)
        random = any(draw.temperature > 0 for draw in draws)
        cuts = any(draw.top_k or draw.top_p < 1 for draw in draws)
        return SamplingKind(
            random=random,
            cuts=random and cuts,
            penalises=any(draw.repetition_penalty != 1 for draw in draws),
        )

    def rules(self) -> "Rules":
        """The numbers for the compiled sampler."""
        draws = (self.response, self.reasoning)

        def column(name: str, dtype: type) -> np.ndarray:
            return np.array([getattr(draw, name) for draw in draws], dtype)

        return Rules(
            temperature=column("temperature", np.float32),
            top_k=column("top_k", np.int32),
            top_p=column("top_p", np.float32),
            repetition_penalty=column("repetition_penalty", np.float32),
        )


GREEDY = Sampling()


@dataclasses.dataclass(frozen=True)
class SamplingKind:
    """The parts of the sampler that are compiled; a greedy one neither sorts nor draws."""

    random: bool
    cuts: bool
    penalises: bool


@flax.struct.dataclass
class Rules:
    """`Draw` of response (0) and reasoning (1), as arrays."""

    temperature: Float[Array, "2"]
    top_k: Int[Array, "2"]
    top_p: Float[Array, "2"]
    repetition_penalty: Float[Array, "2"]


def stream_row(streams: Int[Array, " B"]) -> Int[Array, " B"]:
    """Index of a free slot's stream in tables with a row for response and one for reasoning."""
    return (streams == Stream.REASONING).astype(jnp.int32)


def row_keys(seed: int, rows: Int[np.ndarray, " B"]) -> Array:
    """A random key for each question, by its number among all."""
    return jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(jnp.asarray(rows))


def choose(
    logits: Float[Array, "B V"],
    allowed: Bool[Array, "2 V"],
    streams: Int[Array, " B"],
    rules: Rules,
    kind: SamplingKind,
    *,
    keys: Array | None = None,
    seen: Bool[Array, "B 2 V"] | None = None,
) -> Int[Array, " B"]:
    """Draws a token a row.

    In the order of `transformers`: penalty, temperature, top-k, top-p.

    Args:
        logits: float32 scores.
        allowed: tokens that a response and a reasoning slot may hold.
        streams: RESPONSE or REASONING of each row's slot.
        rules, kind: of a `Sampling`.
        keys: one a row, for this token alone; where `kind.random`.
        seen: tokens that each stream has emitted; where `kind.penalises`.
    """
    row = stream_row(streams)
    if kind.penalises:
        assert seen is not None
        penalty = rules.repetition_penalty[row][:, None]
        penalised = jnp.where(logits > 0, logits / penalty, logits * penalty)
        emitted = jnp.take_along_axis(seen, row[:, None, None], axis=1)[:, 0]
        logits = jnp.where(emitted, penalised, logits)
    logits = jnp.where(allowed[row], logits, -jnp.inf)
    best = jnp.argmax(logits, axis=-1)
    if not kind.random:
        return best.astype(jnp.int32)
    assert keys is not None
    temperature = rules.temperature[row][:, None]
    logits = logits / jnp.where(temperature > 0, temperature, 1)
    if kind.cuts:
        logits = _cut(logits, rules.top_k[row], rules.top_p[row])
    noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:]))(keys)
    drawn = jnp.argmax(logits + noise, axis=-1)
    return jnp.where(temperature[:, 0] > 0, drawn, best).astype(jnp.int32)


def _cut(
    logits: Float[Array, "B V"], top_k: Int[Array, " B"], top_p: Float[Array, " B"]
) -> Float[Array, "B V"]:
    """Leaves the k best tokens, and of them the best with probability p; the best always stays."""
    vocab_size = logits.shape[-1]
    ordered = -jnp.sort(-logits, axis=-1)
    ranks = jnp.arange(vocab_size)
    ordered = jnp.where(ranks < jnp.where(top_k > 0, top_k, vocab_size)[:, None], ordered, -jnp.inf)
    probabilities = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    kept = ((before < top_p[:, None]) & jnp.isfinite(ordered)).at[:, 0].set(True)
    lowest = jnp.min(jnp.where(kept, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits >= lowest, logits, -jnp.inf)
