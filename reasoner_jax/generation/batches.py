"""Batches of questions through the compiled loop, and what they gave; knows no text of a reply."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.sharding import batch_sharding
from reasoner_jax.generation import blocks, slots
from reasoner_jax.generation.prompt import (
    EncodedQuestion,
    PaddedQuestions,
    PromptEncoder,
    pad_questions,
    rounded,
)
from reasoner_jax.generation.replies import (
    Guide,
    Program,
    Prompts,
    Replies,
    begin_anew,
    regroup,
)
from reasoner_jax.generation.reply import Outcome
from reasoner_jax.generation.sampling import Sampling, row_keys
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.schedule import Schedule

FIRST_TOKENS = 384
"""Most replies are shorter; the cache of the few that are not grows."""


@dataclasses.dataclass(frozen=True, eq=False)
class BatchRun:
    """Questions of one call, batch by batch.

    Attributes:
        omni: laid out for serving.
        encoder: its vocabulary and prompt.
        program: what is compiled.
        sampling: how replies are drawn.
        max_tokens: bound on a reply.
        vectors: whether replies carry what the talker reads.
        rows: of each batch.
    """

    omni: Omni
    encoder: PromptEncoder
    program: Program
    sampling: Sampling
    max_tokens: int
    vectors: bool
    rows: int

    def in_batches(
        self,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
    ) -> Iterator[tuple[int, Outcome]]:
        """Each question's place in these lists and its outcome, one batch after the other."""
        for begin in range(0, len(encoded), self.rows):
            part = slice(begin, begin + self.rows)
            answers = self.answer(encoded[part], schedules[part], numbers[part])
            yield from enumerate(answers, start=begin)

    def answer(
        self,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
    ) -> list[Outcome]:
        """Outcomes of one batch."""
        began = time.perf_counter()
        replies, guide = self.prefill(encoded, schedules, numbers)[0], self.guide()
        replies.lengths.block_until_ready()
        prefilled = time.perf_counter()
        params = self.omni.params["thinker"]
        outcomes: list[Outcome | None] = [None] * len(encoded)
        rows = np.arange(len(encoded))
        while len(rows):
            replies = blocks.decode(self.program, params, guide, replies)
            found = jax.device_get(results(replies))
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

    def whole_rows(self, count: int) -> int:
        """See `whole_rows`."""
        return whole_rows(count, self.omni.mesh)

    def guide(self) -> Guide:
        """What steers the sampler."""
        return Guide(jnp.asarray(self.encoder.allowed), self.sampling.rules())

    def prefill(
        self,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
        room: int | None = None,
        capacity: int | None = None,
    ) -> tuple[Replies, Float[Array, "B L D"]]:
        """Replies that are about to begin, and what a talker reads of their prompts.

        Args:
            encoded, schedules, numbers: of each question; at most `rows`.
            room: tokens of the longest reply; None for what most replies need.
            capacity: of the cache; None for what prompts and replies need.
        """
        padded = pad_questions(encoded, self.rows, self.omni.config.thinker)
        room = min(self.max_tokens, room or FIRST_TOKENS)
        # Of the longest prompt's tokens, not of its padding, which a cache may drop.
        needed = int(padded.lengths.max()) + room + self.program.widths[-1]
        return blocks.prefill(
            self.program,
            self.omni.params["thinker"],
            self._place(self._prompts(padded, list(schedules), numbers, self.rows)),
            capacity=capacity or cache_size(needed),
            reply_capacity=room,
            vectors=self.vectors,
        )

    def begin(self, cache: KVCache, last_token: int, schedule: Schedule) -> Replies:
        """Replies, all alike, to a prompt of which `cache` holds all but the last token."""
        tokens = np.full((self.rows, 1), last_token, np.int32)
        padded = PaddedQuestions(tokens, np.ones(self.rows, np.int32), None, None)
        return begin_anew(
            self.program,
            cache,
            self._place(self._prompts(padded, [schedule], [0], self.rows)),
            reply_capacity=self.max_tokens,
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
        batch = self.whole_rows(len(left))
        index = np.zeros(batch, np.int32)
        index[: len(left)] = left
        limits = np.where(np.arange(batch) < len(left), room, 0).astype(np.int32)
        more = room - replies.tokens.shape[1]
        return regroup(
            self.program, replies, index, limits,
            capacity=cache_size(replies.cache.capacity + more), reply_capacity=room,
        )  # fmt: skip

    def _place(self, tree: Any) -> Any:
        """Split over the devices that hold the network."""
        mesh = self.omni.mesh
        return tree if mesh is None else jax.device_put(tree, batch_sharding(mesh))


def whole_rows(count: int, mesh: Mesh | None) -> int:
    """Rows of a batch of `count` questions: a size that is compiled for, whole on every device."""
    least = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
    return -(-rounded(count, 1) // least) * least


def cache_size(num_tokens: int) -> int:
    """The next size that caches have: few of them, since each is compiled for.

    >>> [cache_size(n) for n in (100, 300, 400, 700)]
    [256, 320, 448, 768]
    """
    return max(256, rounded(num_tokens, 64))


def results(replies: Replies) -> dict[str, Any]:
    """What the host wants to know of replies; still on the device."""
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
