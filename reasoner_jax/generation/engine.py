"""Answers many questions at once: batches by length, decodes on the device, returns records.

One engine serves every mode, ratio and way of sampling; what is compiled depends on sizes alone.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Int
from reasoner_jax.core.records import Reply
from reasoner_jax.core.sharding import batch_sharding
from reasoner_jax.generation import blocks, slots
from reasoner_jax.generation.blocks import Guide, Program, Prompts, Replies
from reasoner_jax.generation.prompt import (
    EncodedQuestion,
    PaddedQuestions,
    PromptEncoder,
    Question,
    pad_questions,
    rounded,
)
from reasoner_jax.generation.reply import Outcome, reply_of
from reasoner_jax.generation.sampling import GREEDY, Sampling, row_keys
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.schedule import Schedule

__all__ = ["Engine", "Question"]

MAX_TOKENS = 1024
FIRST_TOKENS = 256
"""Most replies are shorter; the cache of the few that are not grows."""

# Tokens that one pass reads for about the price of one, measured: benchmarks/streaming.py.
_FREE_TOKENS = {"cpu": 4, "gpu": 256, "tpu": 256}
_WIDTHS = (1, 2, 12)
"""A token; a token and a control token; a block of 2 and 8 slots whose thought is over."""

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Engine:
    """A network that answers.

    Attributes:
        omni: laid out for serving; any network is accepted and laid out so.
        batch_size: rows that are decoded together.
    """

    omni: Omni
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")
        object.__setattr__(self, "omni", self.omni.for_serving())
        object.__setattr__(self, "encoder", PromptEncoder.of(self.omni))

    encoder: PromptEncoder = dataclasses.field(init=False, repr=False)

    @property
    def schedule(self) -> Schedule:
        """The one that the checkpoint was taught."""
        return self.encoder.reply_format.schedule

    def generate(
        self,
        questions: Sequence[Question],
        schedule: Schedule | Sequence[Schedule] | None = None,
        sampling: Sampling = GREEDY,
        *,
        max_tokens: int = MAX_TOKENS,
        vectors: bool = False,
        progress: Progress | None = None,
    ) -> list[Reply]:
        """Answers all questions; nothing is spoken.

        Args:
            questions: any number.
            schedule: for all of them or one each; None for the checkpoint's own.
            sampling: greedy by default.
            max_tokens: bound on a reply, forced tokens included; a reply that reaches it is
                `truncated`.
            vectors: whether replies carry what the talker reads.
            progress: called with the number of questions answered and of all.

        Returns:
            A reply to each question, in order. Its `timings` are those of its batch; the first
            token's is estimated from the number of passes before it.

        Raises:
            ValueError: a question that cannot be asked (its number is named), a schedule whose
                tokens the vocabulary lacks, or a prompt and reply longer than the network reads.
        """
        schedules = self._schedules(schedule, len(questions))
        _check_thoughts(questions, schedules)
        encoded = [self._encode(index, question) for index, question in enumerate(questions)]
        self._check_lengths(encoded, max_tokens)
        outcomes: list[Outcome | None] = [None] * len(questions)
        rows = self.rows(len(questions))
        order = sorted(range(len(questions)), key=lambda index: len(encoded[index].tokens))
        run = _Run(self, sampling, self.program(schedules, sampling), max_tokens, vectors, rows)
        with self.omni.on_mesh():
            for begin in range(0, len(order), rows):
                chosen = order[begin : begin + rows]
                answers = run.answer(
                    [encoded[i] for i in chosen], [schedules[i] for i in chosen], chosen
                )
                for index, outcome in zip(chosen, answers, strict=True):
                    outcomes[index] = outcome
                if progress is not None:
                    progress(begin + len(chosen), len(order))
        return [
            reply_of(outcome, question, own, self.encoder.tokenizer)
            for outcome, question, own in zip(outcomes, questions, schedules, strict=True)
            if outcome is not None
        ]

    def program(self, schedules: Sequence[Schedule], sampling: Sampling) -> Program:
        """What has to be compiled to answer under these schedules, whatever their modes."""
        return Program(
            thinker=self.omni.thinker,
            ids=self.encoder.control_ids(schedules),
            sampling=sampling.kind,
            widths=_WIDTHS,
            free_tokens=_FREE_TOKENS.get(jax.default_backend(), 1),
        )

    def rows(self, count: int) -> int:
        """Rows of each batch of `count` questions: equal batches, whole on every device."""
        mesh = self.omni.mesh
        least = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
        num_batches = max(1, -(-count // self.batch_size))
        return -(-rounded(-(-count // num_batches), 1) // least) * least

    def _schedules(
        self, schedule: Schedule | Sequence[Schedule] | None, count: int
    ) -> list[Schedule]:
        if schedule is None or isinstance(schedule, Schedule):
            return [schedule or self.schedule] * count
        if len(schedule) != count:
            raise ValueError(f"expected one schedule or {count}, got {len(schedule)}")
        return list(schedule)

    def _encode(self, index: int, question: Question) -> EncodedQuestion:
        try:
            return self.encoder.encode(question)
        except ValueError as error:
            raise ValueError(f"question {index}: {error}") from error

    def _check_lengths(self, encoded: Sequence[EncodedQuestion], max_tokens: int) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}, expected 1 or more")
        bound = self.omni.config.thinker.decoder.max_length
        for index, question in enumerate(encoded):
            if len(question.tokens) + max_tokens > bound:
                raise ValueError(
                    f"question {index}: its prompt of {len(question.tokens)} tokens and a reply of "
                    f"{max_tokens} exceed the {bound} that the network reads; shorten the question "
                    "or lower max_tokens"
                )


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    """One call of `generate`."""

    engine: Engine
    sampling: Sampling
    program: Program
    max_tokens: int
    vectors: bool
    rows: int

    def answer(
        self,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
    ) -> list[Outcome]:
        """Outcomes of one batch."""
        began = time.perf_counter()
        replies, guide = self._prefill(encoded, schedules, numbers), self._guide()
        replies.lengths.block_until_ready()
        prefilled = time.perf_counter()
        params = self.engine.omni.params["thinker"]
        outcomes: list[Outcome | None] = [None] * len(encoded)
        rows = np.arange(len(encoded))
        while len(rows):
            replies = blocks.decode(self.program, params, guide, replies, 1 << 30)
            found = jax.device_get(_results(replies))
            now = time.perf_counter()
            pace = (now - prefilled) / max(1, int(found["passes"]))
            over = found["finished"] | (found["lengths"] >= self.max_tokens)
            for place in np.flatnonzero(over[: len(rows)]):
                first = found["first_passes"][place]
                outcomes[rows[place]] = Outcome.of_row(
                    found,
                    place,
                    first_token_s=prefilled - began + pace * first if first > 0 else now - began,
                    total_s=now - began,
                )
            left = np.flatnonzero(~over[: len(rows)])
            replies, rows = self._grow(replies, left), rows[left]
        return [outcome for outcome in outcomes if outcome is not None]

    def _guide(self) -> Guide:
        return Guide(jnp.asarray(self.engine.encoder.allowed), self.sampling.rules())

    def _prefill(
        self,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
    ) -> Replies:
        engine = self.engine
        padded = pad_questions(encoded, self.rows, engine.omni.config.thinker)
        room = min(self.max_tokens, FIRST_TOKENS)
        prompts = self._prompts(padded, list(schedules), numbers, self.rows)
        return blocks.prefill(
            self.program,
            engine.omni.params["thinker"],
            self._place(prompts),
            capacity=cache_size(padded.tokens.shape[1] + room + self.program.widths[-1]),
            reply_capacity=room,
            vectors=self.vectors,
        )

    def _prompts(
        self,
        padded: PaddedQuestions,
        schedules: list[Schedule],
        numbers: Sequence[int],
        batch: int,
    ) -> Prompts:
        """The batch, filled up with rows that rest."""
        count = len(schedules)
        schedules = schedules + schedules[:1] * (batch - count)
        number = np.zeros(batch, np.int32)
        number[:count] = numbers
        return Prompts(
            **vars(padded),
            layouts=slots.layouts_of(schedules),
            rows=slots.start_rows(schedules),
            limits=np.where(np.arange(batch) < count, self.max_tokens, 0).astype(np.int32),
            keys=row_keys(self.sampling.seed, number),
        )

    def _grow(self, replies: Replies, left: Int[np.ndarray, " B"]) -> Replies | None:
        """The rows that go on, with four times the room."""
        if not len(left):
            return None
        room = min(self.max_tokens, 4 * replies.tokens.shape[1])
        batch = self.engine.rows(len(left))
        index = np.zeros(batch, np.int32)
        index[: len(left)] = left
        limits = np.where(np.arange(batch) < len(left), room, 0).astype(np.int32)
        more = room - replies.tokens.shape[1]
        return blocks.regroup(
            self.program, replies, index, limits,
            capacity=cache_size(replies.cache.capacity + more), reply_capacity=room,
        )  # fmt: skip

    def _place(self, tree: Any) -> Any:
        """Split over the devices that hold the network."""
        mesh = self.engine.omni.mesh
        return tree if mesh is None else jax.device_put(tree, batch_sharding(mesh))


def _check_thoughts(questions: Sequence[Question], schedules: Sequence[Schedule]) -> None:
    for index, (question, schedule) in enumerate(zip(questions, schedules, strict=True)):
        if question.thoughts is not None and not schedule.thinks:
            raise ValueError(
                f"question {index}: it has thoughts to be thought, and a schedule of mode direct "
                "has none; ask in in_speaking or before_speaking"
            )


def cache_size(num_tokens: int) -> int:
    """The next size that caches have: few of them, since each is compiled for.

    >>> [cache_size(n) for n in (100, 300, 400, 700)]
    [256, 384, 512, 768]
    """
    power = max(256, 1 << (num_tokens - 1).bit_length())
    return power * 3 // 4 if num_tokens <= power * 3 // 4 and power > 256 else power


def _results(replies: Replies) -> dict[str, Any]:
    return dict(
        passes=replies.passes,
        finished=replies.rows.finished,
        lengths=replies.lengths,
        first_passes=replies.first_passes,
        tokens=replies.tokens,
        streams=replies.streams,
        vectors=replies.vectors,
        num_vectors=replies.num_vectors,
    )
