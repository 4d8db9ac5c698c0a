"""The talker: turns the thinker's vectors into speech codes; knows no waveform and no schedule.

At every step the talker reads one vector, the sum of a *text* vector (what to say, made of thinker
states) and a *code* vector (the last code it spoke):

    prompt positions      hidden + embedding (audio: hidden alone)          no code
    speaker start         embedding of the voice's start token              codec pad
    first reply token     hidden + embedding                                codec start
    reply token i         hidden + embedding                                code i - 1
    after the reply       text end once, then text pad                      code i - 1

Source: transformers `Qwen2_5OmniTalkerForConditionalGeneration` and the talker part of
`Qwen2_5OmniForConditionalGeneration.generate`; parameter names are the checkpoint's.
"""

import jax.numpy as jnp
from flax import linen as nn

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.config import Compute, TalkerConfig
from reasoner_jax.models.decoder import Decoder
from reasoner_jax.models.layers import Dense


class Talker(nn.Module):
    config: TalkerConfig
    compute: Compute

    def setup(self) -> None:
        config, compute = self.config, self.compute
        self.model = Decoder(config.decoder, compute, config.vocab_size, config.embedding_width)
        self.thinker_to_talker_proj = Dense(config.decoder.width, (None, "embed"), compute)
        self.codec_head = Dense(config.vocab_size, ("embed", "vocab"), compute, use_bias=False)

    def embed_codes(self, codes: Int[Array, "B L"]) -> Float[Array, "B L E"]:
        """Code vectors, as wide as the thinker."""
        return self.model.embed(codes)

    def prompt(
        self,
        prompt_vectors: Float[Array, "B L E"],
        speaker_start: Float[Array, "B E"],
        first_reply: Float[Array, "B E"],
    ) -> Float[Array, "B L2 E"]:
        """What the talker reads before its first code: L prompt positions and two more.

        Args:
            prompt_vectors: see `prompt_vectors`.
            speaker_start: thinker embedding of the voice's start token.
            first_reply: vector of the first reply token, see `reply_vectors`.
        """
        pad, start = self.embed_codes(
            jnp.array([self.config.codec_pad_token_id, self.config.codec_start_token_id])
        )
        last_two = jnp.stack([speaker_start + pad, first_reply + start], axis=1)
        return jnp.concatenate([prompt_vectors, last_two], axis=1)

    def __call__(
        self,
        vectors: Float[Array, "B L E"],
        positions: Int[Array, "B L"] | Int[Array, "3 B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
        cache: KVCache | None = None,
        num_tokens: Int[Array, " B"] | None = None,
    ) -> tuple[Float[Array, "B L V"], KVCache | None]:
        """Scores of the next code, float32, and the cache.

        Args:
            vectors: text vector + code vector of each step.
            positions, segment_ids, cache, num_tokens: see `Decoder`.
        """
        x = self.thinker_to_talker_proj(vectors)
        hidden, cache = self.model(x, positions, segment_ids, cache, num_tokens)
        return self.codec_head(hidden).astype(jnp.float32), cache

    def full_logits(
        self, vectors: Float[Array, "B L E"], codes: Int[Array, "B L"], **inputs: Array
    ) -> Float[Array, "B L V"]:
        """Scores for text vectors and the codes beside them; initialises every parameter."""
        return self(vectors + self.embed_codes(codes), **inputs)[0]


def prompt_vectors(
    hidden_states: Float[Array, "B L D"],
    embeddings: Float[Array, "B L D"],
    is_audio: Bool[Array, "B L"],
) -> Float[Array, "B L D"]:
    """Text vectors of the prompt: an audio position contributes its hidden state only."""
    return hidden_states + jnp.where(is_audio[..., None], 0, embeddings)


def reply_vectors(
    hidden_states: Float[Array, "B L D"],
    embeddings: Float[Array, "B L D"],
    hidden_share: float = 1.0,
) -> Float[Array, "B L D"]:
    """Text vectors of reply tokens.

    Following `generate`, the pair of reply token i is the embedding of token i and the hidden state
    computed when token i was the input.

    Args:
        hidden_states, embeddings: of the thinker.
        hidden_share: of the hidden state that is added, see `TalkerConfig`.
    """
    return hidden_share * hidden_states + embeddings


def token_vectors(
    hidden_states: Float[Array, "B L D"],
    embeddings: Float[Array, "B L D"],
    is_audio: Bool[Array, "B L"],
    is_said: Bool[Array, "B L"],
    hidden_share: float,
) -> Float[Array, "B L D"]:
    """Text vectors of prompt and reply in one: `reply_vectors` of what is said of the response."""
    of_prompt = prompt_vectors(hidden_states, embeddings, is_audio)
    of_reply = reply_vectors(hidden_states, embeddings, hidden_share)
    return jnp.where(is_said[..., None], of_reply, of_prompt)
