"""A small network, small data and small stages that the tests of this folder share."""

import dataclasses

from reasoner_jax.models.config import Compute
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.presets import TINY
from reasoner_jax.training.stage import Stage
from reasoner_jax.weights.load import save
from tests.data.problems import TOKENIZER, spoken_problem, waveform, write_dataset

SYSTEM = "Go."


def config():
    """Everything that the preset tiny has, CTC head and talker included, at a width of 16."""

    def narrow(decoder):
        sizes = dict(width=16, mlp_width=24, num_layers=2, num_heads=2, num_kv_heads=1)
        return dataclasses.replace(decoder, **sizes, head_dim=8, mrope_section=(2, 1, 1))

    audio = dataclasses.replace(
        TINY.thinker.audio,
        num_mel_bins=8,
        width=16,
        mlp_width=24,
        num_layers=1,
        num_heads=2,
        output_width=16,
        chunk_frames=40,
    )
    thinker = dataclasses.replace(
        TINY.thinker, vocab_size=448, decoder=narrow(TINY.thinker.decoder), audio=audio
    )
    talker = dataclasses.replace(
        TINY.talker,
        vocab_size=64,
        embedding_width=16,
        decoder=narrow(TINY.talker.decoder),
        codec_start_token_id=40,
        codec_end_token_id=41,
        codec_pad_token_id=42,
        codec_mask_token_id=43,
    )
    return dataclasses.replace(TINY, thinker=thinker, talker=talker)


def write_network(directory, seed=0):
    """A checkpoint to start from."""
    save(directory, Omni.create(config(), Compute(), seed, tokenizer=TOKENIZER))
    return str(directory)


def write_problems(directory, count=12, split="train", num_samples=4000):
    problems = [
        spoken_problem(
            number,
            num_samples + 160 * number,
            response_waveform=waveform(6000, number),
            response_codes=(waveform(40, number) * 16 + 16).astype(int) % 40,
        )
        for number in range(count)
    ]
    return str(write_dataset(directory, problems, split))


def stage(network, data, **changes):
    """A stage that trains the thinker's layers on spoken problems; `changes` by dotted path."""
    values = {
        "name": "test",
        "init_from": network,
        "model": {"preset": "tiny"},
        "trainable": ["thinker/model/layers/.*"],
        "reply": {"system": SYSTEM},
        "lessons": [{"data": data, "allow_wait": True}],
        "train": {"steps": 4, "batch_rows": 8, "tokens": 256, "window": 8},
        "optimizer": {"peak_rate": 1e-2, "warmup_steps": 0},
        "mesh": {"data": -1, "fsdp": 1},
        "keep": {"every": 2, "last": 2},
        "log_every": 1,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return Stage.from_config(values)
