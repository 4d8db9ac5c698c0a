"""How soon it speaks, how fast it decodes, how well it paces itself; random weights.

    python benchmarks/streaming.py --preset=smol             # all of it, some minutes
    python benchmarks/streaming.py --preset=smol --peer=no   # without transformers (extra `dev`)
    python benchmarks/streaming.py --only=pacing             # the simulator alone, at once

First sound: the streaming engine against the same network run the way `transformers` runs it (the
thinker to its end, then the talker, then the codec), with the same compiled parts and the same
tokens; and against `transformers` itself at the same sizes and lengths, thinker and talker, its
vocoder left out. Decoding: tokens a second against the floor that reading the weights sets, with a
pass for every token (2:8 without control tokens), and with the control tokens that ride along.
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

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import reasoner_jax as rj
from benchmarks import machine
from reasoner_jax.codecs import base, codec_of
from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.core import params as trees
from reasoner_jax.core.records import Reply
from reasoner_jax.core.text_feed import TextFeed
from reasoner_jax.generation import engine as engines
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.events import AudioEvent
from reasoner_jax.generation.pacing import TRACES, Pacing, simulate, trace
from reasoner_jax.generation.prompt import EncodedQuestion
from reasoner_jax.generation.stream import Style, stream_question
from reasoner_jax.generation.talker_stream import TalkerStream, speak
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.schedule import Schedule, Stream
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS, TEXT_MODEL_TOKENS
from reasoner_jax.text.tokenizer import train_bpe
from reasoner_jax.weights.manifest import Manifest

WORDS = "let me see so seven and three is ten"


def network(preset: str, directory: str) -> Omni:
    """A speaking network of random weights, with a codec that knows nothing but noise."""
    config = rj.preset(preset)
    feed = TextFeed(codes_per_token=2, codes_per_byte=1.2, lead_codes=4)
    talker = dataclasses.replace(config.talker, reads_prompt=False, text_feed=feed)
    config = dataclasses.replace(config, talker=talker)
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.1, 16_000 * 90).astype(np.float32)]
    MelVQ.fit(noise, codebook_size=talker.codec_start_token_id).save(directory)
    special = FROM_SCRATCH_TOKENS if preset == "tiny" else TEXT_MODEL_TOKENS
    tokenizer = train_bpe([WORDS] * 3, 320, special)
    return Omni.create(
        config, tokenizer=tokenizer, origin=Manifest(config, codec_files=Path(directory))
    )


Calls = dict[str, Callable[[], float]]
"""Each runs once and returns its seconds."""


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


def original(config: OmniConfig) -> Any:
    """`transformers` at our sizes, with a vocoder that does nothing."""
    import torch

    from benchmarks.model_vs_transformers import peer

    model = peer(config.thinker, "float32", config.talker)
    model.token2wav.forward = lambda code, **_: torch.zeros(1)
    start = config.talker.text_start_token_id
    voice = dict(bos_token=start, cond=torch.zeros(1, 8), ref_mel=torch.zeros(1, 30, 80))
    model.speaker_map = {"Chelsie": voice}
    return model


def timed_peer(model: Any, encoded: EncodedQuestion, max_tokens: int, num_codes: int) -> float:
    """Seconds of thinker and talker, one after the other, until all codes are there."""
    import torch

    tokens, mel = torch.tensor(encoded.tokens[None], dtype=torch.long), encoded.mel
    began = time.perf_counter()
    with torch.no_grad():
        model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            input_features=torch.tensor(mel.T[None]),
            feature_attention_mask=torch.ones(1, len(mel), dtype=torch.long),
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

    tokens = torch.ones((1, length), dtype=torch.long)
    began = time.perf_counter()
    with torch.no_grad():
        model.thinker.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=max_tokens,
            do_sample=False,
        )
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
    ways: dict[str, Callable[[int], float]] = {
        "a pass for every token": lambda n: timed(
            engine, question, Schedule(2, 8, control_tokens=False), n
        ),
        "control tokens ride along": lambda n: timed(engine, question, Schedule(2, 8), n),
    }
    if peer is not None:
        [encoded], _ = engine.encode([question], None, max_tokens)
        ways["transformers"] = lambda n: timed_peer_thinker(peer, len(encoded.tokens), n)
    calls: Calls = {"bandwidth": machine.read_bandwidth}
    for name, way in ways.items():
        calls[f"{name}, few"] = functools.partial(way, few)
        calls[f"{name}, many"] = functools.partial(way, max_tokens)
    found = turns(calls, rounds)
    floor = found["bandwidth"] / trees.num_bytes(engine.omni.params["thinker"]["model"])
    for name in ways:
        rate = (max_tokens - few) / (found[f"{name}, many"] - found[f"{name}, few"])
        print(f"| decoding, tokens/s, {name}; other: the bandwidth floor | {rate:.1f} ", end="")
        print(f"| {floor:.1f} | {rate / floor:.0%} |", flush=True)


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
    parser.add_argument("--preset", default="smol", choices=["tiny", "smol"])
    parser.add_argument("--tokens", type=int, default=240, help="of a reply")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the question")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default="yes", choices=["yes", "no"], help="transformers too")
    parser.add_argument("--only", choices=["pacing"], help="a part of it")
    args = parser.parse_args()
    if args.only is None:
        measure(args)
    pacing()


def measure(args: argparse.Namespace) -> None:
    """What needs a network."""
    print(f"{machine.describe()}; {args.preset}, float32, batch 1, {args.tokens} tokens a reply\n")
    print("| | ours | other | gain |\n|---|---|---|---|", flush=True)
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 0.1, int(16_000 * args.seconds)).astype(np.float32)
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(network(args.preset, directory), batch_size=1)
        peer = original(engine.omni.config) if args.peer == "yes" else None
        first_sound(engine, Question(samples), args.tokens, args.rounds, peer)
    decoding(engine, Question(samples), args.tokens, args.rounds, peer)
    fast_forward(engine, args.tokens, args.rounds)


if __name__ == "__main__":
    main()
