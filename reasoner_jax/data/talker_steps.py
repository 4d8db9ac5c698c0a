"""What a talker reads and says at each of its steps, while it learns; knows no sound, no batch."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from reasoner_jax.core.axes import Int
from reasoner_jax.core.text_feed import TEXT_START, TextFeed
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.text.tokenizer import Tokenizer

NO_CODE = -1

LEAD_CODES = 4.0
"""Of 40 ms: how far text is ahead of speech, to know what sound the next word begins with."""

_MAX_RESPONSES = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class TalkerSteps:
    """Step by step, K of them.

    Attributes:
        targets: the code to be said, `NO_CODE` where none is.
        inputs: the code that was said before, or what stands for it; `NO_CODE` in the prompt.
        sources: the token whose vector is read, or a negative number of `core.text_feed`.
    """

    targets: Int[np.ndarray, " K"]
    inputs: Int[np.ndarray, " K"]
    sources: Int[np.ndarray, " K"]


def num_steps(num_codes: int, num_prompt: int, config: TalkerConfig) -> int:
    """Steps of a response of `num_codes`, its end code not counted, behind `num_prompt` tokens."""
    return num_codes + 1 + (num_prompt + 1 if config.reads_prompt else 0)


def lay_out(
    codes: Int[np.ndarray, " K"],
    response: Int[np.ndarray, " R"],
    paces: Sequence[float],
    num_prompt: int,
    config: TalkerConfig,
) -> TalkerSteps:
    """The steps of one response.

    Two tokens at places 9 and 12 of their row, three codes, one token a step, and no prompt:

        sources   9      12  END  PAD
        inputs    start  c0  c1   c2
        targets   c0     c1  c2   end

    and with a prompt of two tokens before it:

        sources   0   1   START  9      12  END  PAD
        inputs    -   -   pad    start  c0  c1   c2
        targets   -   -   -      c0     c1  c2   end

    Args:
        codes: of the whole response.
        response: places of its tokens, without the token that ends it: nobody reads that one.
        paces: codes that each of these tokens should take, see `TextFeed.codes_of`.
        num_prompt: tokens of the prompt.
        config: special codes, pace, and whether the prompt is read.
    """
    held = config.pace.sources(paces, len(codes) + 1)
    sources = held.copy()
    sources[held >= 0] = np.asarray(response, np.int32)[held[held >= 0]]
    inputs = np.concatenate([[config.codec_start_token_id], codes])
    targets = np.concatenate([codes, [config.codec_end_token_id]])
    if config.reads_prompt:
        silent = np.full(num_prompt, NO_CODE)
        sources = np.concatenate([np.arange(num_prompt), [TEXT_START], sources])
        inputs = np.concatenate([silent, [config.codec_pad_token_id], inputs])
        targets = np.concatenate([silent, [NO_CODE], targets])
    return TalkerSteps(*(each.astype(np.int32) for each in (targets, inputs, sources)))


def with_noise(
    inputs: Int[np.ndarray, " K"], share: float, seed: int, config: TalkerConfig
) -> Int[np.ndarray, " K"]:
    """The codes fed, some of them replaced by random ones; special ones stay."""
    rng = np.random.default_rng(seed)
    num_codes = min(
        config.codec_start_token_id, config.codec_end_token_id, config.codec_pad_token_id
    )
    is_sound = (inputs >= 0) & (inputs < num_codes)
    replaced = is_sound & (rng.random(inputs.shape) < share)
    return np.where(replaced, rng.integers(num_codes, size=inputs.shape), inputs).astype(np.int32)


def fit_feed(
    datasets: Iterable[SpokenDataset],
    tokenizer: Tokenizer,
    num_codes: Callable[[int], int],
    *,
    lead_codes: float = LEAD_CODES,
) -> TextFeed:
    """The pace at which the responses of data sets are spoken; reads no sound, only its lengths.

    Args:
        datasets: with spoken responses, of one voice.
        tokenizer: of the network.
        num_codes: of so many samples, see `CodecEncoder.num_codes`.
        lead_codes: see `TextFeed`.

    Raises:
        ValueError: no response is spoken.
    """
    responses, lengths, codes = [], [], []
    for dataset in datasets:
        for index in range(min(len(dataset), _MAX_RESPONSES - len(responses))):
            outline = dataset.outline(index)
            if outline.num_response_samples:
                tokens = tokenizer.encode(outline.response, parse_special=False)
                responses.append(np.array(tokens, np.int32))
                lengths.append(tokenizer.num_bytes(tokens))
                codes.append(num_codes(outline.num_response_samples))
    if not responses:
        raise ValueError(
            "no response of the data sets is spoken, so their pace is unknown; make a data set "
            "with --config.speak.response.share=1.0"
        )
    return TextFeed.fit(responses, lengths, codes, lead_codes=lead_codes)
