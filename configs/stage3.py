"""Stage 3, textual thinking-in-speaking: a written problem -> interleaved (Ot, Rt).

--config=configs/stage3.py:3b       trained: embeddings, thinker (figure 5)
"""

from ml_collections import ConfigDict

from configs import common


def get_config(argument: str = "3b") -> ConfigDict:
    """The stage at a preset's scale."""
    preset, _ = common.parse(argument)
    config = common.get_config(preset)
    config.name = "stage3"
    config.init_from = "runs/stage2/best"
    config.trainable = (common.EMBEDDINGS, common.THINKER)
    config.lessons.written = common.lesson(config, "written", prompt="text")
    if common.is_from_nothing(config):
        config.trainable = (common.EMBEDDINGS, common.TIED_THINKER)
        # One network for all three modes, drawn evenly, so that they can be compared.
        config.reply.modes = ("in_speaking", "before_speaking", "direct")
        # Words as a CTC head would spell them, so that stage 4 finds what it knows.
        config.lessons.written.update(prompt="heard")
        config.losses.response = 0.5
        config.optimizer.weight_decay = 1.0
        config.train.steps = 650
    return config
