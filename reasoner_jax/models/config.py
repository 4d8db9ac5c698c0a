"""Sizes of every network, and how it is computed; knows no checkpoint format, holds no preset."""

import dataclasses
import math
from typing import Any, Literal

import jax.numpy as jnp

from reasoner_jax.core.text_feed import ONE_A_STEP, TextFeed

Remat = Literal["none", "dots", "full"]


@dataclasses.dataclass(frozen=True)
class Compute:
    """How a network is run, apart from its sizes.

    Attributes:
        dtype: of activations. Norms, softmax, rotary angles and logits are float32 regardless.
        param_dtype: of stored parameters.
        remat: what the backward pass recomputes: nothing, everything but matmul results, or all.
        scan_layers: layers stacked under one scan (compiles once, what training wants), or apart
            (no copy of each layer's slice, what decoding wants). `core.params.stack_layers` and
            `unstack_layers` translate the parameters.
        fuse_projections: q, k and v from one matrix, gate and up from another: fewer, larger
            matrix products for decoding on one device. `core.params.fuse_projections` translates.
        kernels_for: the platform that reads kernels as they lie for the few vectors of a decoding
            step: "gpu" has them all as [out, in]; "cpu" those that narrow, and
            embedding tables as [D, V]; "any" none. `core.params.transpose_kernels` translates.
        attention: "auto" picks by platform, see `models.attention`.
    """

    dtype: str = "float32"
    param_dtype: str = "float32"
    remat: Remat = "none"
    scan_layers: bool = True
    fuse_projections: bool = False
    kernels_for: Literal["any", "cpu", "gpu"] = "any"
    attention: Literal["auto", "reference", "blockwise", "cudnn", "splash"] = "auto"

    @property
    def activation(self) -> jnp.dtype:
        return jnp.dtype(self.dtype)

    @property
    def parameter(self) -> jnp.dtype:
        return jnp.dtype(self.param_dtype)

    def is_out_in(self, num_in: int, num_out: int) -> bool:
        """Whether a kernel of these sizes is stored as [out, in]."""
        if self.kernels_for == "cpu":
            return num_out < num_in
        return self.kernels_for == "gpu"

    @property
    def tables_in_columns(self) -> bool:
        """Whether embedding tables are stored as [D, V], which is a tied head's [in, out]."""
        return self.kernels_for == "cpu"


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """A Qwen2 decoder: grouped-query attention with q/k/v bias, rotary positions, SwiGLU."""

    width: int
    mlp_width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mrope_section: tuple[int, ...]
    rope_theta: float = 1_000_000.0
    norm_eps: float = 1e-6
    max_length: int = 32768

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}"
            )
        if 2 * sum(self.mrope_section) != self.head_dim:
            raise ValueError(
                f"mrope_section {self.mrope_section} must sum to half of head_dim {self.head_dim}"
            )


@dataclasses.dataclass(frozen=True)
class AudioEncoderConfig:
    """A Whisper encoder whose attention and positions restart every 2-second chunk.

    Attributes:
        halves_early: whether the first convolution halves the frames too, so that the layers run
            at the rate of the audio tokens, 25 a second, at half the cost; otherwise they run at
            50 and what they give is pooled in pairs, as in Qwen2.5-Omni.
    """

    num_mel_bins: int
    width: int
    mlp_width: int
    num_layers: int
    num_heads: int
    output_width: int
    chunk_frames: int = 200
    max_positions: int = 1500
    halves_early: bool = False

    def __post_init__(self) -> None:
        if self.width % self.num_heads or self.width % 2:
            raise ValueError(
                f"width {self.width} must be even and a multiple of num_heads {self.num_heads}"
            )
        if self.chunk_frames % 4:
            raise ValueError(
                f"chunk_frames {self.chunk_frames} must be a multiple of 4 (two halvings)"
            )

    @property
    def chunk_tokens(self) -> int:
        """Audio tokens of a full chunk (50 for 200 frames)."""
        return self.chunk_frames // 4


@dataclasses.dataclass(frozen=True)
class ThinkerConfig:
    """Audio encoder, embedding, decoder, head. Token ids are config.json's.

    With a `blank_token_id` the network also spells what it hears: a CTC head over the vocabulary,
    whose blank that token is. Networks whose encoder starts from nothing need it (see `Thinker`);
    Qwen's has none.
    """

    vocab_size: int
    decoder: DecoderConfig
    audio: AudioEncoderConfig
    tie_embeddings: bool
    audio_token_id: int
    audio_start_token_id: int
    audio_end_token_id: int
    blank_token_id: int | None = None


@dataclasses.dataclass(frozen=True)
class TalkerConfig:
    """Decoder over speech codes that reads thinker vectors of width `embedding_width`.

    `text_*` ids index the thinker's embedding table, `codec_*` ids the talker's own.

    Attributes:
        reads_prompt: whether the prompt and the voice's start token come before the first code, as
            with Qwen2.5-Omni's; without, the first code follows the first reply token alone.
        text_feed: the pace of the reply's tokens; None for one a step, as Qwen2.5-Omni's reads.
        hidden_share: how much of a reply token's hidden state is added to its embedding; all of it
            for Qwen2.5-Omni's, see `models.talker.reply_vectors`.
    """

    vocab_size: int
    embedding_width: int
    decoder: DecoderConfig
    text_start_token_id: int
    text_end_token_id: int
    text_pad_token_id: int
    codec_start_token_id: int
    codec_end_token_id: int
    codec_pad_token_id: int
    codec_mask_token_id: int
    reads_prompt: bool = True
    text_feed: TextFeed | None = None
    hidden_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.hidden_share <= 1:
            raise ValueError(f"talker.hidden_share is {self.hidden_share}, expected 0 to 1")

    @property
    def pace(self) -> TextFeed:
        """When each token of the reply enters."""
        return self.text_feed or ONE_A_STEP


@dataclasses.dataclass(frozen=True)
class DiTConfig:
    """Flow-matching transformer from codes to mel (token2wav's first half)."""

    width: int
    num_layers: int
    num_heads: int
    head_dim: int
    mlp_ratio: int
    code_embed_width: int
    num_codes: int
    num_mel_bins: int
    block_frames: int
    look_ahead_layers: tuple[int, ...]
    look_backward_layers: tuple[int, ...]
    frames_per_code: int
    rope_theta: float
    max_frames: int
    speaker_width: int
    encoder_width: int
    encoder_channels: tuple[int, ...]
    encoder_kernel_sizes: tuple[int, ...]
    encoder_dilations: tuple[int, ...]
    encoder_attention_channels: int
    encoder_res2net_scale: int
    encoder_se_channels: int

    def __post_init__(self) -> None:
        channels = self.encoder_channels
        lengths = {len(channels), len(self.encoder_kernel_sizes), len(self.encoder_dilations)}
        if len(lengths) > 1 or len(channels) < 3:
            raise ValueError(
                "encoder_channels, encoder_kernel_sizes and encoder_dilations must list the same "
                f"layers, three or more; got {channels}, {self.encoder_kernel_sizes}, "
                f"{self.encoder_dilations}"
            )
        if len(set(channels[:-1])) > 1 or channels[-1] != sum(channels[1:-1]):
            raise ValueError(
                f"encoder_channels {channels} must be equal up to the last, which takes all but "
                f"the first joined: {sum(channels[1:-1])}"
            )
        if channels[0] % self.encoder_res2net_scale:
            raise ValueError(
                f"encoder_channels {channels} must be multiples of encoder_res2net_scale "
                f"{self.encoder_res2net_scale}"
            )


@dataclasses.dataclass(frozen=True)
class BigVGANConfig:
    """Vocoder from mel to waveform (token2wav's second half); float32 always."""

    num_mel_bins: int
    channels: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        stages = list(zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True))
        if any(kernel < rate or (kernel - rate) % 2 for rate, kernel in stages):
            raise ValueError(
                f"each of upsample_kernel_sizes {self.upsample_kernel_sizes} must exceed its rate "
                f"of {self.upsample_rates} by an even number, so that the length multiplies exactly"
            )
        if self.channels % 2 ** len(stages):
            raise ValueError(
                f"channels {self.channels} must be halved {len(stages)} times, once per stage"
            )
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilations):
            raise ValueError(
                f"resblock_kernel_sizes {self.resblock_kernel_sizes} and resblock_dilations "
                f"{self.resblock_dilations} must list the same blocks"
            )
        if any(kernel % 2 == 0 for kernel in self.resblock_kernel_sizes):
            raise ValueError(
                f"resblock_kernel_sizes {self.resblock_kernel_sizes} must be odd to keep lengths"
            )

    @property
    def samples_per_frame(self) -> int:
        """Waveform samples of one mel frame."""
        return math.prod(self.upsample_rates)


@dataclasses.dataclass(frozen=True)
class Token2WavConfig:
    dit: DiTConfig
    bigvgan: BigVGANConfig


@dataclasses.dataclass(frozen=True)
class OmniConfig:
    """The whole network. Without a talker it only writes; token2wav is Qwen's codec."""

    thinker: ThinkerConfig
    talker: TalkerConfig | None = None
    token2wav: Token2WavConfig | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "OmniConfig":
        """The inverse of `to_dict`; JSON lists become tuples."""
        return _build(cls, plain)


_NESTED = {
    "thinker": ThinkerConfig,
    "talker": TalkerConfig,
    "text_feed": TextFeed,
    "token2wav": Token2WavConfig,
    "decoder": DecoderConfig,
    "audio": AudioEncoderConfig,
    "dit": DiTConfig,
    "bigvgan": BigVGANConfig,
}


def _build(cls: type, plain: dict[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(plain.keys() - names)
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown}; it has {sorted(names)}")
    fields = {}
    for name, value in plain.items():
        if name in _NESTED and value is not None:
            value = _build(_NESTED[name], value)
        fields[name] = _tuples(value)
    return cls(**fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
