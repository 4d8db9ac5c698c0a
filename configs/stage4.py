"""Stage 4, acoustic thinking-in-speaking: a spoken problem -> interleaved (Ot, Rt).

--config=configs/stage4.py:3b            trained: adapter, thinker (figure 5)
--config=configs/stage4.py:3b,encoder    the audio encoder too (the README's "fine-tune audio
encoder"; figure and text disagree)
"""

from ml_collections import ConfigDict

from configs import common


def get_config(argument: str = "3b") -> ConfigDict:
    """The stage at a preset's scale; the option "encoder" trains the audio encoder too.

    The preset tiny always does.
    """
    preset, options = common.parse(argument, ("encoder",))
    config = common.get_config(preset)
    trains_encoder = "encoder" in options or common.is_from_nothing(config)
    config.name = "stage4"
    config.init_from = "runs/stage3/best"
    config.trainable = (common.ADAPTER, common.THINKER)
    config.lessons.spoken = common.lesson(config, "spoken")
    if common.is_from_nothing(config):
        config.trainable = (common.EMBEDDINGS, common.TIED_THINKER)
        config.reply.modes = ("in_speaking", "before_speaking", "direct")
        # Some reading keeps what was learned by reading.
        config.lessons.written = common.lesson(config, "written", prompt="heard")
        # The encoder has not learned to hear yet: it goes on, and so does spelling.
        config.trainable += (common.SPELLER,)
        config.lessons.spoken.update(spell=True, tempo=common.TEMPO, lead_in_s=common.LEAD_IN_S)
        config.losses.update(response=0.25, ctc=0.5)
        config.optimizer.update(peak_rate=3e-3, final_share=0.03)
        config.train.update(steps=800, batch_rows=4)
        config.evaluate.data = config.get_ref("data") + "/held_out"
        config.evaluate.update(num_answers=32, num_batches=2, best="answers/right", better="max")
    if trains_encoder:
        config.trainable += (common.ENCODER,)
    return config
