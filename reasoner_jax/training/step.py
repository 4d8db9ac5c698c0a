"""One optimiser step, and one evaluation of a batch, as pure functions; knows no files, no clock.

    loss = response and reasoning tokens      mean over next-token targets, weighted by stream
         + ctc                                mean over the words heard
         + codes                              mean over the talker's speech codes

Which of the terms a stage has is known when it is compiled: what no term needs is never computed.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from reasoner_jax.core.axes import Array, Bool, Float
from reasoner_jax.core.records import Batch
from reasoner_jax.core.sharding import batch_shards
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.thinker import Thinker, ThinkerOutput
from reasoner_jax.text.schedule import Stream
from reasoner_jax.training import losses, optimizer, state
from reasoner_jax.training.stage import Losses, Stage
from reasoner_jax.training.state import Flat, TrainState
from reasoner_jax.training.talker_loss import talker_loss


@flax.struct.dataclass
class Metrics:
    """Sums over a batch, so that batches and devices can be added; divide by the counts.

    Attributes:
        loss: what was minimised.
        cross_entropy: in nats, by stream.
        num_correct: targets that were the likeliest token, by stream.
        num_targets: by stream.
        ctc: negative log-likelihood of the transcripts, in nats.
        num_words: of the transcripts.
        code_cross_entropy: of speech codes, in nats.
        num_correct_codes: codes that were the likeliest.
        num_codes: targets of the talker.
        num_tokens: inputs that are no padding.
        gradient_norm: before clipping; 0 where no gradient was taken.
        is_finite: whether loss and gradient are; if not, the step changed nothing.
    """

    loss: Float[Array, ""]
    cross_entropy: Float[Array, " 5"]
    num_correct: Float[Array, " 5"]
    num_targets: Float[Array, " 5"]
    ctc: Float[Array, ""]
    num_words: Float[Array, ""]
    code_cross_entropy: Float[Array, ""]
    num_correct_codes: Float[Array, ""]
    num_codes: Float[Array, ""]
    num_tokens: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    is_finite: Bool[Array, ""]

    @classmethod
    def zeros(cls) -> "Metrics":
        """Of no batch."""
        vectors = ("cross_entropy", "num_correct", "num_targets")
        blank = {
            name: jnp.zeros((losses.NUM_STREAMS,) if name in vectors else ())
            for name in cls.__dataclass_fields__
        }
        return cls(**{**blank, "is_finite": jnp.ones((), bool)})

    def __add__(self, other: "Metrics") -> "Metrics":
        added = jax.tree.map(jnp.add, self, other)
        return added.replace(is_finite=self.is_finite & other.is_finite)


@flax.struct.dataclass
class _Scales:
    """What each target weighs in the loss: the term's weight over its count in the whole batch."""

    response: Float[Array, ""]
    reasoning: Float[Array, ""]
    ctc: Float[Array, ""]
    codes: Float[Array, ""]


TrainStep = Callable[[TrainState, Flat, Batch], tuple[TrainState, Metrics]]
EvalStep = Callable[[Flat, Flat, Batch], Metrics]


def make_train_step(stage: Stage, omni: Omni, optimiser: optax.GradientTransformation) -> TrainStep:
    """The step of a stage, to be compiled with its first argument donated.

    Args:
        stage: losses, accumulation, averaging.
        omni: the modules; its parameters are not used.
        optimiser: of `optimizer.make_optimizer`.
    """
    evaluate = functools.partial(_sums, stage.losses, omni)

    def step(before: TrainState, frozen: Flat, batch: Batch) -> tuple[TrainState, Metrics]:
        scales = _scales(stage.losses, batch)

        def loss(trainable: Flat, part: Batch) -> tuple[Array, Metrics]:
            metrics = evaluate(state.join(trainable, frozen), part, scales)
            return metrics.loss, metrics

        gradient = jax.grad(loss, has_aux=True)
        grads, metrics = _accumulated(gradient, before.trainable, batch, stage.train.accumulate)
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(metrics.loss) & jnp.isfinite(norm)
        updates, opt_state = optimiser.update(grads, before.opt_state, before.trainable)
        trainable = optax.apply_updates(before.trainable, updates)
        decay = stage.optimizer.ema_decay
        average = before.average
        if average is not None:
            average = optimizer.average(average, trainable, decay, before.step)
        after = TrainState(before.step + 1, trainable, opt_state, average)
        # A step that is not finite is no step: what was learned so far stays as it was.
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
        return after, metrics.replace(gradient_norm=norm, is_finite=finite)

    return step


def jitted(step: TrainStep, before: TrainState) -> Any:
    """The step, to be called or lowered: its state is donated, and stays where `before` lies.

    Left to itself XLA may leave parts of the state on the devices that computed them.

    Args:
        step: of `make_train_step`.
        before: arrays, or shapes with shardings.
    """
    where = jax.tree.map(lambda leaf: leaf.sharding, before)
    return jax.jit(step, donate_argnums=0, out_shardings=(where, None))


def make_eval_step(stage: Stage, omni: Omni) -> EvalStep:
    """The losses of a batch without learning from it."""

    def step(trainable: Flat, frozen: Flat, batch: Batch) -> Metrics:
        scales = _scales(stage.losses, batch)
        return _sums(stage.losses, omni, state.join(trainable, frozen), batch, scales)

    return step


def _accumulated(
    gradient: Callable[[Flat, Batch], tuple[Flat, Metrics]],
    trainable: Flat,
    batch: Batch,
    num_parts: int,
) -> tuple[Flat, Metrics]:
    """Gradient and sums over the parts of a batch, one after the other."""
    if num_parts == 1:
        return gradient(trainable, batch)

    # Row r goes to part r % num_parts, so that every device keeps its rows.
    parts = jax.tree.map(lambda x: x.reshape(-1, num_parts, *x.shape[1:]).swapaxes(0, 1), batch)

    def add(total: tuple[Flat, Metrics], part: Batch) -> tuple[tuple[Flat, Metrics], None]:
        grads, metrics = gradient(trainable, part)
        return (jax.tree.map(jnp.add, total[0], grads), total[1] + metrics), None

    start = jax.tree.map(jnp.zeros_like, trainable), Metrics.zeros()
    return jax.lax.scan(add, start, parts)[0]


def _scales(weights: Losses, batch: Batch) -> _Scales:
    tokens = 1 / jnp.maximum(jnp.sum(batch.loss_mask), 1)
    num_words = 0 if batch.transcripts is None else jnp.sum(batch.transcripts >= 0)
    num_codes = 0 if batch.codes is None else jnp.sum(batch.codes >= 0)
    return _Scales(
        response=weights.response * tokens,
        reasoning=weights.reasoning * tokens,
        ctc=weights.ctc / jnp.maximum(num_words, 1),
        codes=weights.codes / jnp.maximum(num_codes, 1),
    )


def _sums(weights: Losses, omni: Omni, params: dict, batch: Batch, scales: _Scales) -> Metrics:
    """The loss of (a part of) a batch, and everything that is reported of it."""
    thinker, variables = omni.thinker, {"params": params["thinker"]}
    metrics = Metrics.zeros()
    audio = valid = spelling = None
    if batch.mel is not None:
        audio, valid, spelling = thinker.apply(variables, batch.mel, batch.frames, method="hear")
    if weights.ctc:
        metrics += _ctc(thinker, spelling, valid, batch, scales)
    if weights.tokens or weights.codes:
        embeddings = thinker.apply(variables, batch.tokens, audio, valid, method="embed")
        output = thinker.apply(
            variables, embeddings, batch.positions, batch.segment_ids, method="decode"
        )
        if weights.tokens:
            shards = batch_shards(omni.mesh)
            metrics += _tokens(weights, thinker, params["thinker"], output, batch, scales, shards)
        if weights.codes:
            metrics += _codes(omni, params, output, batch, scales)
    return metrics.replace(num_tokens=jnp.sum(batch.segment_ids > 0).astype(jnp.float32))


def _tokens(
    weights: Losses,
    thinker: Thinker,
    params: dict,
    output: ThinkerOutput,
    batch: Batch,
    scales: _Scales,
    num_shards: int,
) -> Metrics:
    tied = thinker.config.tie_embeddings
    head = params["model"]["embed_tokens"]["embedding"] if tied else params["lm_head"]["kernel"]
    scale = jnp.zeros((losses.NUM_STREAMS,))
    scale = scale.at[Stream.RESPONSE].set(scales.response)
    scale = scale.at[Stream.REASONING].set(scales.reasoning)
    of_target = jnp.where(batch.loss_mask, scale[batch.streams], 0)
    shape, num_tokens = batch.targets.shape, batch.targets.size
    shard_tokens = num_tokens // num_shards
    chunk = weights.chunk_tokens if weights.chunk_tokens < shard_tokens else 0
    loss, each, correct = losses.cross_entropy(
        output.hidden_states.reshape(num_tokens, -1),
        head,
        batch.targets.reshape(-1),
        of_target.reshape(-1),
        _divisor(shard_tokens, chunk),
        tied,
        num_shards,
    )
    count = functools.partial(losses.by_stream, streams=batch.streams, mask=batch.loss_mask)
    return Metrics.zeros().replace(
        loss=loss,
        cross_entropy=count(each.reshape(shape)),
        num_correct=count(correct.reshape(shape).astype(jnp.float32)),
        num_targets=count(jnp.ones(shape)),
    )


def _divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` up to `limit`; 0 for no limit."""
    return next((d for d in range(limit, 0, -1) if number % d == 0), 0)


def _ctc(
    thinker: Thinker,
    spelling: Float[Array, "B A V"] | None,
    valid: Bool[Array, "B A"] | None,
    batch: Batch,
    scales: _Scales,
) -> Metrics:
    blank = thinker.config.blank_token_id
    if blank is None or spelling is None or valid is None or batch.transcripts is None:
        raise ValueError(
            "losses.ctc needs a network with a CTC head (the presets tiny and smol have one), and "
            "lessons with prompt 'audio' and spell=True"
        )
    placeholder = batch.tokens == thinker.config.audio_token_id
    last = losses.last_audio_tokens(placeholder, batch.segment_ids, valid)
    total = jnp.sum(losses.ctc(spelling, valid, last, batch.transcripts, blank))
    num_words = jnp.sum(batch.transcripts >= 0).astype(jnp.float32)
    return Metrics.zeros().replace(loss=scales.ctc * total, ctc=total, num_words=num_words)


def _codes(
    omni: Omni, params: dict[str, Any], output: ThinkerOutput, batch: Batch, scales: _Scales
) -> Metrics:
    total, correct, count = talker_loss(omni, params, output, batch)
    return Metrics.zeros().replace(
        loss=scales.codes * total,
        code_cross_entropy=total,
        num_correct_codes=correct,
        num_codes=count,
    )


def summary(metrics: Metrics, weights: Losses) -> dict[str, float]:
    """Means for people: what a report prints and a checkpoint keeps.

    Args:
        metrics: of a step, or added up over batches (the loss is then recomputed from the means).
        weights: of the stage.
    """
    got: dict[str, Any] = jax.device_get(flax.struct.dataclasses.asdict(metrics))
    figures: dict[str, float] = {}
    for name, stream in (("response", Stream.RESPONSE), ("reasoning", Stream.REASONING)):
        count = float(got["num_targets"][stream])
        if count:
            figures[f"loss/{name}"] = float(got["cross_entropy"][stream]) / count
            figures[f"accuracy/{name}"] = float(got["num_correct"][stream]) / count
    if got["num_words"]:
        figures["loss/ctc"] = float(got["ctc"] / got["num_words"])
    if got["num_codes"]:
        figures["loss/codes"] = float(got["code_cross_entropy"] / got["num_codes"])
        figures["accuracy/codes"] = float(got["num_correct_codes"] / got["num_codes"])
    count = max(float(got["num_targets"].sum()), 1.0)
    by_stream = got["cross_entropy"]
    tokens = weights.response * by_stream[Stream.RESPONSE]
    tokens += weights.reasoning * by_stream[Stream.REASONING]
    figures["loss"] = (
        float(tokens) / count
        + weights.ctc * figures.get("loss/ctc", 0.0)
        + weights.codes * figures.get("loss/codes", 0.0)
    )
    return figures
