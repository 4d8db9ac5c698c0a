"""Stage 2, mixed maths pretraining: a spoken or written problem -> reasoning, then the answer.

--config=configs/stage2.py:3b       trained: adapter, embeddings, thinker (figure 5)
"""

from ml_collections import ConfigDict

from configs import common


def get_config(argument: str = "3b") -> ConfigDict:
    """The stage at a preset's scale."""
    preset, _ = common.parse(argument)
    config = common.get_config(preset)
    config.name = "stage2"
    config.init_from = "runs/stage1b/best"
    config.trainable = (common.ADAPTER, common.EMBEDDINGS, common.THINKER)
    config.reply.modes = ("before_speaking",)
    config.lessons.spoken = common.lesson(config, "spoken")
    config.lessons.written = common.lesson(config, "written", prompt="text")
    if common.is_from_nothing(config):
        config.trainable = (common.EMBEDDINGS, common.TIED_THINKER)
        # Reading costs less than hearing: how to reckon is learned from plain words.
        config.lessons.written.update(weight=8.0)
        config.losses.response = 0.5  # its phrases are drawn, so much of it cannot be learned
        config.optimizer.peak_rate = 1e-2
        config.train.steps = 350
    return config
