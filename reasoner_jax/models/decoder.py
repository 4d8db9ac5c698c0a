"""The Qwen2 decoder that thinker and talker share; knows neither audio nor output heads.

Source: transformers `Qwen2_5OmniDecoderLayer`; parameter names are its checkpoint's.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.sharding import constrain
from reasoner_jax.models import attention
from reasoner_jax.models.attention import KVCache, Layer
from reasoner_jax.models.config import Compute, DecoderConfig
from reasoner_jax.models.layers import Dense, Embed, RMSNorm, unroll
from reasoner_jax.models.rope import Rotary, rotary, rotate

Hidden = Float[Array, "B L D"]

REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
    "full": jax.checkpoint_policies.nothing_saveable,
}


class SelfAttention(nn.Module):
    config: DecoderConfig
    compute: Compute

    @nn.compact
    def __call__(
        self,
        x: Hidden,
        layer: Layer | None,
        by: Rotary,
        offset: Int[Array, " B"] | None,
        segment_ids: Int[Array, "B L"] | None,
    ) -> tuple[Hidden, Layer | None]:
        config = self.config
        q, k, v = self._heads(x)
        kernel = self.compute.attention
        if layer is not None:
            assert offset is not None
            out, layer = attention.attend_and_write(q, k, v, by, layer, offset, kernel)
        else:
            ids = None if segment_ids is None else (segment_ids, segment_ids)
            q, k = rotate(q, by), rotate(k, by)
            out = attention.attend(q, k, v, causal=True, segment_ids=ids, implementation=kernel)
        out = out.reshape(*x.shape[:2], -1)
        axes = ("heads", "embed")
        return Dense(config.width, axes, self.compute, use_bias=False, name="o_proj")(out), layer

    def _heads(self, x: Hidden) -> tuple[Float[Array, "B L N H"], ...]:
        """Queries, keys, values."""
        config = self.config
        numbers = (config.num_heads, config.num_kv_heads, config.num_kv_heads)

        def project(name: str, number: int, axis: str) -> Float[Array, "B L N H"]:
            dense = Dense(number * config.head_dim, ("embed", axis), self.compute, name=name)
            return dense(x).reshape(*x.shape[:2], number, config.head_dim)

        if self.compute.fuse_projections:
            together = project("qkv_proj", sum(numbers), "heads")
            return tuple(jnp.split(together, np.cumsum(numbers)[:-1], axis=2))
        names, axes = ("q_proj", "k_proj", "v_proj"), ("heads", "kv_heads", "kv_heads")
        return tuple(map(project, names, numbers, axes))


class SwiGLU(nn.Module):
    config: DecoderConfig
    compute: Compute

    @nn.compact
    def __call__(self, x: Hidden) -> Hidden:
        wide, narrow = self.config.mlp_width, self.config.width

        def project(name: str, width: int) -> Float[Array, "B L F"]:
            axes = ("embed", "mlp")
            return Dense(width, axes, self.compute, use_bias=False, name=name)(x)

        if self.compute.fuse_projections:
            gate, up = jnp.split(project("gate_up_proj", 2 * wide), 2, axis=-1)
        else:
            gate, up = project("gate_proj", wide), project("up_proj", wide)
        down = Dense(narrow, ("mlp", "embed"), self.compute, use_bias=False, name="down_proj")
        return down(nn.silu(gate) * up)


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP. The argument order suits `nn.scan`: carry, scanned, broadcast."""

    config: DecoderConfig
    compute: Compute

    @nn.compact
    def __call__(
        self,
        x: Hidden,
        layer: Layer | None,
        by: Rotary,
        offset: Int[Array, " B"] | None,
        segment_ids: Int[Array, "B L"] | None,
    ) -> tuple[Hidden, Layer | None]:
        config, compute = self.config, self.compute
        norm = RMSNorm(config.norm_eps, compute, name="input_layernorm")
        attended, layer = SelfAttention(config, compute, name="self_attn")(
            norm(x), layer, by, offset, segment_ids
        )
        x = x + attended
        norm = RMSNorm(config.norm_eps, compute, name="post_attention_layernorm")
        x = x + SwiGLU(config, compute, name="mlp")(norm(x))
        return constrain(x, "batch", "length", "activation_embed"), layer


class Decoder(nn.Module):
    """Embedding table, layers, final norm.

    Attributes:
        num_embeddings: rows of the table.
        embed_width: width of its vectors (the talker's differs from `config.width`).
    """

    config: DecoderConfig
    compute: Compute
    num_embeddings: int
    embed_width: int

    def setup(self) -> None:
        config, compute = self.config, self.compute
        self.embed_tokens = Embed(self.num_embeddings, self.embed_width, compute)
        block = DecoderLayer
        if compute.remat != "none":
            policy = REMAT_POLICIES[compute.remat]
            looped = compute.scan_layers and unroll(config.num_layers) == 1
            block = nn.remat(block, policy=policy, prevent_cse=not looped)
        if compute.scan_layers:
            scanned = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast),
                length=config.num_layers,
                unroll=unroll(config.num_layers),
                metadata_params={nn.PARTITION_NAME: "layers"},
            )
            self.layers = scanned(config, compute)
        else:
            self.layers = [block(config, compute) for _ in range(config.num_layers)]
        self.norm = RMSNorm(config.norm_eps, compute)

    def embed(self, tokens: Int[Array, "B L"]) -> Float[Array, "B L E"]:
        return self.embed_tokens(tokens)

    def expected_embedding(self, probabilities: Float[Array, "B L V"]) -> Float[Array, "B L E"]:
        """The mean vector of the table under each distribution."""
        return self.embed_tokens.average(probabilities)

    def unembed(self, hidden: Hidden) -> Float[Array, "B L V"]:
        """Logits of a head tied to the embedding table."""
        return self.embed_tokens.attend(hidden)

    def __call__(
        self,
        x: Hidden,
        positions: Int[Array, "B L"] | Int[Array, "3 B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
        cache: KVCache | None = None,
        num_tokens: Int[Array, " B"] | None = None,
    ) -> tuple[Hidden, KVCache | None]:
        """Runs all layers over L tokens at once.

        Args:
            x: input vectors.
            positions: default 0, 1, 2 ... or, with a cache, on from its lengths.
            segment_ids: packed examples of a row; not with a cache.
            cache: tokens seen before; these L follow them (prefill, chunked prefill, decode).
            num_tokens: how many of the L are real in each row (the rest are right padding that
                the cache forgets); all if None.

        Returns:
            The normalised hidden states, and the cache with these tokens added.

        Raises:
            ValueError: a cache together with segment ids.
        """
        if cache is not None and segment_ids is not None:
            raise ValueError(
                "segment_ids cannot be combined with a cache: a cached row is one example; "
                "give each packed example a row of its own"
            )
        batch, length = x.shape[:2]
        offset = None if cache is None else cache.lengths
        if positions is None:
            start = jnp.zeros((batch,), jnp.int32) if offset is None else offset
            positions = start[:, None] + jnp.arange(length)
        by = rotary(positions, self.config)
        layers = None if cache is None else cache.layers
        if self.compute.scan_layers:
            x, layers = self.layers(x, layers, by, offset, segment_ids)
        else:
            written = []
            for index, block in enumerate(self.layers):
                x, layer = block(x, layers and layers[index], by, offset, segment_ids)
                written.append(layer)
            layers = layers and tuple(written)
        if cache is not None:
            added = length if num_tokens is None else num_tokens
            cache = KVCache(layers=layers, lengths=cache.lengths + added)
        return self.norm(x), cache
