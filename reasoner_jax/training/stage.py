"""A stage of training as data: what is trained, on what, for how long; runs nothing.

The values are those of `configs/stage1.py` to `stage5.py`, read by `Stage.from_config`. Nothing in
this room asks for a stage's name: five stages are five values of one type.
"""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import Any

from reasoner_jax.core.records import from_dict
from reasoner_jax.data.task import Task
from reasoner_jax.models.config import Compute
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Model:
    """The network and how it is computed.

    Attributes:
        preset: sizes of a network that starts from nothing, see `models.presets`.
        dtype, param_dtype, remat, scan_layers, attention: see `models.config.Compute`.
    """

    preset: str
    dtype: str = "float32"
    param_dtype: str = "float32"
    remat: str = "none"
    scan_layers: bool = True
    attention: str = "auto"

    @property
    def compute(self) -> Compute:
        """The same for the modules."""
        names = [field.name for field in dataclasses.fields(Compute)]
        return Compute(**{n: getattr(self, n) for n in names if hasattr(self, n)})


@dataclasses.dataclass(frozen=True)
class Reply:
    """How the network is asked and answers, see `text.reply_format`.

    Attributes:
        ratios: response and reasoning slots of a block; training draws one for each example, and a
            checkpoint answers by the first.
        modes: likewise.
    """

    system: str
    instruction: str = ""
    modes: tuple[str, ...] = ("in_speaking",)
    ratios: tuple[tuple[int, int], ...] = ((2, 8),)
    control_tokens: bool = True

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """All layouts; a ratio matters where thoughts are interleaved."""
        drawn = []
        for mode, (response, reasoning) in itertools.product(self.modes, self.ratios):
            schedule = Schedule(
                response,
                reasoning,
                mode=mode,  # type: ignore[arg-type], checked by Schedule
                control_tokens=self.control_tokens,
            )
            if mode == "in_speaking" or (response, reasoning) == self.ratios[0]:
                drawn.append(schedule)
        return tuple(drawn)

    @property
    def format(self) -> ReplyFormat:
        """What a checkpoint says of it."""
        return ReplyFormat(self.system, self.instruction, self.schedules[0])


@dataclasses.dataclass(frozen=True)
class Lesson:
    """One data set of the mixture, and what is learned from it; see `data.task.Task`.

    Attributes:
        data: directory of a data set (`launch/synthesize.py`).
        split: of it.
        weight: examples drawn from it, relative to the others'.
        direct: reply at once, without reasoning, whatever the stage's modes.
        on_corrupt: "raise" or "skip", for records that cannot be read.
    """

    data: str
    split: str = "train"
    weight: float = 1.0
    prompt: str = "audio"
    target: str = "response"
    instruction: str = ""
    direct: bool = False
    codes: bool = False
    spell: bool = False
    allow_wait: bool = False
    tempo: tuple[float, float] = (1.0, 1.0)
    lead_in_s: float = 0.0
    on_corrupt: str = "raise"

    def task(self, reply: Reply) -> Task:
        """The lesson as the loader takes it."""
        schedules = reply.schedules
        if self.direct or self.target == "transcript":
            schedules = (schedules[0].for_mode("direct"),)
        return Task(
            prompt=self.prompt,  # type: ignore[arg-type], checked by Task
            target=self.target,  # type: ignore[arg-type]
            schedules=schedules,
            instruction=self.instruction or reply.instruction,
            system=reply.system,
            codes=self.codes,
            spell=self.spell,
            allow_wait=self.allow_wait,
            tempo=tuple(self.tempo),
            lead_in_s=self.lead_in_s,
        )


@dataclasses.dataclass(frozen=True)
class Losses:
    """Weights of the terms of the loss; each term is a mean over its own targets.

    Attributes:
        response, reasoning: of the thinker's targets, by stream; both are one term.
        ctc: of the words heard.
        codes: of the talker's speech codes.
        chunk_tokens: tokens whose logits exist at once on a device; 0 for all.
    """

    response: float = 1.0
    reasoning: float = 1.0
    ctc: float = 0.0
    codes: float = 0.0
    chunk_tokens: int = 2048

    @property
    def tokens(self) -> bool:
        """Whether anything is predicted by the thinker's head."""
        return self.response > 0 or self.reasoning > 0


@dataclasses.dataclass(frozen=True)
class LearningRate:
    """A factor for parameters whose path matches `pattern` fully; the first match counts."""

    pattern: str
    factor: float


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """AdamW or Muon with linear warm-up, then a cosine down to `final_share` of the peak.

    Attributes:
        method: "adamw", or "muon" for the matrices of layers and convolutions and AdamW for the
            rest; Muon's updates are scaled to the size of AdamW's, so that rates carry over.
        clip_norm: of the whole gradient; 0 for no clipping.
        weight_decay: of kernels; biases, norms and embeddings do not decay.
        factors: of the learning rate, by path.
        ema_decay: of an average of the parameters, which checkpoints then hold beside them and
            evaluation uses; 0 for none.
    """

    peak_rate: float
    method: str = "adamw"
    warmup_steps: int = 100
    final_share: float = 0.1
    b1: float = 0.9
    b2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    factors: tuple[LearningRate, ...] = ()
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in ("adamw", "muon"):
            raise ValueError(f"optimizer.method is {self.method!r}, expected adamw or muon")


@dataclasses.dataclass(frozen=True)
class Train:
    """How long, and in which batches.

    Attributes:
        steps: optimiser steps.
        batch_rows: rows of a step, over all devices.
        accumulate: parts into which a step's rows are split, one after the other.
        tokens: L, tokens of a row.
        chunks, codes, words: see `data.task.RowBudget`; -1 for what such rows need on average.
        examples: the most examples of a row; 1 for no packing.
        seed: of the parameters' first values and the order of the data.
        num_workers, window: see `data.loader.LoaderConfig`.
    """

    steps: int
    batch_rows: int
    tokens: int
    accumulate: int = 1
    chunks: int = -1
    codes: int = -1
    words: int = -1
    examples: int = 64
    seed: int = 0
    num_workers: int = 0
    window: int = 1024


@dataclasses.dataclass(frozen=True)
class MeshShape:
    """Devices along each axis, see `core.sharding.make_mesh`; -1 for the rest.

    All 1 is the first device alone.
    """

    data: int = 1
    fsdp: int = -1
    tensor: int = 1
    sequence: int = 1


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measured on held-out problems during the run.

    Attributes:
        every: steps; 0 for the last step only.
        data, split: of the problems; no evaluation without `data`.
        num_batches: for the loss.
        num_answers: problems answered by real decoding; 0 for none.
        best: the figure that says which checkpoint is the best: "held_out/loss", or
            "answers/right" with answers.
        better: "max" or "min" of it.
    """

    every: int = 0
    data: str = ""
    split: str = "held_out"
    num_batches: int = 4
    num_answers: int = 0
    best: str = "held_out/loss"
    better: str = "min"


@dataclasses.dataclass(frozen=True)
class Keep:
    """Checkpoints.

    Attributes:
        every: steps; the last step is always kept.
        last: how many of the latest are kept, beside the best.
    """

    every: int = 1000
    last: int = 2


@dataclasses.dataclass(frozen=True)
class Stage:
    """All that a run depends on.

    Attributes:
        name: for people.
        init_from: where the network comes from: a checkpoint of ours, a Hugging Face directory or
            hub id; "" for nothing, that is random parameters and a vocabulary learned from the
            lessons' texts.
        trainable: regular expressions; parameters whose path matches one fully are trained.
        codec: directory of a speech codec that goes into the checkpoint and makes the talker's
            targets; "fit" for one fitted to the lessons' responses; "" for the network's own.
        lessons: the mixture.
        log_every: steps between two reports.
    """

    name: str
    model: Model
    trainable: tuple[str, ...]
    reply: Reply
    lessons: tuple[Lesson, ...]
    train: Train
    optimizer: Optimizer
    losses: Losses = Losses()
    init_from: str = ""
    codec: str = ""
    mesh: MeshShape = MeshShape()
    evaluate: Evaluate = Evaluate()
    keep: Keep = Keep()
    log_every: int = 10

    def __post_init__(self) -> None:
        train, losses = self.train, self.losses
        for name, value in (("steps", train.steps), ("batch_rows", train.batch_rows)):
            if value < 1:
                raise ValueError(f"train.{name} is {value}, expected 1 or more")
        if train.accumulate < 1 or train.batch_rows % train.accumulate:
            raise ValueError(
                f"train.accumulate is {train.accumulate}, expected a divisor of the "
                f"{train.batch_rows} rows of train.batch_rows"
            )
        if not self.lessons:
            raise ValueError(f"{self.name} has no lessons; give the config at least one")
        if not self.trainable:
            raise ValueError(f"{self.name}: trainable is empty, so nothing would be learned")
        if not (losses.tokens or losses.ctc or losses.codes):
            raise ValueError(f"{self.name}: all weights in losses are 0; set one of {losses}")
        for term, lacking in (
            ("ctc", not any(lesson.spell for lesson in self.lessons)),
            ("codes", not any(lesson.codes for lesson in self.lessons)),
        ):
            if getattr(losses, term) and lacking:
                raise ValueError(
                    f"{self.name}: losses.{term} is {getattr(losses, term)}, but no lesson has "
                    f"{'spell' if term == 'ctc' else 'codes'}=True"
                )
        if self.evaluate.better not in ("max", "min"):
            raise ValueError(f"evaluate.better is {self.evaluate.better!r}, expected max or min")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Stage":
        """Reads the plain values of a config (`ConfigDict.to_dict()`).

        Raises:
            ValueError: a value is missing, unknown, of another type, or makes no sense.
        """
        values = json.loads(json.dumps(dict(config)))
        values.pop("data", None)  # a name for the lessons' directories, for flags
        lessons = values.get("lessons")
        if isinstance(lessons, dict):  # named there, so that flags can reach them
            values["lessons"] = [lesson for lesson in lessons.values() if lesson["weight"] > 0]
        return from_dict(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, to be compared and kept."""
        return json.loads(json.dumps(dataclasses.asdict(self)))
