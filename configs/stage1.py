"""Stage 1, alignment: hearing (figure 5, left).

    a   --config=configs/stage1.py:3b           audio + instruction -> text
                                                trained: the adapter
    b   --config=configs/stage1.py:3b,tokens    the same with the schedule's special tokens
                                                trained: adapter, embeddings, thinker

The encoder stays as it was released. The preset tiny has none to start from: there phase a trains
encoder and a CTC head on the words of the question, and the adapter stays silent, then and later:
what the head spells is heard in the decoder's own words (`Thinker.hear`), and an adapter that
learns beside them grows twenty times as loud.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(argument: str = "3b") -> ConfigDict:
    """Phase a, or with the option "tokens" phase b."""
    preset, options = common.parse(argument, ("tokens",))
    config = common.get_config(preset)
    return _tokens(config) if "tokens" in options else _alignment(config)


def _alignment(config: ConfigDict) -> ConfigDict:
    config.name = "stage1a"
    config.trainable = (common.ADAPTER,)
    config.lessons.spoken = common.lesson(
        config, "spoken", target="transcript", instruction="Write down what is said."
    )
    config.reply.control_tokens = False
    config.train.steps = 2_000
    if common.is_from_nothing(config):
        config.trainable = (common.ENCODER, common.SPELLER)
        config.lessons.spoken.update(spell=True, tempo=common.TEMPO)
        config.losses.update(response=0.0, reasoning=0.0, ctc=1.0)
        config.train.update(steps=1000, batch_rows=4)
    else:
        config.optimizer.peak_rate = 1e-3
        config.init_from = "Qwen/Qwen2.5-Omni-3B".replace("3B", config.model.preset.upper())
    return config


def _tokens(config: ConfigDict) -> ConfigDict:
    config.name = "stage1b"
    config.trainable = (common.ADAPTER, common.EMBEDDINGS, common.THINKER)
    config.lessons.spoken = common.lesson(
        config, "spoken", target="transcript", instruction="Write down what is said."
    )
    config.init_from = "runs/stage1a/best"
    config.train.steps = 2_000
    if common.is_from_nothing(config):
        config.trainable = (common.EMBEDDINGS, common.TIED_THINKER)
        # To repeat what was heard is to find words among blanks, which every later stage needs.
        config.lessons.written = common.lesson(
            config,
            "written",
            prompt="heard",
            target="transcript",
            instruction="Write down what is said.",
            weight=4.0,
        )
        config.train.steps = 60
    return config
