"""What a listener hears: replies back to text by a recogniser; knows no judge and no model.

A reply that reads right may be spoken unintelligibly. Its transcript, judged like the text, counts
codec and talker in.
"""

import re
from collections.abc import Sequence

from reasoner_jax.audio.waveform import to_model_rate
from reasoner_jax.core.records import Reply
from reasoner_jax.synthesis.recognise import Recognizer

_LAST_HUNDREDS = re.compile(r"\b([1-9])00,? ([1-9]\d?)(?=\W*$)")


def hear(replies: Sequence[Reply], recognizer: Recognizer) -> list[str | None]:
    """Transcripts of the spoken replies; None for a silent one.

    Raises:
        ImportError: the recogniser is not installed.
        EndpointError: an endpoint failed.
    """
    return [hear_reply(reply, recognizer) for reply in replies]


def hear_reply(reply: Reply, recognizer: Recognizer) -> str | None:
    """The transcript of one spoken reply; None for a silent one, "" where no word is heard."""
    if reply.waveform is None:
        return None
    if not len(reply.waveform):
        return ""
    return recognizer.transcribe(to_model_rate(reply.waveform, reply.sample_rate_hz))


def in_one_number(transcript: str) -> str:
    """The transcript with a number at its end in one, which Whisper parts behind its hundreds.

    "64 plus 85 is 100, 49."  ->  "64 plus 85 is 149."
    """
    return _LAST_HUNDREDS.sub(lambda found: f"{found[1]}{found[2]:0>2}", transcript)
