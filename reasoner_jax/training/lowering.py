"""A stage's step without data, weights or devices: shapes in, a lowered program out.

What `launch/compile.py` and the tests use to know that a stage fits a mesh before there is one.
"""

import jax
import jax.numpy as jnp
from flax.core import meta
from jax.sharding import Mesh

from reasoner_jax.core.params import Params
from reasoner_jax.core.records import Batch
from reasoner_jax.core.sharding import batch_sharding, param_shardings
from reasoner_jax.data.task import RowBudget
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.training import state
from reasoner_jax.training.optimizer import make_optimizer
from reasoner_jax.training.stage import Stage
from reasoner_jax.training.step import jitted, make_train_step


def lower(
    stage: Stage, config: OmniConfig, mesh: Mesh, row: RowBudget | None = None
) -> jax.stages.Lowered:
    """The step of a stage, lowered for a mesh; compile it to know what it takes.

    Args:
        stage: the settings.
        config: sizes of the network.
        mesh: real devices, or those of a topology.
        row: budgets; None for `row_of`.
    """
    omni = Omni(config, stage.model.compute, abstract_network(config, stage, mesh), mesh=mesh)
    trainable, frozen = state.split(omni.params, stage.trainable)
    optimizer = make_optimizer(stage.optimizer, stage.train.steps, trainable)
    before = state.abstract(trainable, optimizer, stage.optimizer.ema_decay > 0)
    batch = abstract_batch(config, row or row_of(stage), stage.train.batch_rows, mesh)
    with jax.set_mesh(mesh):
        step = jitted(make_train_step(stage, omni, optimizer), before)
        return step.lower(before, frozen, batch)


def row_of(stage: Stage) -> RowBudget:
    """Budgets where no data says what rows hold.

    A quarter of the tokens is then sound, in chunks of 50, and there are two codes a token.
    """
    train, losses = stage.train, stage.losses
    hears = any(lesson.prompt == "audio" for lesson in stage.lessons)
    guesses = {
        "chunks": max(train.tokens // 4 // 50, 1) if hears else 0,
        "codes": 2 * train.tokens if losses.codes else 0,
        "words": train.tokens // 4 if losses.ctc else 0,
    }
    given = {n: g if getattr(train, n) == -1 else getattr(train, n) for n, g in guesses.items()}
    return RowBudget(train.tokens, **given, examples=train.examples)


def abstract_network(config: OmniConfig, stage: Stage, mesh: Mesh) -> Params:
    """Shapes and shardings of every parameter."""
    boxed = abstract_params(config, stage.model.compute)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        meta.unbox(boxed),
        param_shardings(boxed, mesh),
    )


def abstract_batch(config: OmniConfig, row: RowBudget, num_rows: int, mesh: Mesh) -> Batch:
    """Shapes and shardings of a batch, its rows over the mesh's data and fsdp axes."""
    audio = config.thinker.audio

    def array(*shape: int, dtype: type = jnp.int32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((num_rows, *shape), dtype, sharding=batch_sharding(mesh))

    names = ("tokens", "targets", "streams", "positions", "segment_ids")
    batch = Batch(
        **{name: array(row.tokens) for name in names},
        loss_mask=array(row.tokens, dtype=jnp.bool_),
        example_rows=array(row.examples),
    )
    if row.chunks:
        mel = array(row.chunks, audio.chunk_frames, audio.num_mel_bins, dtype=jnp.float32)
        batch = batch.replace(mel=mel, frames=array(row.chunks))
    if row.words:
        batch = batch.replace(transcripts=array(row.words))
    if row.codes:
        names = ("codes", "code_segment_ids", "code_inputs", "code_sources")
        batch = batch.replace(**{name: array(row.codes) for name in names})
    return batch
