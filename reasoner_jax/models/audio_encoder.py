"""The audio encoder: log-mel to audio tokens, a 2-second chunk at a time; knows no text.

In Qwen2.5-Omni neither attention nor positions cross a chunk of 200 mel frames, so here a chunk is
a batch element. Shapes are static, and speech can be encoded while it is still being spoken: a
chunk is final as soon as its last frame is there.

Source: transformers `Qwen2_5OmniAudioEncoder`; parameter names are its checkpoint's.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.sharding import constrain
from reasoner_jax.models import attention
from reasoner_jax.models.config import AudioEncoderConfig, Compute
from reasoner_jax.models.decoder import REMAT_POLICIES
from reasoner_jax.models.layers import Conv1d, Dense, LayerNorm, unroll


def split_chunks(
    mel: Float[Array, "B T M"], lengths: Int[Array, " B"], chunk_frames: int
) -> tuple[Float[Array, "B C F M"], Int[Array, "B C"]]:
    """Cuts a batch of mels into chunks of `chunk_frames`.

    With chunks of 4 frames, a mel of 6 frames becomes two chunks with 4 and 2 valid frames:

        [a b c d e f]  ->  [[a b c d] [e f 0 0]], [4, 2]

    Args:
        mel: frames at and after a row's length are ignored.
        lengths: valid frames of each row.
        chunk_frames: frames a chunk.
    """
    num_chunks = -(-mel.shape[1] // chunk_frames)
    padding = num_chunks * chunk_frames - mel.shape[1]
    mel = jnp.pad(mel, ((0, 0), (0, padding), (0, 0)))
    chunks = mel.reshape(mel.shape[0], num_chunks, chunk_frames, mel.shape[2])
    starts = jnp.arange(num_chunks) * chunk_frames
    return chunks, jnp.clip(lengths[:, None] - starts, 0, chunk_frames)


def num_chunk_tokens(frames: Int[Array, "..."]) -> Int[Array, "..."]:
    """Audio tokens of a chunk: frames halved by a convolution (up), then by pooling (down)."""
    return (frames + 1) // 2 // 2


class AudioAttention(nn.Module):
    config: AudioEncoderConfig
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B L D"]:
        config = self.config

        def heads(name: str, use_bias: bool) -> Float[Array, "B L N H"]:
            axes = ("embed", "heads")
            dense = Dense(config.width, axes, self.compute, use_bias=use_bias, name=name)
            return dense(x).reshape(*x.shape[:2], config.num_heads, -1)

        out = attention.attend(
            heads("q_proj", True),
            heads("k_proj", False),
            heads("v_proj", True),
            causal=False,
            kv_lengths=lengths,
            implementation=self.compute.attention,
        )
        out = out.reshape(x.shape)
        return Dense(config.width, ("heads", "embed"), self.compute, name="out_proj")(out)


class AudioEncoderLayer(nn.Module):
    config: AudioEncoderConfig
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], lengths: Int[Array, " B"]
    ) -> tuple[Float[Array, "B L D"], None]:
        config, compute = self.config, self.compute
        normed = LayerNorm(compute, name="self_attn_layer_norm")(x)
        x = x + AudioAttention(config, compute, name="self_attn")(normed, lengths)
        normed = LayerNorm(compute, name="final_layer_norm")(x)
        wide = Dense(config.mlp_width, ("embed", "mlp"), compute, name="fc1")(normed)
        wide = nn.gelu(wide, approximate=False)
        x = x + Dense(config.width, ("mlp", "embed"), compute, name="fc2")(wide)
        return constrain(x, "batch", None, "activation_embed"), None


class AudioEncoder(nn.Module):
    """Convolutions, layers, and the adapter `proj` to the thinker's width.

    Attributes:
        starts_silent: whether a new adapter passes nothing on, see `Thinker.hear`.
    """

    config: AudioEncoderConfig
    compute: Compute
    starts_silent: bool = False

    def setup(self) -> None:
        config, compute = self.config, self.compute
        stride = 2 if config.halves_early else 1
        self.conv1 = Conv1d(
            config.width, 3, compute, stride=stride, padding=(1, 1), axes=(None, "embed")
        )
        self.conv2 = Conv1d(
            config.width, 3, compute, stride=2, padding=(1, 1), axes=("channels", "embed")
        )
        block = AudioEncoderLayer
        if compute.remat != "none":
            policy = REMAT_POLICIES[compute.remat]
            looped = compute.scan_layers and unroll(config.num_layers) == 1
            block = nn.remat(block, policy=policy, prevent_cse=not looped)
        if compute.scan_layers:
            scanned = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                in_axes=nn.broadcast,
                length=config.num_layers,
                unroll=unroll(config.num_layers),
                metadata_params={nn.PARTITION_NAME: "layers"},
            )
            self.layers = scanned(config, compute)
        else:
            self.layers = [block(config, compute) for _ in range(config.num_layers)]
        self.ln_post = LayerNorm(compute)
        self.proj = Dense(
            config.output_width, ("embed", None), compute, starts_silent=self.starts_silent
        )

    def __call__(
        self, mel: Float[Array, "B C F M"], frames: Int[Array, "B C"]
    ) -> tuple[Float[Array, "B C A D"], Bool[Array, "B C A"]]:
        """Encodes chunks, each on its own.

        Args:
            mel: log-mel at 100 frames/s; F is at most `chunk_frames` and a multiple of 4.
            frames: valid frames of each chunk, 0 for a chunk that is only padding.

        Returns:
            A = F / 4 audio tokens a chunk (25 a second), and which of them are valid.
        """
        features, valid = self.features(mel, frames)
        return self.proj(features), valid

    def features(
        self, mel: Float[Array, "B C F M"], frames: Int[Array, "B C"]
    ) -> tuple[Float[Array, "B C A E"], Bool[Array, "B C A"]]:
        """What the adapter reads, as wide as the encoder; otherwise as `__call__`."""
        batch, num_chunks, num_frames, num_bins = mel.shape
        x = mel.reshape(batch * num_chunks, num_frames, num_bins)
        valid = frames.reshape(-1)
        x = nn.gelu(self.conv1(_cut(x, valid)), approximate=False)
        if self.config.halves_early:
            valid = (valid + 1) // 2
        x = nn.gelu(self.conv2(_cut(x, valid)), approximate=False)
        x = x + _sinusoids(x.shape[1], self.config.width).astype(x.dtype)
        valid = (valid + 1) // 2
        if self.compute.scan_layers:
            x, _ = self.layers(x, valid)
        else:
            for block in self.layers:
                x, _ = block(x, valid)
        if not self.config.halves_early:
            x = (x[:, 0::2] + x[:, 1::2]) / 2
        x = self.ln_post(x).reshape(batch, num_chunks, num_frames // 4, -1)
        return x, jnp.arange(num_frames // 4) < num_chunk_tokens(frames)[..., None]


def _cut(x: Float[Array, "B L D"], lengths: Int[Array, " B"]) -> Float[Array, "B L D"]:
    """Zeros at and after each row's length."""
    return jnp.where((jnp.arange(x.shape[1]) < lengths[:, None])[..., None], x, 0)


def _sinusoids(length: int, width: int) -> Float[np.ndarray, "L D"]:
    """Whisper's table: sines of geometric timescales in the first half, cosines in the second."""
    timescales = np.exp(-np.log(10000.0) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length, dtype=np.float32)[:, None] * timescales.astype(np.float32)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
