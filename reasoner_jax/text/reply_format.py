"""How a network was taught to be asked and to answer; knows no tokenizer and no weights.

A checkpoint carries it, so that whoever loads one asks the way it was trained.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from reasoner_jax.text.chat import SPEECH_SYSTEM_PROMPT
from reasoner_jax.text.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class ReplyFormat:
    """The prompt around a question, and the layout of its reply.

    Attributes:
        system: the system turn.
        instruction: text after the question.
        schedule: how response and reasoning alternate.
    """

    system: str = SPEECH_SYSTEM_PROMPT
    instruction: str = ""
    schedule: Schedule = dataclasses.field(default_factory=Schedule)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ReplyFormat":
        """The inverse of `to_dict`.

        Raises:
            ValueError: a field that is missing, unknown or makes no sense.
        """
        try:
            return cls(**{**plain, "schedule": Schedule(**plain["schedule"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no reply format: {plain} ({error!r})") from error
