"""A small network with a vocabulary, whose replies end now and then, and the plain decode loop."""

import dataclasses
import functools

import jax
import numpy as np

from reasoner_jax.audio.log_mel import log_mel
from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.core.text_feed import TextFeed
from reasoner_jax.generation.prompt import PromptEncoder
from reasoner_jax.generation.sampling import choose, row_keys
from reasoner_jax.models.config import AudioEncoderConfig, DecoderConfig, OmniConfig, ThinkerConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.text import schedule as machine
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import Stream
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS, SpecialToken
from reasoner_jax.text.tokenizer import train_bpe
from tests.models.networks import lively, omni_config

WORDS = "let me see how many clips that makes so seven and three is ten the answer is ten 1+2=3"
LONGEST = 320


FEED = TextFeed(codes_per_token=2, codes_per_byte=0.5, lead_codes=3)
NUM_CODES = 28


@functools.cache
def omni(speaks: bool = False) -> Omni:
    """Random weights; a few words and the end tokens are far likelier than the rest."""
    tokenizer = train_bpe([WORDS] * 3, 320, FROM_SCRATCH_TOKENS)
    token_id = tokenizer.token_id
    config = OmniConfig(
        thinker=ThinkerConfig(
            vocab_size=tokenizer.vocab_size + 5,
            decoder=DecoderConfig(
                width=24,
                mlp_width=40,
                num_layers=2,
                num_heads=4,
                num_kv_heads=2,
                head_dim=16,
                mrope_section=(2, 3, 3),
                max_length=4096,
            ),
            audio=AudioEncoderConfig(
                num_mel_bins=8, width=16, mlp_width=24, num_layers=2, num_heads=2, output_width=24
            ),
            tie_embeddings=False,
            audio_token_id=token_id(SpecialToken.AUDIO),
            audio_start_token_id=token_id(SpecialToken.AUDIO_BOS),
            audio_end_token_id=token_id(SpecialToken.AUDIO_EOS),
        )
    )
    if speaks:
        talker = dataclasses.replace(
            omni_config().talker,
            text_start_token_id=token_id(SpecialToken.TEXT_START),
            text_end_token_id=token_id(SpecialToken.TEXT_END),
            text_pad_token_id=token_id(SpecialToken.TEXT_PAD),
            reads_prompt=False,
            text_feed=FEED,
        )
        config = dataclasses.replace(config, talker=talker)
    network = Omni.create(config, tokenizer=tokenizer, reply_format=ReplyFormat(system="Be brief."))
    params = jax.tree.map(np.array, lively(network.params))
    head = params["thinker"]["lm_head"]["kernel"]
    ends = [token_id(SpecialToken.IM_END), token_id(SpecialToken.END_OF_THOUGHT)]
    head[:, np.setdiff1d(np.arange(head.shape[1]), tokenizer.encode(WORDS) + ends)] *= 0.1
    head[:, ends] *= 1.5
    return dataclasses.replace(network, params=params)


@functools.cache
def codec() -> MelVQ:
    """As many codes as the small talker has."""
    return MelVQ.fit([waveform(4.0, seed=9)], codebook_size=NUM_CODES)


def waveform(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise at 16 kHz."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.3, 0.3, int(seconds * 16_000)).astype(np.float32)


def plain_reply(network, question, schedule, sampling, max_tokens, number=0):
    """One token at a time over `text.schedule`, every time reading everything anew.

    Returns:
        tokens, streams, and whether the reply ended by itself.
    """
    encoder = PromptEncoder.of(network)
    ids = encoder.control_ids([schedule])
    prompt = encoder.encode(question).tokens
    key = row_keys(sampling.seed, np.array([number]))[0]
    tokens, streams, state = [], [], machine.start(schedule)
    while len(tokens) < max_tokens and not state.finished:
        run = machine.next_run(state, schedule, ids)
        if run.token is not None:
            token, stream = run.token, run.stream
        else:
            scores = next_scores(network, [*prompt, *tokens], question)
            token, stream = (
                draw(encoder, scores, run.stream, sampling, key, tokens, streams),
                run.stream,
            )
            ends = stream == Stream.RESPONSE and token == ids.end_of_response
            if ends and not state.may_end_response:
                token, stream, state = ids.wait, Stream.PAD, state.hold()
        state = machine.advance(state, token, schedule, ids)
        tokens.append(token)
        streams.append(int(stream))
    return tokens, streams, state.finished


def next_scores(network, tokens, question):
    padded = np.zeros((1, LONGEST), np.int32)
    padded[0, : len(tokens)] = tokens
    mel, bins = np.zeros((1, 400, network.config.thinker.audio.num_mel_bins), np.float32), 0
    if question.waveform is not None:
        heard = log_mel(question.waveform, mel.shape[2])
        mel[0, : len(heard)], bins = heard, len(heard)
    return np.asarray(network.logits(padded, mel, np.array([bins])))[0, len(tokens) - 1]


jitted_choose = jax.jit(choose, static_argnames="kind")


def draw(encoder, scores, stream, sampling, key, tokens, streams):
    seen = np.zeros((1, 2, len(scores)), bool)
    for token, kind in zip(tokens, streams, strict=True):
        if kind in (Stream.RESPONSE, Stream.REASONING):
            seen[0, int(kind == Stream.REASONING), token] = True
    keys = jax.random.fold_in(key, len(tokens))[None]
    chosen = jitted_choose(
        scores[None], encoder.allowed, np.array([stream]), sampling.rules(), sampling.kind,
        keys=keys, seen=seen,
    )  # fmt: skip
    return int(chosen[0])
