"""The talker's compiled steps: blocks of codes for many replies at once; knows no text."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.core.text_feed import TEXT_END, TEXT_PAD
from reasoner_jax.generation.sampling import Rules, SamplingKind, choose
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.models.talker import Talker
from reasoner_jax.text.schedule import Stream


@flax.struct.dataclass
class TalkerRows:
    """What is kept on the device, a row a reply.

    Attributes:
        cache: of the talker.
        last: the code said last; the start code at first.
        num_codes: said so far, the end included.
        finished: the end code has been said.
        keys: a random key a row.
        seen: codes said, twice over as `sampling.choose` wants them; None unless penalised.
    """

    cache: KVCache
    last: Int[Array, " B"]
    num_codes: Int[Array, " B"]
    finished: Bool[Array, " B"]
    keys: Array
    seen: Bool[Array, "B 2 V"] | None


def with_room(rows: TalkerRows, steps: int) -> TalkerRows:
    """Rows whose cache can take so many steps more; it doubles when it must."""
    needed = int(jnp.max(rows.cache.lengths)) + steps
    capacity = rows.cache.capacity
    if needed <= capacity:
        return rows
    return rows.replace(cache=rows.cache.with_capacity(max(2 * capacity, needed)))


@functools.partial(jax.jit, static_argnames="talker")
def prefill(
    talker: Talker,
    params: Params,
    cache: KVCache,
    prompts: Float[Array, "B L D"],
    lengths: Int[Array, " B"],
    speaker_start: Float[Array, " D"],
) -> KVCache:
    """The cache after the prompts and the voice's start token, which stands right behind each."""
    variables = {"params": params}
    pad = jnp.array([talker.config.codec_pad_token_id])
    start = speaker_start + talker.apply(variables, pad, method="embed_codes")[0]
    vectors = prompts.at[jnp.arange(len(lengths)), lengths].set(start)
    return talker.apply(variables, vectors, cache=cache, num_tokens=lengths + 1)[1]


@functools.partial(jax.jit, static_argnames=("talker", "kind"), donate_argnames="rows")
def say(
    talker: Talker,
    kind: SamplingKind,
    params: Params,
    rules: Rules,
    rows: TalkerRows,
    vectors: Float[Array, "B N D"],
    sources: Int[Array, "B N"],
    counts: Int[Array, " B"],
    marks: Float[Array, "2 D"],
    centres: Float[Array, "C M"] | None = None,
) -> tuple[TalkerRows, Int[Array, "B N"]]:
    """Up to N steps; a row takes `counts` of them unless it ends before, and is -1 after them.

    With the centres of a codebook, a code that is drawn gives way to `central_code`.
    """
    marked = jnp.where((sources == TEXT_END)[..., None], marks[0], vectors)
    marked = jnp.where((sources == TEXT_PAD)[..., None], marks[1], marked)
    step = functools.partial(_step, talker, kind, params, rules, centres)

    def say_next(time: Array, state: tuple[TalkerRows, Array]) -> tuple[TalkerRows, Array]:
        rows, codes = state
        inputs = marked[:, time], sources[:, time] < 0, time < counts
        rows, code = step(rows, inputs)
        return rows, codes.at[:, time].set(code)

    return jax.lax.fori_loop(0, counts.max(), say_next, (rows, jnp.full(sources.shape, -1)))


def _step(
    talker: Talker,
    kind: SamplingKind,
    params: Params,
    rules: Rules,
    centres: Float[Array, "C M"] | None,
    rows: TalkerRows,
    inputs: tuple[Float[Array, "B D"], Bool[Array, " B"], Bool[Array, " B"]],
) -> tuple[TalkerRows, Int[Array, " B"]]:
    """One code of each row that goes on; the speech cannot end while there is text to read."""
    text, may_end, due = inputs
    config, variables = talker.config, {"params": params}
    going = due & ~rows.finished
    vectors = text + talker.apply(variables, rows.last, method="embed_codes")
    logits, cache = talker.apply(
        variables, vectors[:, None], cache=rows.cache, num_tokens=going.astype(jnp.int32)
    )
    ends = jnp.array([config.codec_end_token_id, config.codec_pad_token_id])
    is_end = jnp.isin(jnp.arange(config.vocab_size), ends)
    scores = jnp.where(is_end & ~may_end[:, None], -jnp.inf, logits[:, 0])
    keys = jax.vmap(jax.random.fold_in)(rows.keys, rows.num_codes) if kind.random else None
    speech = jnp.full(going.shape, Stream.RESPONSE)
    code = choose(scores, _allowed(config), speech, rules, kind, keys=keys, seen=rows.seen)
    if centres is not None:
        code = jnp.where(code < len(centres), central_code(scores, centres), code)
    finished = rows.finished | (going & jnp.isin(code, ends))
    seen = rows.seen
    if seen is not None:
        said = jnp.where(going, code, config.vocab_size)
        seen = seen.at[jnp.arange(len(code)), :, said].set(True, mode="drop")
    rows = rows.replace(
        cache=cache,
        last=jnp.where(going, code, rows.last),
        num_codes=rows.num_codes + going,
        finished=finished,
        seen=seen,
    )
    return rows, jnp.where(going & ~finished, code, -1)


def central_code(scores: Float[Array, "B V"], centres: Float[Array, "C M"]) -> Int[Array, " B"]:
    """The sound that is nearest, on average, to all that may come: the least expected distance.

    One sound has many codes, and the most probable of them all may belong to another: where the
    last "n" of "sixteen" is shared out among ten codes, a single code of silence wins, and "sixty"
    is heard. Squared distances make it the code nearest to the expected centre. Of one network's
    239 right answers Whisper-tiny heard 211 with it, 200 with the most probable codes.

    Args:
        scores: of each row's next code; those from C on are no sound.
        centres: what each code stands for.
    """
    expected = jax.nn.softmax(scores[:, : len(centres)], axis=-1) @ centres
    distances = (centres**2).sum(axis=1) - 2 * expected @ centres.T
    return jnp.argmin(distances, axis=-1).astype(jnp.int32)


def _allowed(config: TalkerConfig) -> Bool[Array, "2 V"]:
    """Codes that are sound, and those that end it."""
    ends = (config.codec_end_token_id, config.codec_pad_token_id)
    special = (*ends, config.codec_start_token_id, config.codec_mask_token_id)
    codes = np.arange(config.vocab_size)
    allowed = (codes < min(special)) | np.isin(codes, ends)
    return jnp.asarray(np.stack([allowed, allowed]))
