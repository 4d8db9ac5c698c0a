"""A data set as plain values: what to collect, and how to prepare, speak and check it.

The values are those of `configs/data.py`. They travel to worker processes and machines, which build
their own back-ends from them, and their digest tells one data set from another.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reasoner_jax.core.records import Problem, Voice
from reasoner_jax.sources import base, source
from reasoner_jax.sources.deduplicate import Evaluation
from reasoner_jax.synthesis import chat_endpoint
from reasoner_jax.synthesis.augment import VoiceChoice, VoiceOptions
from reasoner_jax.synthesis.chat_client import ChatClient
from reasoner_jax.synthesis.endpoint import Endpoint
from reasoner_jax.synthesis.pipeline import Judge, Outcome, Pipeline, Speech, collect
from reasoner_jax.synthesis.recognise import Recognizer, make_recognizer
from reasoner_jax.synthesis.rewrite import Rewriter, RuleRewriter
from reasoner_jax.synthesis.speak import make_speaker
from reasoner_jax.synthesis.verify_speech import SpeechLimits
from reasoner_jax.synthesis.verify_text import Limits
from reasoner_jax.text.schedule import Schedule

KEYS = ("seed", "limit", "output", "sources", "evaluation", "prepare", "judge", "speak", "check")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A data set to be made.

    Attributes:
        values: nested dicts with `KEYS`; `configs/data.py` explains each.
    """

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        missing, unknown = set(KEYS) - set(self.values), set(self.values) - set(KEYS)
        if missing or unknown:
            raise ValueError(
                f"recipe lacks {sorted(missing)} and has unknown {sorted(unknown)}; "
                f"expected {list(KEYS)}"
            )
        if not self.values["sources"]:
            raise ValueError("recipe has no sources; expected at least one corpus")

    @property
    def digest(self) -> str:
        """Equal for equal values, on every machine."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:16]

    def json(self) -> str:
        """The values, keys in order."""
        return json.dumps(self.values, sort_keys=True, indent=2)

    @property
    def output(self) -> dict[str, Any]:
        """Options of `data.writer.DatasetWriter`: name, split, records_per_shard."""
        return dict(self.values["output"])

    @property
    def num_threads(self) -> int:
        """Requests to a language model under way at once; 0 if none is asked."""
        remote = self.values["prepare"]["back_end"] == "chat" or self.values["judge"]["enabled"]
        return self.values["prepare"]["num_threads"] if remote else 0

    @property
    def limit(self) -> int | None:
        """Problems to collect; None for all."""
        return self.values["limit"] or None

    @property
    def description(self) -> str:
        """A sentence for the finished data set."""
        how = "spoken" if self.values["speak"]["enabled"] else "written"
        return (
            f"Maths problems of {', '.join(self.values['sources'])}, {how}, with reasoning and a "
            f"deferred response; recipe {self.digest}, seed {self.values['seed']}."
        )

    def problems(self, counts: base.Counts) -> Iterator[Problem | Outcome]:
        """The first stage, see `pipeline.collect`; the same every time."""
        sources = [_source(name, options) for name, options in self.values["sources"].items()]
        held_out = [
            problem.question
            for name, options in self.values["evaluation"].items()
            if options.get("location")
            for problem in _source(name, options).problems()
        ]
        return collect(sources, counts, Evaluation.of(held_out) if held_out else None, self.limit)

    def pipeline(self) -> Pipeline:
        """The other stages; back-ends start when first used.

        Raises:
            ValueError: options that make no sense, or a back-end that does not exist.
        """
        prepare = self.values["prepare"]
        limits = Limits(
            schedule=Schedule(**prepare["schedule"]),
            max_response_words=prepare["max_response_words"],
            max_question_s=prepare["max_question_s"],
        )
        return Pipeline(
            rewriter=_rewriter(prepare, limits),
            speech=_speech(self.values) if self.values["speak"]["enabled"] else None,
            judge=_judge(self.values["judge"], limits.schedule),
            seed=self.values["seed"],
        )


def _source(name: str, options: Mapping[str, Any]) -> base.Source:
    # Ranges of simple_op go into its problems' ids, as tuples.
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return source(name, **plain)


def _rewriter(prepare: Mapping[str, Any], limits: Limits) -> Rewriter:
    if prepare["back_end"] == "rules":
        return RuleRewriter(prepare["style"], limits, prepare["restate_share"])
    if prepare["back_end"] == "chat":
        return chat_endpoint.ChatRewriter(_client(prepare["chat"]), limits=limits)
    raise ValueError(f"prepare.back_end is {prepare['back_end']!r}, expected 'rules' or 'chat'")


def _judge(values: Mapping[str, Any], schedule: Schedule) -> Judge | None:
    if not values["enabled"]:
        return None
    return functools.partial(chat_endpoint.judge, _client(values["chat"]), schedule=schedule)


def _client(chat: Mapping[str, Any]) -> ChatClient:
    endpoint = Endpoint(
        chat["base_url"], timeout_s=chat["timeout_s"], num_attempts=chat["num_attempts"]
    )
    return ChatClient(endpoint, chat["model"], chat["cache_dir"] or None)


def _speech(values: Mapping[str, Any]) -> Speech:
    speak, check = values["speak"], values["check"]
    names = {*speak["use"]} | ({speak["response"]["back_end"]} & {*speak["back_ends"]})
    if unknown := sorted(names - speak["back_ends"].keys()):
        raise ValueError(f"speak.use names {unknown}, expected some of {list(speak['back_ends'])}")
    speakers = {
        name: make_speaker(name, **_with_endpoint(speak["back_ends"][name]))
        for name in speak["back_ends"]
        if name in names
    }
    choices = tuple(
        VoiceChoice(name, voice_id, speak["weights"].get(name, 1.0) / len(speaker.voice_ids))
        for name, speaker in speakers.items()
        if name in speak["use"]
        for voice_id in speaker.voice_ids
    )
    ranges: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in speak["variety"].items()
    }
    return Speech(
        speakers=speakers,
        options=VoiceOptions(voices=choices, **ranges),
        response_voice=_response_voice(speak["response"]),
        response_share=speak["response"]["share"],
        recognizer=_recognizer(check),
        limits=SpeechLimits(**check["limits"]),
        num_tries=speak["num_tries"],
    )


def _response_voice(response: Mapping[str, Any]) -> Voice | None:
    if not response["share"]:
        return None
    return Voice(response["back_end"], response["voice_id"])


def _recognizer(check: Mapping[str, Any]) -> Recognizer | None:
    if not check["recognizer"]:
        return None
    return make_recognizer(check["recognizer"], **_with_endpoint(check["options"]))


def _with_endpoint(options: Mapping[str, Any]) -> dict[str, Any]:
    if "endpoint" not in options:
        return dict(options)
    return {**options, "endpoint": Endpoint(**options["endpoint"])}
