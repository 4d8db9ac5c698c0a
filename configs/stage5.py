"""Stage 5, the talker: a spoken problem -> (Ot, Rt) and the speech codes (Oa) of the response.

    --config=configs/stage5.py:3b       trained: the talker (figure 5)

The targets are codes that the data set holds (`launch/synthesize.py` can take them from a released
talker), or those that a fitted `codec` makes of the spoken responses.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(argument: str = "3b") -> ConfigDict:
    """The stage at a preset's scale."""
    preset, _ = common.parse(argument)
    config = common.get_config(preset)
    config.name = "stage5"
    config.init_from = "runs/stage4/best"
    config.trainable = (common.TALKER,)
    config.losses.update(response=0.0, reasoning=0.0, codes=1.0)
    # A tiny network's spoken problems have their responses with them, see `configs/data.py`.
    folder = "spoken" if common.is_from_nothing(config) else "responses"
    config.lessons.responses = common.lesson(config, folder, codes=True)
    config.optimizer.peak_rate = 1e-4
    if common.is_from_nothing(config):
        config.reply.modes = ("in_speaking", "before_speaking", "direct")
        config.codec = "fit"
        config.optimizer.update(peak_rate=6e-3, weight_decay=0.1, final_share=0.03)
        config.train.update(steps=800, batch_rows=4)
    return config
