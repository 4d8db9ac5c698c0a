"""Answers many questions at once: batches by length, decodes on the device, returns records.

One engine serves every mode, ratio and way of sampling; what is compiled depends on sizes alone.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax

from reasoner_jax.core.records import Reply
from reasoner_jax.generation.batches import BatchRun, whole_rows
from reasoner_jax.generation.continuous import answer_all
from reasoner_jax.generation.prompt import EncodedQuestion, PromptEncoder, Question
from reasoner_jax.generation.replies import Program
from reasoner_jax.generation.reply import Outcome, reply_of
from reasoner_jax.generation.sampling import GREEDY, Sampling
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.schedule import Schedule

__all__ = ["Engine", "Question"]

MAX_TOKENS = 1024
# Tokens that one pass reads for about the price of one, measured: benchmarks/streaming.py.
_FREE_TOKENS = {"cpu": 4, "gpu": 256, "tpu": 256}
WIDTHS = (1, 2, 12)
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
        object.__setattr__(self, "omni", self.omni.for_serving(batch_size=self.batch_size))
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
        encoded, schedules = self.encode(questions, schedule, max_tokens)
        outcomes: list[Outcome | None] = [None] * len(questions)
        rows = self.rows(len(questions))
        order = sorted(range(len(questions)), key=lambda index: len(encoded[index].tokens))
        run = self.batch_run(schedules, sampling, max_tokens, vectors=vectors, rows=rows)
        with self.omni.on_mesh():
            sorted_ = [encoded[i] for i in order], [schedules[i] for i in order], order
            forced = any(question.thoughts is not None for question in questions)
            batched = forced or len(order) <= rows
            answers = run.in_batches(*sorted_) if batched else answer_all(run, *sorted_)
            for number, (place, outcome) in enumerate(answers):
                outcomes[order[place]] = outcome
                if progress is not None:
                    progress(number + 1, len(order))
        return [
            reply_of(outcome, question, own, self.encoder.tokenizer)
            for outcome, question, own in zip(outcomes, questions, schedules, strict=True)
            if outcome is not None
        ]

    def encode(
        self,
        questions: Sequence[Question],
        schedule: Schedule | Sequence[Schedule] | None,
        max_tokens: int,
    ) -> tuple[list[EncodedQuestion], list[Schedule]]:
        """Questions as the network reads them, and the schedule of each reply.

        Raises:
            ValueError: see `generate`.
        """
        schedules = self._schedules(schedule, len(questions))
        _check_thoughts(questions, schedules)
        encoded = [self._encode(index, question) for index, question in enumerate(questions)]
        self._check_lengths(encoded, max_tokens)
        return encoded, schedules

    def batch_run(
        self,
        schedules: Sequence[Schedule],
        sampling: Sampling,
        max_tokens: int,
        *,
        vectors: bool,
        rows: int,
    ) -> BatchRun:
        """What answers batches of `rows` questions."""
        return BatchRun(
            self.omni,
            self.encoder,
            self.program(schedules, sampling),
            sampling,
            max_tokens,
            vectors,
            rows,
        )

    def program(self, schedules: Sequence[Schedule], sampling: Sampling) -> Program:
        """What has to be compiled to answer under these schedules, whatever their modes."""
        talker = self.omni.config.talker
        return Program(
            thinker=self.omni.thinker,
            ids=self.encoder.control_ids(schedules),
            sampling=sampling.kind,
            widths=WIDTHS,
            free_tokens=_FREE_TOKENS.get(jax.default_backend(), 1),
            hidden_share=1.0 if talker is None else talker.hidden_share,
        )

    def rows(self, count: int) -> int:
        """Rows of each batch of `count` questions: equal batches, whole on every device."""
        num_batches = max(1, -(-count // self.batch_size))
        return whole_rows(max(1, -(-count // num_batches)), self.omni.mesh)

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


def _check_thoughts(questions: Sequence[Question], schedules: Sequence[Schedule]) -> None:
    for index, (question, schedule) in enumerate(zip(questions, schedules, strict=True)):
        if question.thoughts is not None and not schedule.thinks:
            raise ValueError(
                f"question {index}: it has thoughts to be thought, and a schedule of mode direct "
                "has none; ask in in_speaking or before_speaking"
            )
