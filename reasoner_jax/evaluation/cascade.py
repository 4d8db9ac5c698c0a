"""The baseline of two systems: a recogniser writes the question down, the same thinker reads it."""

import threading
from collections.abc import Callable
from typing import Any

from reasoner_jax.audio.waveform import to_model_rate
from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation.condition import Condition, written
from reasoner_jax.synthesis.recognise import Recognizer
from reasoner_jax.synthesis.rewrite import speakable_question
from reasoner_jax.text.schedule import Schedule


def cascade(
    name: str, recognizer: Recognizer, schedule: Schedule | None = None, **options: Any
) -> Condition:
    """A condition in which the thinker reads what the recogniser heard.

    Recognisers write numbers in digits; thinkers of ours have read questions in words only, so the
    transcript is put into words first, as the questions of their training were.

    Args:
        name: of the condition.
        recognizer: hears the questions.
        schedule, **options: as in `condition.written`.
    """
    return written(
        name,
        schedule,
        text_of=_reader(recognizer),
        description=f"a recogniser ({recognizer.name}) hears the question, the thinker reads it",
        **options,
    )


def _reader(recognizer: Recognizer) -> Callable[[SpokenQuestion], str]:
    listening = threading.Lock()

    def read(item: SpokenQuestion) -> str:
        if not len(item.waveform):
            return ""
        waveform = to_model_rate(item.waveform, item.sample_rate_hz)
        with listening:
            return speakable_question(recognizer.transcribe(waveform))

    return read
