"""What is learned from a data set, and what a row holds: plain values, which need no data stack."""

import dataclasses
from typing import Literal

import numpy as np

from reasoner_jax.text.chat import SPEECH_SYSTEM_PROMPT
from reasoner_jax.text.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Task:
    """What is asked, and what is to be learned.

        stage   prompt   target        schedule's mode
        1       audio    transcript    direct
        2       both     response      before_speaking
        3       text     response      in_speaking
        4, 5    audio    response      in_speaking (5 with codes)

    Attributes:
        prompt: whether the question is "audio", "text" (in spoken words), or "heard": text that
            looks like what a CTC head spells, with blanks and repetitions; it prepares a decoder
            for hearing at the price of reading.
        target: "transcript" repeats the question; "response" answers it, with the reasoning where
            the schedule's mode has one.
        schedules: layouts of the reply. Of several, each example draws one that it fits, anew in
            every epoch: an example fits if its reasoning ends before its response does.
        weights: of the schedules; empty for equal ones.
        instruction: text after the question.
        system: the system turn.
        codes: whether the speech codes of the response are targets too.
        code_shift_samples: the sound of a response begins up to so much later, drawn anew in every
            epoch; a code of our codec is 640 long. The same speech thus gives other codes.
        code_noise: share of the codes fed that are drawn at random, so that the talker learns to
            go on from its own mistakes.
        allow_wait: whether a response that is too short for its reasoning may be held back by
            silent <|wait|> tokens; otherwise such an example fits no schedule.
        spell: whether a CTC head learns the question's words from its audio.
        tempo: from how much slower to how much faster the question is heard than it was spoken,
            drawn anew in every epoch; the pitch stays. The few speakers of a small data set thus
            do not become a habit.
        lead_in_s: the question begins after up to so much silence, drawn anew in every epoch.
            An encoder that heard every recording from its first word on would learn which word to
            expect where, and mishear whoever draws breath before asking.
    """

    prompt: Literal["audio", "text", "heard"] = "audio"
    target: Literal["transcript", "response"] = "response"
    schedules: tuple[Schedule, ...] = (Schedule(),)
    weights: tuple[float, ...] = ()
    instruction: str = ""
    system: str = SPEECH_SYSTEM_PROMPT
    codes: bool = False
    code_shift_samples: int = 640
    code_noise: float = 0.1
    allow_wait: bool = False
    spell: bool = False
    tempo: tuple[float, float] = (1.0, 1.0)
    lead_in_s: float = 0.0

    def __post_init__(self) -> None:
        kinds = {"prompt": ("audio", "text", "heard"), "target": ("transcript", "response")}
        for name, known in kinds.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"task.{name} is {getattr(self, name)!r}, expected {' or '.join(known)}"
                )
        if self.spell and self.prompt != "audio":
            raise ValueError(f"task.spell needs prompt 'audio', got {self.prompt!r}")
        if not self.schedules:
            raise ValueError("task.schedules is empty, expected at least one Schedule")
        wrong = self.weights and len(self.weights) != len(self.schedules)
        if wrong or any(not weight > 0 for weight in self.weights):
            raise ValueError(
                f"task.weights is {self.weights}, expected a positive number for each of "
                f"{len(self.schedules)} schedules, or none"
            )
        if not 0.25 <= self.tempo[0] <= self.tempo[1] <= 4:
            raise ValueError(
                f"task.tempo is {self.tempo}, expected (slowest, fastest) between 0.25 and 4"
            )
        if not 0 <= self.lead_in_s <= 30:
            raise ValueError(
                f"task.lead_in_s is {self.lead_in_s}, expected seconds of silence from 0 to 30"
            )
        if self.code_shift_samples < 0 or not 0 <= self.code_noise < 1:
            raise ValueError(
                f"task.code_shift_samples is {self.code_shift_samples}, expected 0 or more; "
                f"task.code_noise is {self.code_noise}, expected a share from 0 to below 1"
            )


@dataclasses.dataclass(frozen=True)
class RowBudget:
    """What fits into a row; the static shapes of a batch.

    Attributes:
        tokens: L.
        chunks: C, audio chunks (2 seconds each); 0 for rows of text.
        codes: K, speech codes; 0 for rows without a talker.
        words: W, tokens of transcripts; 0 for rows without a CTC head.
        examples: E, the most examples of a row.
    """

    tokens: int
    chunks: int = 0
    codes: int = 0
    words: int = 0
    examples: int = 64

    def __post_init__(self) -> None:
        least_of = {"tokens": 1, "chunks": 0, "codes": 0, "words": 0, "examples": 1}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"row.{name} is {getattr(self, name)}, expected {least} or more")

    def as_array(self) -> np.ndarray:
        """The budgets in the order of `row_lengths`."""
        return np.array([self.tokens, self.chunks, self.codes, self.words, self.examples])
