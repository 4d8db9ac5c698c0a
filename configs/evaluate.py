"""What `launch/evaluate.py` asks a checkpoint.

    --config.splits="('short_digit','long_digit')"    of Spoken-MQA; one of a data set's splits
    --config.num_per_group=25                         of each split or kind, for a first look

What is compared are flags of the command: --compare, --ratios, --causality, --cascade.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The defaults."""
    return ConfigDict(
        {
            # Of the items; none for all splits of Spoken-MQA, or the only one of a data set.
            "splits": (),
            # Only these: splits of Spoken-MQA, or kinds of a data set's problems; () for all.
            "groups": (),
            # Items in all, and of each group; 0 for no limit.
            "limit": 0,
            "num_per_group": 0,
            # "spoken_mqa", "number" or "words"; "" for the item set's own.
            "judge": "",
            # Items that each device answers at once.
            "batch_size": 32,
            # Bound on a reply, forced tokens included.
            "max_tokens": 512,
            # Whether each item's own text prompt goes along: "yes", "no", or "auto": only where the
            # checkpoint was taught no prompt of its own.
            "instruction": "auto",
            # "whisper" or "endpoint": hears spoken replies, and the questions for the cascade.
            "recognizer": "whisper",
            # Of the recogniser's class, e.g. {"model": "small.en"}.
            "recognizer_options": {"model": ""},
            # Items that are also asked one at a time, aloud where the checkpoint can speak: for the
            # clock, and for what a listener hears. Again where the first time compiles.
            "num_timed": 12,
            # Whether the recogniser listens to those and what it hears is judged too.
            "listen": False,
            # The first condition again with the audio of other questions.
            "control": True,
            # The thinker also reads the questions.
            "as_text": False,
            # Of shuffles and interventions.
            "seed": 0,
            # For a network too large for one device: devices along each axis, -1 for the rest.
            # All 1: a copy on every device.
            "mesh": {"data": 1, "fsdp": 1, "tensor": 1},
            # "float32" or "bfloat16"; "" for what suits the device.
            "dtype": "",
        }
    )
