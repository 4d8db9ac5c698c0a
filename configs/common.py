"""What the five stages share; `stage1.py` to `stage5.py` show only what is theirs.

    --config=configs/stage4.py:3b        presets: tiny, smol, 3b, 7b
    --config.init_from=DIR               a checkpoint of ours, a Hugging Face directory, a hub id
    --config.data=DIR                    the data sets of the stage's lessons lie in it
    --config.train.steps=2000            any value can be set like this

A lesson is a data set and what is learned from it; `training/stage.py` documents every field.
"""

from ml_collections import ConfigDict, FieldReference

from reasoner_jax.models.presets import PRESETS
from reasoner_jax.text.chat import SPEECH_SYSTEM_PROMPT

# Parts of the network by path, as stages name them.
ENCODER = "thinker/audio_tower/(conv1|conv2|layers|ln_post)/.*"
ADAPTER = "thinker/audio_tower/proj/.*"
SPELLER = "thinker/ctc_(proj|head)/.*"
EMBEDDINGS = "thinker/model/embed_tokens/.*"
THINKER = "thinker/(model/(layers|norm)/.*|lm_head/.*)"
TIED_THINKER = "thinker/model/(layers|norm)/.*"
TALKER = "talker/.*"

TEMPO = (0.85, 1.15)
"""Of questions heard by an encoder that learns from few recordings."""

LEAD_IN_S = 0.7
"""Of silence before them, at most, once it can hear: people draw breath before they ask."""


def parse(argument: str, options: tuple[str, ...] = ()) -> tuple[str, set[str]]:
    """The argument of a config file: "3b,encoder" -> ("3b", {"encoder"}).

    Raises:
        ValueError: an option that the file does not have.
    """
    preset, *chosen = argument.split(",")
    if unknown := sorted(set(chosen) - set(options)):
        raise ValueError(f"no option {unknown}; this stage has {list(options) or 'none'}")
    return preset, set(chosen)


def get_config(preset: str) -> ConfigDict:
    """A stage without name, trainable parameters and lessons.

    Raises:
        ValueError: no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; write --config=FILE:PRESET with {list(PRESETS)}")
    config = ConfigDict(
        {
            "name": "",
            "init_from": "",
            "data": FieldReference("data/spoken_math_3m"),
            "model": {"preset": preset, "dtype": "bfloat16", "remat": "dots", "attention": "auto"},
            "trainable": (),
            "reply": {"system": SPEECH_SYSTEM_PROMPT, "instruction": "", "modes": ("in_speaking",)},
            "codec": "",
            "lessons": {},
            "losses": {"response": 1.0, "reasoning": 1.0, "ctc": 0.0, "codes": 0.0},
            "optimizer": {
                "method": "adamw",
                "peak_rate": 1e-5,
                "warmup_steps": 500,
                "weight_decay": 0.1,
                "clip_norm": 1.0,
                "final_share": 0.1,
                "b2": 0.95,
                "ema_decay": 0.0,
                "factors": (),
            },
            "train": {
                "steps": 10_000,
                "batch_rows": 128,
                "accumulate": 1,
                "tokens": 4096,
                "chunks": -1,
                "codes": -1,
                "words": -1,
                "examples": 64,
                "seed": 0,
                "num_workers": 8,
                "window": 1024,
            },
            "mesh": {"data": 1, "fsdp": -1, "tensor": 1, "sequence": 1},
            "evaluate": {
                "every": 500,
                "data": "",
                "split": "held_out",
                "num_batches": 4,
                "num_answers": 0,
                "best": "held_out/loss",
                "better": "min",
            },
            "keep": {"every": 1000, "last": 2},
            "log_every": 10,
        }
    )
    if preset == "tiny":
        _for_tiny(config)
    if preset == "smol":
        config.optimizer.peak_rate = 2e-4
        config.train.update(batch_rows=64, tokens=2048)
    return config


def _for_tiny(config: ConfigDict) -> None:
    """Two CPU cores: float32, short rows, two simulated devices side by side."""
    config.data = "runs/quickstart/data"
    config.model.update(dtype="float32", remat="none")
    config.reply.system = ""
    config.optimizer.update(method="muon", peak_rate=6e-3, warmup_steps=30, weight_decay=0.4)
    config.train.update(batch_rows=8, tokens=384, num_workers=0)
    config.mesh.update(data=-1, fsdp=1)
    config.evaluate.update(every=0)
    config.keep.update(every=10_000, last=1)


def lesson(config: ConfigDict, folder: str, **fields) -> ConfigDict:
    """A lesson on the data set `folder` below the stage's data directory."""
    defaults = {
        "split": "train",
        "weight": 1.0,
        "prompt": "audio",
        "target": "response",
        "instruction": "",
        "codes": False,
        "spell": False,
        "allow_wait": False,
        "tempo": (1.0, 1.0),
        "lead_in_s": 0.0,
        "on_corrupt": "raise",
    }
    return ConfigDict({"data": config.get_ref("data") + f"/{folder}", **defaults, **fields})


def is_from_nothing(config: ConfigDict) -> bool:
    """Whether the preset has no released checkpoint to start from, its encoder knows nothing."""
    return config.model.preset == "tiny"
