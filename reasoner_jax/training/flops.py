"""Floating-point operations of a step, counted from sizes; knows no clock.

A multiplication and an addition are two. Counted are matrix products and attention, which are all
but a percent; recomputation (remat) is not counted, as is the custom for MFU. XLA's own count is no
source: it counts the body of a scan once (facts of the JAX stack).
"""

import dataclasses

import jax

from reasoner_jax.core import params as trees
from reasoner_jax.data.task import RowBudget
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.training.stage import Losses

# Dense bfloat16 peak of one device, in FLOP/s, by the vendors' data sheets.
_PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 2307e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


def peak(device: jax.Device) -> float | None:
    """FLOP/s of a device in bfloat16; None for one that is not in the table."""
    known = [name for name in _PEAKS if device.device_kind.startswith(name)]
    return _PEAKS[max(known, key=len)] if known else None


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of the network in the order of the forward pass.

    Attributes:
        paths: prefixes of its parameters.
        count: inputs (frames, tokens, codes) it sees in a row.
        attention: operations of its attention for a row, forward.
    """

    paths: tuple[str, ...]
    count: float
    attention: float = 0.0


def of_row(
    config: OmniConfig, sizes: dict[str, int], trainable: set[str], row: RowBudget, losses: Losses
) -> float:
    """Operations of one row, forward and backward.

    Backward, a product costs as much again for each factor that needs a gradient: its weights if
    they are trained, its input if anything before it is.

    Args:
        config: of the network.
        sizes: scalars of every parameter, by path.
        trainable: paths that are trained.
        row: what a row holds, padding included: it is computed like everything else.
        losses: which terms there are.
    """
    total, anything_before = 0.0, False
    for part in _parts(config, row, losses):
        inside = [path for path in sizes if path.startswith(part.paths) and _multiplies(path)]
        kernels = 2.0 * part.count * sum(sizes[path] for path in inside)
        trained = 2.0 * part.count * sum(sizes[path] for path in inside if path in trainable)
        learns = anything_before or any(
            path.startswith(part.paths) and path in trainable for path in sizes
        )
        total += (kernels + part.attention) * (2 if learns else 1) + trained
        total += part.attention if learns else 0.0
        anything_before = learns
    return total


def _parts(config: OmniConfig, row: RowBudget, losses: Losses) -> list[_Part]:
    thinker = config.thinker
    frames = row.chunks * thinker.audio.chunk_frames
    parts = []
    if row.chunks:
        audio = thinker.audio
        rate = 1 if audio.halves_early else 2  # of the layers, per audio token
        length = audio.chunk_tokens * rate
        pairs = row.chunks * audio.num_layers * length * length
        parts.append(_Part(("thinker/audio_tower/conv1",), frames / 4 * 2 * rate))
        parts.append(
            _Part(
                ("thinker/audio_tower/conv2", "thinker/audio_tower/layers"),
                frames / 4 * rate,
                4 * pairs * audio.width,
            )
        )
        parts.append(_Part(("thinker/audio_tower/proj", "thinker/ctc_"), frames / 4))
    if losses.tokens or losses.codes:
        decoder = thinker.decoder
        # Causal: half of the pairs.
        pairs = row.tokens * row.tokens / 2
        heads = decoder.num_heads * decoder.head_dim
        attention = decoder.num_layers * 4 * pairs * heads
        parts.append(_Part(("thinker/model/layers",), row.tokens, attention))
    if losses.tokens:
        tied = thinker.tie_embeddings
        head = "thinker/model/embed_tokens" if tied else "thinker/lm_head"
        parts.append(_Part((head,), row.tokens))
    if losses.codes and config.talker is not None:
        talker = config.talker.decoder
        attention = talker.num_layers * 2 * row.codes**2 * talker.num_heads * talker.head_dim
        names = ("talker/model/layers", "talker/codec_head", "talker/thinker_to_talker_proj")
        parts.append(_Part(names, row.codes, attention))
    return parts


def _multiplies(path: str) -> bool:
    return path.endswith(("kernel", "embed_tokens/embedding"))


def sizes_of(params: dict) -> dict[str, int]:
    """Scalars of every parameter, by path."""
    return {path: int(leaf.size) for path, leaf in trees.flatten(params).items()}
