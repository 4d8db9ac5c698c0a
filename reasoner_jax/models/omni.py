"""The network as one object: sizes, parameters and the calls an outsider makes; reads no files.

`Omni` holds arrays and checks inputs; what it computes are pure functions of a module and its
parameters. Build one from a checkpoint with `reasoner_jax.load`, from nothing with `Omni.create`.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta
from jax.sharding import Mesh

from reasoner_jax.core import params as trees
from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.core.sharding import param_shardings
from reasoner_jax.models.audio_encoder import num_chunk_tokens, split_chunks
from reasoner_jax.models.config import Compute, OmniConfig
from reasoner_jax.models.layers import FEW_VECTORS
from reasoner_jax.models.talker import Talker
from reasoner_jax.models.thinker import Thinker
from reasoner_jax.models.token2wav import Token2Wav


class Voice(Protocol):
    """What a talker and its codec need to know of a speaker."""

    @property
    def bos_token_id(self) -> int: ...

    @property
    def speaker(self) -> Float[np.ndarray, " E"]: ...

    @property
    def reference_mel(self) -> Float[np.ndarray, "T M"]: ...


def abstract_params(config: OmniConfig, compute: Compute) -> Params:
    """Shapes, dtypes and logical axes of every parameter, without allocating one.

    Returns:
        {"thinker": ..., "talker": ..., "token2wav": ...}, absent parts left out; each leaf a
        `nn.LogicallyPartitioned` around a `jax.ShapeDtypeStruct`.
    """
    return jax.eval_shape(lambda: _init(config, compute, jax.random.key(0)))


def init_params(
    config: OmniConfig, compute: Compute, key: Array, mesh: Mesh | None = None
) -> Params:
    """Random parameters, created on the mesh with their shardings."""
    init = functools.partial(_init, config, compute)
    if mesh is None:
        return jax.jit(lambda key: meta.unbox(init(key)))(key)
    shardings = param_shardings(abstract_params(config, compute), mesh)
    with jax.set_mesh(mesh):
        return jax.jit(lambda key: meta.unbox(init(key)), out_shardings=shardings)(key)


def _init(config: OmniConfig, compute: Compute, key: Array) -> Params:
    audio, decoder = config.thinker.audio, config.thinker.decoder
    tokens = jnp.zeros((1, 4), jnp.int32)
    params = {
        "thinker": Thinker(config.thinker, compute).init(
            jax.random.fold_in(key, 0),
            tokens,
            mel=jnp.zeros((1, 1, audio.chunk_frames, audio.num_mel_bins)),
            frames=jnp.full((1, 1), audio.chunk_frames),
            method="full_logits",
        )["params"]
    }
    if config.talker is not None:
        params["talker"] = Talker(config.talker, compute).init(
            jax.random.fold_in(key, 1),
            jnp.zeros((1, 4, decoder.width)),
            tokens,
            method="full_logits",
        )["params"]
    if config.token2wav is not None:
        params["token2wav"] = Token2Wav(config.token2wav).init(jax.random.fold_in(key, 2))
    return params


@dataclasses.dataclass(frozen=True, eq=False)
class Omni:
    """A network with its parameters.

    Attributes:
        config: sizes and token ids.
        compute: precision and layer layout the parameters are in.
        params: {"thinker": ..., "talker": ..., "token2wav": ...}.
        tokenizer: of the checkpoint; None for a network that has none yet.
        voices: speakers by name.
        reply_format: how it was taught to be asked (`text.reply_format`); None for a network
            that we did not teach.
        mesh: where the parameters live; None for one device.
        origin: what else its checkpoint held, kept for saving; see `weights.load`.
    """

    config: OmniConfig
    compute: Compute
    params: Params = dataclasses.field(repr=False)
    tokenizer: Any = None
    voices: Mapping[str, Voice] = dataclasses.field(default_factory=dict, repr=False)
    reply_format: Any = None
    mesh: Mesh | None = None
    origin: Any = dataclasses.field(default=None, repr=False)

    @classmethod
    def create(
        cls, config: OmniConfig, compute: Compute | None = None, seed: int = 0, **rest: Any
    ) -> "Omni":
        """A network with random parameters; `rest` as the attributes."""
        compute = compute or Compute()
        params = init_params(config, compute, jax.random.key(seed), rest.get("mesh"))
        return cls(config, compute, params, **rest)

    @property
    def thinker(self) -> Thinker:
        return Thinker(self.config.thinker, self.compute)

    @property
    def talker(self) -> Talker:
        if self.config.talker is None:
            raise ValueError("this checkpoint has no talker, so it can write but not speak")
        return Talker(self.config.talker, self.compute)

    @property
    def token2wav(self) -> Token2Wav:
        if self.config.token2wav is None:
            raise ValueError("this checkpoint has no token2wav; its codes need another codec")
        return Token2Wav(self.config.token2wav)

    def on_mesh(self) -> contextlib.AbstractContextManager:
        """The context under which this network's functions are called."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def for_serving(self, platform: str | None = None, batch_size: int = 1) -> "Omni":
        """The same network laid out for decoding: layers apart, projections fused on one device.

        Args:
            platform: that will decode: "cpu", "gpu" or "tpu"; None for the default one.
            batch_size: rows that will be decoded together.
        """
        compute, params = self.compute, self.params
        if compute.scan_layers:
            compute = dataclasses.replace(compute, scan_layers=False)
            params = trees.unstack_layers(params)
        if self.mesh is None and not compute.fuse_projections:
            compute = dataclasses.replace(compute, fuse_projections=True)
            params = trees.fuse_projections(params)
            platform = platform or jax.default_backend()
            if platform == "gpu" or (platform == "cpu" and batch_size <= FEW_VECTORS):
                compute = dataclasses.replace(compute, kernels_for=platform)
                params = _kernels_for(compute, params)
        return dataclasses.replace(self, compute=compute, params=params)

    def logits(
        self,
        tokens: Int[Array, "B L"],
        mel: Float[Array, "B T M"] | None = None,
        mel_lengths: Int[Array, " B"] | None = None,
        attention_mask: Int[Array, "B L"] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores of the token after each token, float32.

        What the processor of `transformers` returns fits after a transpose of the features:

            omni.logits(input_ids, input_features.transpose(0, 2, 1),
                        feature_attention_mask.sum(-1), attention_mask)

        Args:
            tokens: with one placeholder (`config.thinker.audio_token_id`) per audio token.
            mel: log-mel of each row's audio (`audio.log_mel`); None for text only.
            mel_lengths: valid frames of each row, 0 for a row without audio.
            attention_mask: 1 for a token, 0 for padding, left or right. Without it every token
                counts; right padding then still changes nothing before it.

        Raises:
            ValueError: shapes that do not fit, token ids outside the vocabulary, features that
                are not finite, or placeholders that do not match the audio's length.
        """
        tokens = _check_tokens(tokens, self.config.thinker.vocab_size)
        mel, mel_lengths = self._check_audio(tokens, mel, mel_lengths)
        if attention_mask is not None and np.shape(attention_mask) != tokens.shape:
            raise ValueError(
                f"attention_mask has shape {np.shape(attention_mask)}, tokens {tokens.shape}; "
                "give one entry per token"
            )
        with self.on_mesh():
            return _logits(
                self.thinker, self.params["thinker"], tokens, mel, mel_lengths, attention_mask
            )

    def _check_audio(
        self, tokens: np.ndarray, mel: Any, mel_lengths: Any
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        config = self.config.thinker
        num_placeholders = (tokens == config.audio_token_id).sum(axis=1)
        if mel is None:
            if num_placeholders.any():
                raise ValueError(
                    f"tokens hold {num_placeholders.tolist()} audio placeholders (id "
                    f"{config.audio_token_id}) but mel is None; pass the log-mel features"
                )
            return None, None
        mel = np.asarray(mel, dtype=np.float32)
        bins = config.audio.num_mel_bins
        if mel.ndim != 3 or mel.shape[0] != len(tokens) or mel.shape[2] != bins:
            raise ValueError(
                f"mel has shape {mel.shape}, expected [{len(tokens)}, frames, {bins}]; features of "
                "`transformers` are [batch, bins, frames]: transpose(0, 2, 1) them"
            )
        lengths = np.full(len(mel), mel.shape[1]) if mel_lengths is None else mel_lengths
        lengths = np.asarray(lengths, dtype=np.int32)
        if lengths.shape != (len(mel),) or lengths.min() < 0 or lengths.max() > mel.shape[1]:
            raise ValueError(
                f"mel_lengths {lengths.tolist()} must be {len(mel)} numbers from 0 to the "
                f"{mel.shape[1]} frames of mel"
            )
        valid = np.arange(mel.shape[1]) < lengths[:, None]
        if not np.isfinite(mel[valid]).all():
            rows = np.flatnonzero(~np.isfinite(np.where(valid[..., None], mel, 0)).all(axis=(1, 2)))
            raise ValueError(f"mel of rows {rows.tolist()} holds NaN or infinity; check the audio")
        expected = num_chunk_tokens(lengths)
        if (num_placeholders != expected).any():
            raise ValueError(
                f"rows hold {num_placeholders.tolist()} audio placeholders, their audio of "
                f"{lengths.tolist()} mel frames makes {expected.tolist()} audio tokens; expand "
                "each audio to exactly that many (audio.log_mel.num_audio_tokens)"
            )
        return mel, lengths


@functools.partial(jax.jit, static_argnames="thinker")
def _logits(
    thinker: Thinker,
    params: Params,
    tokens: Int[Array, "B L"],
    mel: Float[Array, "B T M"] | None,
    mel_lengths: Int[Array, " B"] | None,
    attention_mask: Int[Array, "B L"] | None,
) -> Float[Array, "B L V"]:
    chunks = frames = positions = segment_ids = None
    if mel is not None:
        chunks, frames = split_chunks(mel, mel_lengths, thinker.config.audio.chunk_frames)
    if attention_mask is not None:
        segment_ids = attention_mask.astype(jnp.int32)
        positions = jnp.maximum(jnp.cumsum(segment_ids, axis=1) - 1, 0)
    return thinker.apply(
        {"params": params},
        tokens,
        mel=chunks,
        frames=frames,
        positions=positions,
        segment_ids=segment_ids,
        method="full_logits",
    )


def _check_tokens(tokens: Any, vocab_size: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or not tokens.size or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"tokens must be integers of shape [batch, length], not empty; got {tokens.dtype} of "
            f"shape {tokens.shape}"
        )
    if tokens.min() < 0 or tokens.max() >= vocab_size:
        raise ValueError(
            f"token ids run from {tokens.min()} to {tokens.max()}, the embedding table has "
            f"{vocab_size} rows; is this the checkpoint's own tokenizer?"
        )
    return tokens.astype(np.int32)


def _kernels_for(compute: Compute, params: Params) -> Params:
    """Thinker and talker; token2wav is not decoded token by token."""
    how = compute.is_out_in, compute.tables_in_columns
    return {
        name: part if name == "token2wav" else trees.transpose_kernels(part, *how)
        for name, part in params.items()
    }
