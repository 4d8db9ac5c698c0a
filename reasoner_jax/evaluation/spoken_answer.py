"""What a listener hears: replies back to text by a recogniser; knows no judge and no model.

A reply that reads right may be spoken unintelligibly. Its transcript, judged like the text, counts
codec and talker in.
"""

from collections.abc import Sequence

from reasoner_jax.audio.waveform import to_model_rate
from reasoner_jax.core.records import Reply
from reasoner_jax.synthesis.recognise import Recognizer


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
