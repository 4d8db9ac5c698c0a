"""The thinker: hears audio tokens, reads text tokens, predicts the next token; knows no speech.

Source: transformers `Qwen2_5OmniThinkerForConditionalGeneration` (without its visual tower);
parameter names are its checkpoint's.
"""

import flax
import jax.numpy as jnp
from flax import linen as nn

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.sharding import constrain
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.audio_encoder import AudioEncoder
from reasoner_jax.models.config import Compute, ThinkerConfig
from reasoner_jax.models.decoder import Decoder
from reasoner_jax.models.layers import Dense


@flax.struct.dataclass
class ThinkerOutput:
    """What the thinker knows about each of L tokens; the talker reads the sum of the first two.

    Attributes:
        hidden_states: after the final norm.
        embeddings: the input vectors, audio in place.
        cache: with these tokens added, if one was given.
    """

    hidden_states: Float[Array, "B L D"]
    embeddings: Float[Array, "B L D"]
    cache: KVCache | None = None


class Thinker(nn.Module):
    config: ThinkerConfig
    compute: Compute

    def setup(self) -> None:
        config, compute = self.config, self.compute
        spells = config.blank_token_id is not None
        self.audio_tower = AudioEncoder(config.audio, compute, starts_silent=spells)
        self.model = Decoder(config.decoder, compute, config.vocab_size, config.decoder.width)
        if not config.tie_embeddings:
            self.lm_head = Dense(config.vocab_size, ("embed", "vocab"), compute, use_bias=False)
        if spells:
            # By way of a narrow layer, as in the run that spelled best; never compared alone.
            self.ctc_proj = Dense(config.audio.output_width, ("embed", None), compute)
            self.ctc_head = Dense(config.vocab_size, ("embed", "vocab"), compute)

    def encode_audio(
        self, mel: Float[Array, "B C F M"], frames: Int[Array, "B C"]
    ) -> tuple[Float[Array, "B A D"], Bool[Array, "B A"]]:
        """Audio tokens of a row's chunks in one line, and which of them are valid."""
        return self.hear(mel, frames)[:2]

    def hear(
        self, mel: Float[Array, "B C F M"], frames: Int[Array, "B C"]
    ) -> tuple[Float[Array, "B A D"], Bool[Array, "B A"], Float[Array, "B A V"] | None]:
        """As `encode_audio`, and the CTC head's scores of every audio token.

        What the head spells is added to the audio tokens in the decoder's own words: the mean of
        the embeddings, weighted by their probabilities. A decoder that can read can then hear, so
        the adapter starts silent, and learns to say what spelling leaves out.
        """
        features, valid = self.audio_tower.features(mel, frames)
        features = features.reshape(len(features), -1, features.shape[-1])
        valid = valid.reshape(len(valid), -1)
        audio = self.audio_tower.proj(features)
        if self.config.blank_token_id is None:
            return audio, valid, None
        spelling = self.ctc_head(self.ctc_proj(features)).astype(jnp.float32)
        words = self.model.expected_embedding(nn.softmax(spelling))
        return audio + words, valid, spelling

    def embed(
        self,
        tokens: Int[Array, "B L"],
        audio: Float[Array, "B A D"] | None = None,
        audio_valid: Bool[Array, "B A"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Token vectors; a row's i-th placeholder becomes its i-th valid audio token."""
        embeddings = self.model.embed(tokens)
        if audio is None:
            return embeddings
        placeholder = tokens == self.config.audio_token_id
        return place_audio(embeddings, placeholder, audio, audio_valid)

    def __call__(
        self,
        tokens: Int[Array, "B L"],
        mel: Float[Array, "B C F M"] | None = None,
        frames: Int[Array, "B C"] | None = None,
        positions: Int[Array, "B L"] | Int[Array, "3 B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
        cache: KVCache | None = None,
        num_tokens: Int[Array, " B"] | None = None,
    ) -> ThinkerOutput:
        """Encodes the audio, puts it in place, runs the decoder.

        Args:
            tokens: text with one placeholder (`config.audio_token_id`) per audio token.
            mel: chunks of log-mel frames, in the order of the placeholders; None for text only.
            frames: valid frames of each chunk.
            positions, segment_ids, cache, num_tokens: see `Decoder`.
        """
        audio, valid = (None, None) if mel is None else self.encode_audio(mel, frames)
        embeddings = self.embed(tokens, audio, valid)
        return self.decode(embeddings, positions, segment_ids, cache, num_tokens)

    def decode(
        self,
        embeddings: Float[Array, "B L D"],
        positions: Int[Array, "B L"] | Int[Array, "3 B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
        cache: KVCache | None = None,
        num_tokens: Int[Array, " B"] | None = None,
    ) -> ThinkerOutput:
        """The decoder alone, on vectors made by `embed`; see `Decoder`."""
        embeddings = constrain(embeddings, "batch", "length", "activation_embed")
        hidden, cache = self.model(embeddings, positions, segment_ids, cache, num_tokens)
        return ThinkerOutput(hidden, embeddings, cache)

    def logits(self, hidden_states: Float[Array, "B L D"]) -> Float[Array, "B L V"]:
        """Scores of the next token, float32."""
        if self.config.tie_embeddings:
            scores = self.model.unembed(hidden_states)
        else:
            scores = self.lm_head(hidden_states)
        return constrain(scores.astype(jnp.float32), "batch", "length", "vocab")

    def full_logits(self, tokens: Int[Array, "B L"], **inputs: Array) -> Float[Array, "B L V"]:
        """`logits` of `__call__`; touches every parameter, so it is what initialises them."""
        return self.logits(self(tokens, **inputs).hidden_states)


def place_audio(
    embeddings: Float[Array, "B L D"],
    placeholder: Bool[Array, "B L"],
    audio: Float[Array, "B A D"],
    valid: Bool[Array, "B A"],
) -> Float[Array, "B L D"]:
    """Replaces each row's i-th placeholder by its i-th valid audio token.

    With placeholders at 1 and 2, and the middle audio token invalid (padding of a short chunk):

        [t0 __ __ t3], audio [a0 a1 a2], valid [1 0 1]  ->  [t0 a0 a2 t3]

    Surplus placeholders repeat the last audio token; `Omni` refuses such input beforehand.
    """
    in_order = jnp.argsort(~valid, axis=1, stable=True)
    rank = jnp.clip(jnp.cumsum(placeholder, axis=1) - 1, 0, audio.shape[1] - 1)
    source = jnp.take_along_axis(in_order, rank, axis=1)
    placed = jnp.take_along_axis(audio, source[..., None], axis=1).astype(embeddings.dtype)
    return jnp.where(placeholder[..., None], placed, embeddings)
