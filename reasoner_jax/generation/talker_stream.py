"""The thinker's vectors become speech codes as they arrive, many replies at once; knows no sound.

    stream = TalkerStream.of(omni)
    state = stream.start(batch=2)
    state = stream.read(state, 0, vectors, paces)     # as often as they come
    state = stream.read(state, 0, ended=True)
    state, codes = stream.speak(state, max_codes=25)      # codes[row]

A row speaks as far as its text allows: the next token's vector has to be there when it is due, see
`core.text_feed`. Steps are compiled in blocks; the host only lays out which vector is read when.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.codecs import centres_of
from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.core.text_feed import TEXT_PAD
from reasoner_jax.generation.sampling import Draw, Sampling, row_keys
from reasoner_jax.generation.talker_blocks import TalkerRows, prefill, say, with_room
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.talker import Talker

QWEN_DRAW = Draw(temperature=0.9, top_k=40, top_p=0.8, repetition_penalty=1.05)
"""How Qwen2.5-Omni's talker is sampled."""

_FIRST_CAPACITY = 256
_BLOCK_CODES = 16
_PATIENCE = 1.3
"""A row that has not ended by this many times the length of its text is ended, see `_limit`."""


# A token is a third of a second of speech, and Qwen's talker says 50 codes a second: one that takes
# thrice as long as its text has lost its way.
_CODES_PER_TOKEN = 50
_MORE_CODES = 100


def most_codes(num_tokens: int) -> int:
    """Bound on the codes of a text, for a talker without a feed that could tell how long it is."""
    return _MORE_CODES + _CODES_PER_TOKEN * num_tokens


@dataclasses.dataclass(frozen=True, eq=False)
class Text:
    """What a row has been given to say.

    Attributes:
        vectors: of its tokens so far, see `models.talker.reply_vectors`.
        paces: codes that each of these tokens should take.
        ended: whether no more will come.
    """

    vectors: Float[np.ndarray, "R D"]
    paces: tuple[float, ...] = ()
    ended: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class TalkerState:
    """Where a batch stands; immutable.

    Attributes:
        rows: on the device; donated when the state speaks, so that a state speaks once.
        texts: of each row.
        num_codes: said by each row, the end included.
        finished: whether a row has said all.
    """

    rows: TalkerRows
    texts: tuple[Text, ...]
    num_codes: Int[np.ndarray, " B"]
    finished: Bool[np.ndarray, " B"]


@dataclasses.dataclass(frozen=True, eq=False)
class TalkerStream:
    """A talker at work.

    Attributes:
        talker: the module.
        params: its parameters.
        marks: vectors of text end and text pad.
        speaker_start: vector of the voice's start token, for a talker that reads the prompt.
        draw: how codes are sampled.
        centres: of the codec's codebook, for a talker that says the code nearest to all that it
            holds possible (`talker_blocks.central_code`) instead of the one drawn.
    """

    talker: Talker
    params: Params
    marks: Float[Array, "2 D"]
    speaker_start: Float[Array, " D"]
    draw: Draw
    centres: Float[Array, "C M"] | None = None

    @classmethod
    def of(cls, omni: Omni, draw: Draw | None = None, voice: str | None = None) -> "TalkerStream":
        """The talker of a network.

        Args:
            omni: any layout; `omni.for_serving()` decodes fastest.
            draw: by default Qwen's, or for a talker of ours the most central code of its codec.
            voice: by name, for a talker that reads the prompt; the first by default.

        Raises:
            ValueError: no talker, or no such voice.
        """
        config = omni.talker.config
        start = config.text_start_token_id
        if voice is not None or omni.voices:
            start = _voice_start(omni, voice)
        ids = jnp.array([[config.text_end_token_id, config.text_pad_token_id, start]])
        end, pad, start = omni.thinker.apply(
            {"params": omni.params["thinker"]}, ids, method="embed"
        )[0]
        centres = None
        if draw is None and config.text_feed is None:
            draw = QWEN_DRAW
        elif draw is None:
            draw, known = Draw(), centres_of(omni)
            centres = None if known is None else jnp.asarray(known)
        marks = jnp.stack([end, pad])
        return cls(omni.talker, omni.params["talker"], marks, start, draw, centres)

    @property
    def config(self) -> TalkerConfig:
        return self.talker.config

    def start(
        self,
        batch: int,
        prompts: Sequence[Float[np.ndarray, "L D"]] | None = None,
        *,
        seed: int = 0,
    ) -> TalkerState:
        """A batch that has said nothing.

        Args:
            batch: rows.
            prompts: of each row, see `models.talker.prompt_vectors`; for a talker that reads them.
            seed: of the draws; a row draws the same in any batch.

        Raises:
            ValueError: prompts that are missing, or that nobody reads.
        """
        if (prompts is not None) != self.config.reads_prompt:
            raise ValueError(
                f"prompts are {'given' if prompts else 'missing'}, but the talker's reads_prompt "
                f"is {self.config.reads_prompt}; give them if, and only if, it reads them"
            )
        width = self.marks.shape[1]
        longest = 0 if prompts is None else max(len(prompt) for prompt in prompts) + 1
        capacity = _FIRST_CAPACITY + longest
        cache = KVCache.create(self.config.decoder, self.talker.compute, batch, capacity)
        if prompts is not None:
            padded = np.zeros((batch, longest, width), np.float32)
            for row, prompt in enumerate(prompts):
                padded[row, : len(prompt)] = prompt
            lengths = np.array([len(prompt) for prompt in prompts], np.int32)
            cache = prefill(self.talker, self.params, cache, padded, lengths, self.speaker_start)
        kind = self._sampling.kind
        seen = (batch, 2, self.config.vocab_size)
        rows = TalkerRows(
            cache=cache,
            last=jnp.full((batch,), self.config.codec_start_token_id, jnp.int32),
            num_codes=jnp.zeros((batch,), jnp.int32),
            finished=jnp.zeros((batch,), bool),
            keys=row_keys(seed, np.arange(batch)),
            seen=jnp.zeros(seen, bool) if kind.penalises else None,
        )
        nothing = Text(np.zeros((0, width), np.float32))
        return TalkerState(
            rows, (nothing,) * batch, np.zeros(batch, np.int32), np.zeros(batch, bool)
        )

    def read(
        self,
        state: TalkerState,
        row: int,
        vectors: Float[np.ndarray, "R D"] | None = None,
        paces: Sequence[float] = (),
        *,
        ended: bool = False,
    ) -> TalkerState:
        """Gives a row more to say.

        Args:
            state: of the batch.
            row: number of the reply.
            vectors: of its next tokens, without the token that ends the response.
            paces: codes that each of these tokens should take, see `TextFeed.codes_of`.
            ended: nothing more will come.

        Raises:
            ValueError: vectors of another width or number than said, or after the end.
        """
        text, width = state.texts[row], self.marks.shape[1]
        new = np.zeros((0, width), np.float32) if vectors is None else np.asarray(vectors)
        if new.shape != (len(paces), width):
            raise ValueError(
                f"row {row}: vectors have shape {new.shape}, paces are of {len(paces)} tokens; "
                f"expected {(len(paces), width)}, as wide as the thinker"
            )
        if text.ended and len(new):
            raise ValueError(f"row {row}: its text has ended; start a new batch for a new reply")
        texts = list(state.texts)
        texts[row] = Text(
            np.concatenate([text.vectors, new.astype(np.float32)]),
            (*text.paces, *map(float, paces)),
            text.ended or ended,
        )
        return dataclasses.replace(state, texts=tuple(texts))

    def speak(
        self, state: TalkerState, max_codes: int = 1 << 30
    ) -> tuple[TalkerState, list[Int[np.ndarray, " K"]]]:
        """Says as much as the texts allow, `max_codes` a row at most.

        Returns:
            The new state, and the new codes of each row, without the end code. A row that has
            finished says no more; one that waits for text may say nothing.
        """
        said: list[list[int]] = [[] for _ in state.texts]
        while max_codes > 0:
            size = min(_BLOCK_CODES, max_codes)
            counts = self._ready(state, size)
            if not counts.any():
                break
            state, codes = self._block(state, counts)
            for row, new in enumerate(codes):
                said[row] += [code for code in new.tolist() if code >= 0]
            max_codes -= size
        return state, [np.array(codes, np.int32) for codes in said]

    @property
    def _sampling(self) -> Sampling:
        return Sampling(response=self.draw, reasoning=self.draw)

    def _ready(self, state: TalkerState, size: int) -> Int[np.ndarray, " B"]:
        """Steps that each row can take now."""
        left = np.maximum(self._limits(state) - state.num_codes, 0)
        return np.where(state.finished, 0, np.minimum(left, size)).astype(np.int32)

    def _limits(self, state: TalkerState) -> Int[np.ndarray, " B"]:
        return np.array([self._limit(text) for text in state.texts])

    def _limit(self, text: Text) -> int:
        """Steps that a text allows: to the next token's; when it has ended, until patience ends."""
        due = int(self.config.pace.steps(text.paces)[-1])
        if not text.ended:
            return due if text.paces else 0
        if self.config.text_feed is None:
            return most_codes(len(text.paces))
        return int(_PATIENCE * (due + self.config.text_feed.lead_codes)) + 2 * _BLOCK_CODES

    def _block(
        self, state: TalkerState, counts: Int[np.ndarray, " B"]
    ) -> tuple[TalkerState, Int[np.ndarray, "B N"]]:
        """Up to `_BLOCK_CODES` steps of every row; -1 where a row says nothing."""
        sources, vectors = self._layout(state)
        rows = with_room(state.rows, _BLOCK_CODES)
        sampling = self._sampling
        rows, codes = say(
            self.talker, sampling.kind, self.params, sampling.rules(), rows,
            vectors, sources, counts, self.marks, self.centres,
        )  # fmt: skip
        codes, num_codes, finished = jax.device_get((codes, rows.num_codes, rows.finished))
        ended = np.array([text.ended for text in state.texts])
        over = ended & (num_codes >= self._limits(state))
        state = dataclasses.replace(state, rows=rows, num_codes=num_codes, finished=finished | over)
        return state, codes

    def _layout(
        self, state: TalkerState
    ) -> tuple[Int[np.ndarray, "B N"], Float[np.ndarray, "B N D"]]:
        """What each row reads at its next steps: numbers as `TextFeed.sources`, and vectors."""
        batch, width = len(state.texts), self.marks.shape[1]
        sources = np.full((batch, _BLOCK_CODES), TEXT_PAD, np.int32)
        vectors = np.zeros((batch, _BLOCK_CODES, width), np.float32)
        for row, text in enumerate(state.texts):
            begin = int(state.num_codes[row])
            held = self.config.pace.sources(text.paces, begin + _BLOCK_CODES)[begin:]
            sources[row] = held
            is_token = held >= 0
            vectors[row, is_token] = text.vectors[held[is_token]]
        return sources, vectors


def speak(
    stream: TalkerStream,
    vectors: Sequence[Float[np.ndarray, "R D"]],
    paces: Sequence[Sequence[float]],
    prompts: Sequence[Float[np.ndarray, "L D"]] | None = None,
    *,
    seed: int = 0,
) -> list[Int[np.ndarray, " K"]]:
    """Codes of whole responses.

    Args:
        stream: the talker.
        vectors: of each response's tokens, without its end token.
        paces: of each of these tokens, see `TalkerStream.read`.
        prompts, seed: see `TalkerStream.start`.

    Raises:
        ValueError: see `TalkerStream.read`.
    """
    state = stream.start(len(vectors), prompts, seed=seed)
    for row, (own, codes) in enumerate(zip(vectors, paces, strict=True)):
        state = stream.read(state, row, own, codes, ended=True)
    return stream.speak(state)[1]


def _voice_start(omni: Omni, voice: str | None) -> int:
    name = voice or next(iter(omni.voices))
    if name not in omni.voices:
        raise ValueError(f"no voice {name!r}; the checkpoint has {list(omni.voices)}")
    return omni.voices[name].bos_token_id
