"""Speech codes of responses that are written already, from a talker that can speak; knows no file.

Qwen2.5-Omni's codec has a decoder and no public encoder, so no recording can be turned into its
codes. What its released talker says to a given text is the only source of targets for training a
talker (stage 5); `distill_dataset` makes a data set of them.

    distiller = Distiller.of(rj.load("Qwen/Qwen2.5-Omni-3B"))
    codes = distiller.speak([distiller.script(dataset.outline(0))])
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.data.dataset import Outline
from reasoner_jax.generation.prompt import PromptEncoder, Question, rounded
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_stream import TalkerState, TalkerStream, most_codes
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.talker import Talker, token_vectors
from reasoner_jax.models.thinker import Thinker
from reasoner_jax.text.interleave import interleave
from reasoner_jax.text.schedule import Schedule, Stream


@dataclasses.dataclass(frozen=True, eq=False)
class Script:
    """A reply as the thinker reads it.

    Attributes:
        tokens: prompt and reply.
        num_prompt: tokens of the prompt.
        response: places of the response's tokens, without the one that ends it.
    """

    tokens: Int[np.ndarray, " L"]
    num_prompt: int
    response: Int[np.ndarray, " R"]

    @property
    def max_codes(self) -> int:
        """Bound on what is said."""
        return most_codes(len(self.response))


@dataclasses.dataclass(frozen=True, eq=False)
class Distiller:
    """A network that speaks given responses.

    Attributes:
        omni: laid out for serving.
        stream: its talker.
        encoder: how it is asked.
        schedule: how it replies.
        rows: responses spoken at once.
    """

    omni: Omni
    stream: TalkerStream
    encoder: PromptEncoder
    schedule: Schedule
    rows: int = 16

    @classmethod
    def of(
        cls, omni: Omni, *, voice: str | None = None, draw: Draw | None = None, rows: int = 16
    ) -> "Distiller":
        """A network as its checkpoint says it was taught; one that we did not teach just answers.

        Args:
            omni: with a talker and a tokenizer.
            voice: name of the speaker; the first by default.
            draw: how codes are drawn; the talker's own way by default.
            rows: responses spoken at once.

        Raises:
            ValueError: no talker, no tokenizer or no such voice; rows below 1.
        """
        if rows < 1:
            raise ValueError(f"rows is {rows}, expected 1 or more responses at once")
        if omni.reply_format is None:
            schedule = Schedule(mode="direct", control_tokens=False)
        else:
            schedule = omni.reply_format.schedule
        encoder = PromptEncoder.of(omni)
        served = omni.for_serving(batch_size=rows)
        return cls(served, TalkerStream.of(served, draw, voice), encoder, schedule, rows)

    def script(self, outline: Outline) -> Script | None:
        """The problem's question in writing and its reply; None without a response.

        Raises:
            ValueError: the tokenizer lacks a token that the schedule needs.
        """
        ids = self.encoder.control_ids([self.schedule])

        def encode(text: str, end: int) -> list[int]:
            return [*self.encoder.tokenizer.encode(text, parse_special=False), end] if text else []

        response = encode(outline.response, ids.end_of_response)
        thoughts = encode(outline.reasoning, ids.end_of_thought) if self.schedule.thinks else []
        if len(response) < 2:
            return None
        woven = interleave(response, thoughts, self.schedule, ids, allow_wait=True)
        prompt = self.encoder.encode(Question(text=outline.spoken_question)).tokens
        is_said = (woven.streams == Stream.RESPONSE) & (woven.tokens != ids.end_of_response)
        places = len(prompt) + np.flatnonzero(is_said)
        return Script(np.concatenate([prompt, woven.tokens]), len(prompt), places)

    def start(self, scripts: Sequence[Script | None], seed: int = 0) -> TalkerState:
        """The talker with all that there is to say, before its first code.

        Args:
            scripts: `rows` of them at most; None says nothing.
            seed: of the draws; what a row draws depends on its number, not on the other rows.

        Raises:
            ValueError: more scripts than rows, or not one.
        """
        if len(scripts) > self.rows or not any(scripts):
            raise ValueError(f"got {len(scripts)} scripts, expected 1 to {self.rows} for the rows")
        vectors = self._vectors(scripts)
        state = self.stream.start(*self._prompts(scripts, vectors), seed=seed)
        for row, script in enumerate(scripts):
            if script is not None:
                ids = script.tokens[script.response]
                lengths = self.encoder.tokenizer.num_bytes(ids)
                paces = self.stream.config.pace.codes_of(ids, lengths)
                own = vectors[row, script.response]
                state = self.stream.read(state, row, own, paces.tolist(), ended=True)
        return state

    def speak(
        self, scripts: Sequence[Script | None], seed: int = 0
    ) -> list[Int[np.ndarray, " K"] | None]:
        """The codes of each response, without the end code.

        Args:
            scripts, seed: see `start`.

        Returns:
            None for what says nothing, or has not ended when it must, see `Script.max_codes`.

        Raises:
            ValueError: more scripts than rows.
        """
        written = [script for script in scripts if script is not None]
        if not written:
            return [None] * len(scripts)
        state = self.start(scripts, seed)
        state, codes = self.stream.speak(state, max(script.max_codes for script in written))
        # Not `state.finished`: that holds where patience ended, too.
        ended = np.asarray(state.rows.finished)
        return [
            said if script is not None and end and 0 < len(said) <= script.max_codes else None
            for script, said, end in zip(scripts, codes, ended, strict=False)
        ]

    def _prompts(
        self, scripts: Sequence[Script | None], vectors: Float[np.ndarray, "B L D"]
    ) -> tuple[int, list[Float[np.ndarray, "L D"]] | None]:
        """Rows of the talker, and their prompts where it reads any.

        A talker that does gets one row more, which says nothing: its prompt is as long as the
        longest, rounded up, so that batches differ little in shape and few programs are compiled.
        """
        if not self.stream.config.reads_prompt:
            return self.rows, None
        lengths = [0 if script is None else script.num_prompt for script in scripts]
        lengths += [0] * (self.rows - len(lengths))
        prompts = [np.zeros((0, vectors.shape[2]), np.float32)] * self.rows
        for row, script in enumerate(scripts):
            if script is not None:
                prompts[row] = vectors[row, : script.num_prompt]
        longest = rounded(max(lengths) + 1, 64) - 1
        return self.rows + 1, [*prompts, np.zeros((longest, vectors.shape[2]), np.float32)]

    def _vectors(self, scripts: Sequence[Script | None]) -> Float[np.ndarray, "B L D"]:
        """What the talker reads of every token of every row."""
        longest = max(len(script.tokens) for script in scripts if script is not None)
        tokens = np.zeros((self.rows, rounded(longest, 64)), np.int32)
        is_said = np.zeros(tokens.shape, bool)
        for row, script in enumerate(scripts):
            if script is not None:
                tokens[row, : len(script.tokens)] = script.tokens
                is_said[row, script.response] = True
        omni = self.omni
        with omni.on_mesh():
            return np.asarray(
                _read(omni.thinker, omni.talker, omni.params["thinker"], tokens, is_said)
            )


@functools.partial(jax.jit, static_argnames=("thinker", "talker"))
def _read(
    thinker: Thinker,
    talker: Talker,
    params: Params,
    tokens: Int[Array, "B L"],
    is_said: Bool[Array, "B L"],
) -> Float[Array, "B L D"]:
    """Text vectors of prompt and reply in one pass; there is no audio in it."""
    output = thinker.apply({"params": params}, tokens)
    heard, share = jnp.zeros(tokens.shape, bool), talker.config.hidden_share
    vectors = token_vectors(output.hidden_states, output.embeddings, heard, is_said, share)
    return vectors.astype(jnp.float32)
