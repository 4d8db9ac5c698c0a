"""How well the talker says what the thinker has written; knows no stage, no data, no codec.

The talker reads the thinker's vectors at the places that `batch.code_sources` names and nowhere
else: those of the response, and of the prompt where it reads one. Reasoning never reaches it.
"""

import jax
import jax.numpy as jnp
import optax

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.core.records import Batch
from reasoner_jax.core.text_feed import TEXT_END, TEXT_PAD, TEXT_START
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.talker import token_vectors
from reasoner_jax.models.thinker import ThinkerOutput
from reasoner_jax.text.schedule import Stream


def talker_loss(
    omni: Omni, params: Params, output: ThinkerOutput, batch: Batch
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy of the codes of a batch.

    Args:
        omni: the modules; its own parameters are not used.
        params: {"thinker": .., "talker": ..}; of the thinker, the embedding table alone.
        output: of the thinker for `batch.tokens`.
        batch: with codes.

    Returns:
        Sums over the batch: cross-entropy in nats, codes that were the likeliest, codes.

    Raises:
        ValueError: a batch without codes, or a network without a talker.
    """
    if batch.codes is None or batch.code_inputs is None or batch.code_sources is None:
        raise ValueError(
            "the batch has no speech codes; take a lesson with codes=True and a data set whose "
            "responses are spoken"
        )
    talker, variables = omni.talker, {"params": params["talker"]}
    vectors = text_vectors(omni, params, output, batch)
    said = talker.apply(variables, jnp.maximum(batch.code_inputs, 0), method="embed_codes")
    vectors = vectors + jnp.where(batch.code_inputs[..., None] >= 0, said, 0)
    logits, _ = talker.apply(
        variables, vectors, step_positions(batch.code_segment_ids), batch.code_segment_ids
    )
    is_target = batch.codes >= 0
    targets = jnp.maximum(batch.codes, 0)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    correct = is_target & (jnp.argmax(logits, axis=-1) == targets)
    return (
        jnp.sum(jnp.where(is_target, each, 0)),
        jnp.sum(correct).astype(jnp.float32),
        jnp.sum(is_target).astype(jnp.float32),
    )


def text_vectors(
    omni: Omni, params: Params, output: ThinkerOutput, batch: Batch
) -> Float[Array, "B K D"]:
    """What the talker reads at each step, the codes left out."""
    is_audio: Bool[Array, "B L"] = batch.tokens == omni.config.thinker.audio_token_id
    share = omni.talker.config.hidden_share
    of_tokens = token_vectors(
        output.hidden_states, output.embeddings, is_audio, _is_said(batch), share
    )
    sources = batch.code_sources
    read = jnp.take_along_axis(of_tokens, jnp.maximum(sources, 0)[..., None], axis=1)
    marks = mark_vectors(omni, params).astype(read.dtype)
    for number, mark in zip((TEXT_START, TEXT_END, TEXT_PAD), marks, strict=True):
        read = jnp.where((sources == number)[..., None], mark, read)
    return read


def _is_said(batch: Batch) -> Bool[Array, "B L"]:
    """Which tokens are of a response; `batch.streams` are those of the targets, one step on."""
    continues = batch.segment_ids[:, 1:] == batch.segment_ids[:, :-1]
    said = continues & (batch.streams[:, :-1] == Stream.RESPONSE)
    return jnp.pad(said, ((0, 0), (1, 0)))


def mark_vectors(omni: Omni, params: Params) -> Float[Array, "3 D"]:
    """Embeddings of text start, text end and text pad."""
    config: TalkerConfig = omni.talker.config
    ids = [config.text_start_token_id, config.text_end_token_id, config.text_pad_token_id]
    variables = {"params": params["thinker"]}
    return omni.thinker.apply(variables, jnp.array([ids]), method="embed")[0]


def step_positions(segment_ids: Int[Array, "B K"]) -> Int[Array, "B K"]:
    """0, 1, 2 .. from the start of each segment."""
    steps = jnp.broadcast_to(jnp.arange(segment_ids.shape[1]), segment_ids.shape)
    begins = jnp.diff(segment_ids, axis=1, prepend=-1) != 0
    return steps - jax.lax.cummax(jnp.where(begins, steps, 0), axis=1)
