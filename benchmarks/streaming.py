"""How soon it speaks, how fast it decodes, how well it paces itself; random weights.

    python benchmarks/streaming.py --preset=smol             # all of it, some minutes
    python benchmarks/streaming.py --preset=smol --peer=no   # without transformers (extra `dev`)
    python benchmarks/streaming.py --preset=3b --dtype=bfloat16    # on a GPU of 40 GB
    python benchmarks/streaming.py --preset=3b --dtype=bfloat16 --rows 8 32 128    # and batches
    python benchmarks/streaming.py --only=pacing             # the simulator alone, at once

First sound: the streaming engine against the same network run the way `transformers` runs it (the
thinker to its end, then the talker, then the codec), with the same compiled parts and the same
tokens; and against `transformers` itself at the same sizes and lengths, thinker and talker, its
vocoder left out. Decoding: tokens a second against the floor that reading the weights sets, with a
pass for every token (2:8 without control tokens), and with the control tokens that ride along.
Batches: rows of four ratios, each in its own phase, against the floor that weights and caches set.
Pads: a reply whose thought is over at once, its pads in one pass and one by one. In turns, in one
process.
"""

import argparse
import dataclasses
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.core import meta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import reasoner_jax as rj
from benchmarks import machine
from reasoner_jax.codecs import base, codec_of
from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.core import params as trees
from reasoner_jax.core.params import Params
from reasoner_jax.core.records import Reply
from reasoner_jax.core.text_feed import TextFeed
from reasoner_jax.generation import blocks
from reasoner_jax.generation import engine as engines
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.events import AudioEvent
from reasoner_jax.generation.pacing import TRACES, Pacing, simulate, trace
from reasoner_jax.generation.prompt import EncodedQuestion
from reasoner_jax.generation.sampling import GREEDY
from reasoner_jax.generation.stream import Style, stream_question
from reasoner_jax.generation.talker_stream import TalkerStream, speak
from reasoner_jax.models.config import Compute, OmniConfig
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.text.schedule import Schedule, Stream
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS, TEXT_MODEL_TOKENS
from reasoner_jax.text.tokenizer import train_bpe
from reasoner_jax.weights.manifest import Manifest
from reasoner_jax.weights.voices import Voice

PARTS = ["first_sound", "decoding", "pads", "batches", "pacing"]
WORDS = "let me see so seven and three is ten"


def network(preset: str, dtype: str, directory: str) -> Omni:
    """A speaking network of random weights, with a codec that knows nothing but noise."""
    config, compute = rj.preset(preset), Compute(dtype=dtype, param_dtype=dtype)
    if config.token2wav is None:
        feed = TextFeed(codes_per_token=2, codes_per_byte=1.2, lead_codes=4)
    else:
        # 150 words a minute are 3.3 of Qwen's tokens a second, of 50 codes.
        feed = TextFeed(codes_per_token=15, codes_per_byte=0, lead_codes=8)
    talker = dataclasses.replace(config.talker, reads_prompt=False, text_feed=feed)
    config = dataclasses.replace(config, talker=talker)
    rng = np.random.default_rng(0)
    params = filled(abstract_params(config, compute))
    special = FROM_SCRATCH_TOKENS if preset == "tiny" else TEXT_MODEL_TOKENS
    tokenizer = train_bpe([WORDS] * 3, 320, special)
    if config.token2wav is not None:
        sizes = config.token2wav.dit
        speaker = rng.normal(size=sizes.speaker_width).astype(np.float32)
        mel = rng.normal(size=(300, sizes.num_mel_bins)).astype(np.float32)
        voices = {"Chelsie": Voice(talker.text_start_token_id, speaker, mel)}
        return Omni(config, compute, params, tokenizer=tokenizer, voices=voices)
    noise = [rng.normal(0, 0.1, 16_000 * 90).astype(np.float32)]
    MelVQ.fit(noise, codebook_size=talker.codec_start_token_id).save(directory)
    origin = Manifest(config, codec_files=Path(directory))
    return Omni(config, compute, params, tokenizer=tokenizer, origin=origin)


def filled(shapes: Params) -> Params:
    """Random values of about the size that trained ones have, a million of them again and again:
    to draw billions takes minutes.
    """
    pool = np.random.default_rng(0).normal(0, 1, 2**20 + 7).astype(np.float32)

    def fill(shape: jax.ShapeDtypeStruct) -> jax.Array:
        scale = np.prod(shape.shape[:-1]) ** -0.5 if len(shape.shape) > 1 else 0.1
        values = (pool * np.float32(scale)).astype(shape.dtype)
        return jax.device_put(np.resize(values, shape.shape))

    return jax.tree.map(fill, meta.unbox(shapes))


Calls = dict[str, Callable[[], float]]
"""Each runs once and returns what it measured, seconds or a rate."""


def turns(calls: Calls, rounds: int) -> dict[str, float]:
    """The median of each measure, taken in turns, after one round that compiles."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for count in range(rounds + 1):
        for name, call in calls.items():
            value = call()
            if count:
                found[name].append(value)
    return {name: float(np.median(values)) for name, values in found.items()}


def first_sound(
    engine: Engine, question: Question, max_tokens: int, rounds: int, peer: Any
) -> None:
    """Streaming against one part after the other, ours and theirs."""
    schedule = Schedule(2, 8)
    codec, talker = codec_of(engine.omni), TalkerStream.of(engine.omni)

    def streaming() -> float:
        began = time.perf_counter()
        for event in stream_question(engine, question, Style(schedule, max_tokens=max_tokens)):
            if isinstance(event, AudioEvent):
                break
        return time.perf_counter() - began

    def one_after_the_other() -> float:
        began = time.perf_counter()
        [reply] = engine.generate([question], schedule, max_tokens=max_tokens, vectors=True)
        base.decode(codec, codes_of(engine, talker, reply))
        return time.perf_counter() - began

    calls: Calls = {"streaming": streaming, "our parts one after the other": one_after_the_other}
    if peer is not None:
        [reply] = engine.generate([question], schedule, max_tokens=max_tokens, vectors=True)
        num_codes = len(codes_of(engine, talker, reply))
        [encoded], _ = engine.encode([question], schedule, max_tokens)
        calls["transformers"] = lambda: timed_peer(peer, encoded, max_tokens, num_codes)
    found = turns(calls, rounds)
    streamed = found.pop("streaming")
    for name, seconds in found.items():
        print(f"| first sound, s; other: {name} | {streamed:.3f} | {seconds:.3f} ", end="")
        print(f"| {seconds / streamed:.1f} |", flush=True)


def original(config: OmniConfig, dtype: str) -> Any:
    """`transformers` at our sizes, with a vocoder that does nothing."""
    import torch

    from benchmarks.model_vs_transformers import peer

    model = peer(config.thinker, dtype, config.talker)
    model.token2wav.forward = lambda code, **_: torch.zeros(1)
    start = config.talker.text_start_token_id
    cond, mel = (torch.zeros(shape, device=model.device) for shape in ((1, 8), (1, 30, 80)))
    voice = dict(bos_token=start, cond=cond, ref_mel=mel)
    model.speaker_map = {"Chelsie": voice}
    return model


def timed_peer(model: Any, encoded: EncodedQuestion, max_tokens: int, num_codes: int) -> float:
    """Seconds of thinker and talker, one after the other, until all codes are there."""
    import torch

    device, mel = model.device, encoded.mel
    began = time.perf_counter()
    tokens = torch.tensor(encoded.tokens[None], dtype=torch.long, device=device)
    with torch.no_grad():
        model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            input_features=torch.tensor(mel.T[None], dtype=model.dtype, device=device),
            feature_attention_mask=torch.ones(1, len(mel), dtype=torch.long, device=device),
            thinker_max_new_tokens=max_tokens,
            thinker_do_sample=False,
            talker_max_new_tokens=num_codes,
            talker_do_sample=False,
            talker_repetition_penalty=1.0,
            talker_eos_token_id=[-1],
        )
    return time.perf_counter() - began


def timed_peer_thinker(model: Any, length: int, max_tokens: int) -> float:
    """Seconds of the thinker alone, of a written prompt."""
    import torch

    tokens = torch.ones((1, length), dtype=torch.long, device=model.device)
    began = time.perf_counter()
    with torch.no_grad():
        made = model.thinker.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=max_tokens,
            do_sample=False,
        )
        made.cpu()
    return time.perf_counter() - began


def codes_of(engine: Engine, talker: TalkerStream, reply: Reply) -> np.ndarray:
    """What the talker says for a whole reply."""
    tokens, streams = np.asarray(reply.tokens), np.asarray(reply.streams)
    assert reply.vectors is not None
    said = tokens[streams == Stream.RESPONSE][: len(reply.vectors)].tolist()
    paces = talker.config.pace.codes_of(said, engine.encoder.tokenizer.num_bytes(said))
    return speak(talker, [reply.vectors], [paces])[0]


def decoding(engine: Engine, question: Question, max_tokens: int, rounds: int, peer: Any) -> None:
    """Tokens a second of one row, without the prompt, against the floor."""
    few = max_tokens // 4
    ways: dict[str, Schedule] = {
        "a pass for every token": Schedule(2, 8, control_tokens=False),
        "control tokens ride along": Schedule(2, 8),
    }
    calls: Calls = {"bandwidth": machine.read_bandwidth}
    for name, schedule in ways.items():
        calls[name] = functools.partial(decode_rate, engine, question, [schedule], max_tokens)
    if peer is not None:
        [encoded], _ = engine.encode([question], None, max_tokens)
        peer_seconds = functools.partial(timed_peer_thinker, peer, len(encoded.tokens))
        calls["few"] = functools.partial(peer_seconds, few)
        calls["many"] = functools.partial(peer_seconds, max_tokens)
    found = turns(calls, rounds)
    if peer is not None:
        found["transformers"] = (max_tokens - few) / (found.pop("many") - found.pop("few"))
    floor = found.pop("bandwidth") / trees.num_bytes(engine.omni.params["thinker"]["model"])
    for name, rate in found.items():
        print(f"| decoding, tokens/s, {name}; other: the bandwidth floor | {rate:.1f} ", end="")
        print(f"| {floor:.1f} | {rate / floor:.0%} |", flush=True)


def batches(
    engine: Engine, question: Question, sizes: list[int], max_tokens: int, rounds: int
) -> None:
    """Tokens a second of all rows of a batch together, whose blocks are of different lengths."""
    ratios = [Schedule(2, 8), Schedule(2, 6), Schedule(3, 8), Schedule(1, 4)]
    calls: Calls = {"bandwidth": machine.read_bandwidth}
    for rows in sizes:
        mixed = [ratios[row % len(ratios)] for row in range(rows)]
        calls[str(rows)] = functools.partial(decode_rate, engine, question, mixed, max_tokens)
    found = turns(calls, rounds)
    bandwidth = found.pop("bandwidth")
    [encoded], _ = engine.encode([question], None, max_tokens)
    decoder = engine.omni.config.thinker.decoder
    token = 2 * decoder.num_layers * decoder.num_kv_heads * decoder.head_dim
    token *= engine.omni.thinker.compute.activation.itemsize
    cache = token * (len(encoded.tokens) + max_tokens / 2)
    for rows, rate in found.items():
        read = trees.num_bytes(engine.omni.params["thinker"]["model"]) + int(rows) * cache
        floor = int(rows) * bandwidth / read
        print(
            f"| decoding, tokens/s, {rows} rows; other: the bandwidth floor | {rate:.1f} ", end=""
        )
        print(f"| {floor:.1f} | {rate / floor:.0%} |", flush=True)


def decode_rate(
    engine: Engine, question: Question, schedules: list[Schedule], max_tokens: int
) -> float:
    """Tokens a second of replies under each of the schedules, once their prompts have been read."""
    rows = len(schedules)
    encoded, _ = engine.encode([question] * rows, schedules, max_tokens)
    run = engine.batch_run(schedules, GREEDY, max_tokens, vectors=False, rows=rows)
    replies, _ = run.prefill(encoded, schedules, range(rows))
    jax.block_until_ready(replies)
    began = time.perf_counter()
    params = engine.omni.params["thinker"]
    replies = blocks.decode(run.program, params, run.guide(), replies)
    return int(replies.lengths.sum()) / (time.perf_counter() - began)


def timed(engine: Engine, question: Question, schedule: Schedule, max_tokens: int) -> float:
    """Seconds of a whole reply."""
    began = time.perf_counter()
    engine.generate([question], schedule, max_tokens=max_tokens)
    return time.perf_counter() - began


def fast_forward(engine: Engine, max_tokens: int, rounds: int) -> None:
    """A reply that has nothing more to think."""
    question, schedule = Question(text=WORDS, thoughts=""), Schedule(2, 8)
    widths = {"together": engines.WIDTHS, "one by one": (1,)}

    def reply(name: str) -> float:
        engines.WIDTHS = widths[name]
        try:
            return timed(engine, question, schedule, max_tokens)
        finally:
            engines.WIDTHS = widths["together"]

    found = turns({name: lambda name=name: reply(name) for name in widths}, rounds)
    print(f"| {max_tokens} tokens of 2:8 after the thought, s | {found['together']:.3f} ", end="")
    print(f"| {found['one by one']:.3f} | {found['one by one'] / found['together']:.1f} |")


def pacing(num_blocks: int = 200) -> None:
    """Fixed and adaptive ratios on five machines."""
    print("\n| machine | tokens/s | 2:8 underruns | waited, s | adaptive | thoughts a block |")
    print("|---|---|---|---|---|---|")
    for name, pieces in TRACES.items():
        speed = trace(pieces)
        fixed = simulate(speed, pacing=None, num_blocks=num_blocks)
        free = simulate(speed, pacing=Pacing(), num_blocks=num_blocks)
        rates = ", ".join(f"{rate:g}" for _, rate in pieces)
        print(
            f"| {name} | {rates} | {fixed.num_underruns} of {num_blocks} | {fixed.stalled_s:.1f} "
            f"| {free.num_underruns} | {np.mean(free.thoughts):.1f} |"
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default="smol", choices=["tiny", "smol", "3b", "7b"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--tokens", type=int, default=240, help="of a reply")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the question")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="of batches, on a GPU")
    parser.add_argument("--peer", default="yes", choices=["yes", "no"], help="transformers too")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, help="parts of it")
    args = parser.parse_args()
    if args.only is not PARTS and "batches" in args.only and not args.rows:
        parser.error("--only batches needs their sizes: add --rows 8 32")
    if args.only != ["pacing"]:
        measure(args)
    if "pacing" in args.only:
        pacing()


def measure(args: argparse.Namespace) -> None:
    """What needs a network."""
    words = f"{args.preset}, {args.dtype}, batch 1, {args.tokens} tokens a reply"
    print(f"{machine.describe()}; {words}\n")
    print("| | ours | other | gain |\n|---|---|---|---|", flush=True)
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 0.1, int(16_000 * args.seconds)).astype(np.float32)
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(network(args.preset, args.dtype, directory), batch_size=1)
        peer = original(engine.omni.config, args.dtype) if args.peer == "yes" else None
        question, sizes = Question(samples), (args.tokens, args.rounds)
        if "first_sound" in args.only:
            first_sound(engine, question, *sizes, peer)
    if "decoding" in args.only:
        decoding(engine, question, *sizes, peer)
    if "pads" in args.only:
        fast_forward(engine, *sizes)
    if "batches" in args.only and args.rows:
        batches(engine, question, args.rows, *sizes)


if __name__ == "__main__":
    main()
