"""Small recipes, and speakers and listeners without a model, for the tests of the pipeline."""

from pathlib import Path

import numpy as np

from configs.data import get_config
from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.records import Problem, Step, Voice
from reasoner_jax.synthesis.augment import VoiceChoice, VoiceOptions
from reasoner_jax.synthesis.back_end import SpeechError
from reasoner_jax.synthesis.pipeline import Speech
from reasoner_jax.synthesis.recipe import Recipe
from tests.synthesis.programs import write_program

GSM8K_FIVE = Path(__file__).parents[1] / "sources" / "gsm8k_five.jsonl"
VOICE = Voice("fake", "a")

# Speaks like a clock: a tick of 400 Hz a word.
FAKE_TTS = """
    import math, struct, sys, time, wave
    text, path, speed, delay_s = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    time.sleep(delay_s)
    count = int(16000 * 0.3 / speed * len(text.split()))
    samples = [int(9000 * math.sin(i * 0.157 * (1 + len(text) % 7))) for i in range(count)]
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(struct.pack(f"<{count}h", *samples))
"""


def text_recipe(num_problems=12, **changes):
    return Recipe(_values(num_problems, **changes))


def spoken_recipe(folder, num_problems=12, delay_s=0.0, **changes):
    """Spoken by a program of its own, `FAKE_TTS`; heard by nobody."""
    program = write_program(folder / "fake_tts.py", FAKE_TTS)
    values = _values(num_problems, **changes)
    values["speak"] |= {
        "enabled": True,
        "use": ("command",),
        "response": {"share": 1.0, "back_end": "command", "voice_id": "default"},
    }
    values["speak"]["back_ends"]["command"]["command"] = (
        f"{program} {{text}} {{wav}} {{speed}} {delay_s}"
    )
    return Recipe(values)


def _values(num_problems, records_per_shard=4, seed=0, gsm8k=None, on_malformed="raise"):
    config = get_config("quickstart")
    config.seed = seed
    config.sources.simple_op.num_problems = num_problems
    if gsm8k is not None:
        config.sources.gsm8k = {"location": str(gsm8k), "on_malformed": on_malformed}
    config.output.records_per_shard = records_per_shard
    config.speak.enabled = False
    return config.to_dict()


def gsm8k_file(path, *extra_lines):
    """Five problems of GSM8K, the first two of them twice."""
    five = GSM8K_FIVE.read_text().splitlines()
    path.write_text("\n".join([*five, *five[:2], *extra_lines]) + "\n")
    return path


def data_set(directory):
    """The files that must not depend on how a run went, by name."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("spoken_math-*"))}


class FakeSpeaker:
    """A second of noise for three words; fails for the texts it is told to."""

    name, voice_ids = "fake", ("a",)

    def __init__(self, fails_at=()):
        self.spoken = []
        self.fails_at = fails_at

    def speak(self, text, voice):
        self.spoken.append((text, voice))
        if len(self.spoken) in self.fails_at:
            raise SpeechError("fake is out of order")
        noise = np.random.default_rng(len(text)).normal(
            0, 0.1, SAMPLE_RATE_HZ * len(text.split()) // 3
        )
        return noise.astype(np.float32)


class FakeRecognizer:
    """Hears what it is told, one text after the other."""

    name = "fake"

    def __init__(self, *transcripts):
        self.transcripts = list(transcripts)

    def transcribe(self, waveform):
        heard = self.transcripts.pop(0)
        if isinstance(heard, Exception):
            raise heard
        return heard


def fake_speech(speaker, recognizer=None, response=False, num_tries=2):
    return Speech(
        speakers={"fake": speaker},
        options=VoiceOptions((VoiceChoice("fake", "a"),), noise_share=1.0, room_share=1.0),
        response_voice=VOICE if response else None,
        recognizer=recognizer,
        num_tries=num_tries,
    )


def clips(**changes):
    """A problem of GSM8K."""
    return Problem(
        **{
            "source": "gsm8k",
            "problem_id": "gsm8k/train/00000",
            "question": "Natalia sold 48 clips in April and half as many in May. How many clips "
            "did she sell in May?",
            "solution": "She sold 48/2 = 24 clips in May.",
            "answer": "24",
            "steps": (Step("48/2", "24", "She sold 48/2 = 24 clips in May."),),
            **changes,
        }
    )
