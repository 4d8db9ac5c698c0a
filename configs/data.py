"""What `launch/synthesize.py` makes: gsm8k, full, or a set for the preset `tiny`.

    quickstart             spoken questions, to hear and to answer; a third of the responses is
                           spoken too, for the talker
    quickstart_written     more of the same, written: thinking is learned cheaper by reading
    quickstart_held_out    numbers that none of the others has, for evaluation
    facts, facts_written, facts_held_out
                           the same three of questions to be reasoned out without any sum, see
                           `sources.spoken_facts`

    --config=configs/data.py:gsm8k
    --config.sources.gsm8k.location=train.jsonl      a path, or a hub id
    --config.evaluation.spoken_mqa.location=DIR      keeps this benchmark's questions out
    --config.limit=100                               the first hundred problems
    --config.speak.enabled=False                     text only
    --config.speak.use="('piper','espeak')"          which of speak.back_ends speak
    --config.prepare.back_end=chat --config.prepare.chat.base_url=http://localhost:8000/v1

Every value is part of the data set's identity: a directory takes one recipe.
"""

import dataclasses

from ml_collections import ConfigDict

from reasoner_jax.synthesis.verify_speech import SpeechLimits

NAMES = (
    "quickstart",
    "quickstart_written",
    "quickstart_held_out",
    "gsm8k",
    "full",
    "facts",
    "facts_written",
    "facts_held_out",
)


def get_config(name: str = "quickstart") -> ConfigDict:
    """The recipe of that name; `synthesis.recipe` reads it.

    Raises:
        ValueError: no such recipe.
    """
    if name not in NAMES:
        raise ValueError(f"configs/data.py has no {name!r}, expected one of {list(NAMES)}")
    config = _common()
    config.sources = _sources(name)
    if name.startswith(("quickstart", "facts")):
        _for_tiny(config, name)
    if name == "full":
        config.evaluation.spoken_mqa.location = "amao0o0/spoken-mqa"
    return config


def _sources(name: str) -> ConfigDict:
    if name.startswith("quickstart"):
        return ConfigDict({"simple_op": _quickstart_problems(name)})
    if name.startswith("facts"):
        return ConfigDict({"spoken_facts": _facts_problems(name)})
    gsm8k = {"location": "openai/gsm8k", "split": "train", "on_malformed": "raise"}
    if name == "gsm8k":
        return ConfigDict({"gsm8k": gsm8k})
    return ConfigDict(
        {
            "gsm8k": gsm8k,
            "orca_math": {
                "location": "microsoft/orca-math-word-problems-200k",
                "on_malformed": "skip",
            },
            "metamath": {"location": "meta-math/MetaMathQA", "on_malformed": "skip"},
            "simple_op": {"num_problems": 2_500_000, "seed": 0},
        }
    )


def _quickstart_problems(name: str) -> dict:
    """Mostly sums and differences of 0 to 99; `simple_op` reserves pairs of them for evaluation."""
    digits, long = ("add", "subtract"), ("add_long", "subtract_long")
    words = ("gain", "lose", "two_step")
    sizes_and_seeds = {"": (2250, 0), "_written": (6000, 1), "_held_out": (420, 3)}
    num_problems, seed = sizes_and_seeds[name.removeprefix("quickstart")]
    is_held_out = name == "quickstart_held_out"
    return {
        "num_problems": num_problems,
        "seed": seed,
        # Taken in turn, so a name's share is how often it stands here.
        "kinds": digits * (4 if is_held_out else 12) + long + words,
        "long": (100, 999),
        "num_nouns": 8,
        "split": "held_out" if is_held_out else "train",
    }


def _facts_problems(name: str) -> dict:
    """Without "lookup", whose questions last 16 seconds: too long for the rows of `tiny`."""
    sizes_and_seeds = {"": (900, 0), "_written": (6000, 1), "_held_out": (200, 2)}
    num_problems, seed = sizes_and_seeds[name.removeprefix("facts")]
    return {
        "num_problems": num_problems,
        "seed": seed,
        "kinds": ("track", "order", "plan"),
        "split": "held_out" if name == "facts_held_out" else "train",
    }


def _for_tiny(config: ConfigDict, name: str) -> None:
    """Quick to make and quick to learn: one voice that says a sentence always the same way."""
    config.prepare.style = "digits" if name.startswith("quickstart") else "equations"
    # A bare answer is said too soon by a network that cannot count the words before it.
    config.prepare.restate_share = 1.0
    config.check.recognizer = ""  # checked by length, level and pauses; Whisper takes minutes
    config.speak.enabled = not name.endswith("_written")
    config.speak.response.share = 0.0 if name.endswith(("_written", "_held_out")) else 1 / 3
    config.speak.back_ends.piper.variation = 0.0
    config.speak.variety.update(
        speed=(1.0, 1.25),
        pitch_semitones=(0.0, 0.0),
        noise_share=0.3,
        noise_db=(15.0, 30.0),
        room_share=0.0,
    )
    if name.endswith("_held_out"):
        config.output.split = "held_out"


def _common() -> ConfigDict:
    return ConfigDict(
        {
            # Of phrases, voices, rooms and noise.
            "seed": 0,
            # Problems to collect; 0 for all.
            "limit": 0,
            # A record takes some 15 KB per second of speech.
            "output": {"name": "spoken_math", "split": "train", "records_per_shard": 2048},
            # A set without a location is not read.
            "evaluation": {"spoken_mqa": {"location": ""}},
            "prepare": {
                # "rules" (exact steps, offline) or "chat" (a language model).
                "back_end": "rules",
                # Of the trace: "equations" or another of `synthesis.trace`.
                "style": "equations",
                # Of responses: ending in a whole statement instead of the bare answer.
                "restate_share": 0.6,
                "schedule": {"response": 2, "reasoning": 8},
                "max_response_words": 90,
                "max_question_s": 120.0,
                "num_threads": 16,
                "chat": _chat(),
            },
            # A language model's opinion of every example.
            "judge": {"enabled": False, "chat": _chat()},
            "speak": _speak(),
            "check": {
                # "whisper", "endpoint", or "" to check what needs no transcript.
                "recognizer": "whisper",
                # Of the recogniser's class, e.g. {"model": "small.en"}.
                "options": {"model": ""},
                "limits": dataclasses.asdict(SpeechLimits()),
            },
        }
    )


def _speak() -> dict:
    return {
        "enabled": True,
        # Which of `back_ends` speak, drawn by weight.
        "use": ("piper",),
        "weights": {"piper": 1.0, "espeak": 0.25, "command": 1.0, "endpoint": 1.0},
        "back_ends": {
            "piper": {"variation": 1.0},
            "espeak": {},
            "command": {"command": "", "voice_ids": ("default",), "timeout_s": 120.0},
            "endpoint": {
                "endpoint": {"base_url": "http://localhost:8000/v1", "timeout_s": 60.0},
                "model": "",
                "voice_ids": ("default",),
            },
        },
        # See `synthesis.augment.VoiceOptions`.
        "variety": {
            "speed": (0.9, 1.15),
            "pitch_semitones": (-2.0, 2.0),
            "noise_share": 0.5,
            "noise_db": (10.0, 30.0),
            "room_share": 0.3,
            "room_s": (0.1, 0.5),
        },
        # For the talker: one voice, dry and clean.
        "response": {"share": 1.0, "back_end": "piper", "voice_id": "en_US-joe-medium"},
        # Recordings of a question before it is dropped.
        "num_tries": 2,
    }


def _chat() -> dict:
    return {
        "base_url": "http://localhost:8000/v1",
        "model": "",
        # Keeps every answer, so that a run that goes on asks nothing twice; "" keeps none.
        "cache_dir": "",
        "timeout_s": 120.0,
        "num_attempts": 4,
    }
