"""From judged replies to the numbers of a report; knows neither model nor layout.

A report is a list of condition summaries. `table` writes it down, `plot` draws it.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reasoner_jax.evaluation.judged_reply import JudgedReply
from reasoner_jax.evaluation.statistics import (
    Macro,
    Proportion,
    Spread,
    macro,
    micro,
    sign_test,
)


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How much is right, of one group of items.

    Attributes:
        raw: by the published rule.
        normalised: by the rule after number words are written in digits.
        heard: the normalised rule on the transcript of the spoken reply; of no item if nobody
            listened.
    """

    raw: Proportion
    normalised: Proportion
    heard: Proportion

    @classmethod
    def of(cls, replies: Sequence[JudgedReply]) -> "Accuracy":
        """Of these replies."""
        listened = [r.heard_right_normalised for r in replies]
        return cls(
            Proportion.of(reply.right for reply in replies),
            Proportion.of(reply.right_normalised for reply in replies),
            Proportion.of(bool(right) for right in listened if right is not None),
        )


@dataclasses.dataclass(frozen=True)
class ConditionSummary:
    """All that a report says of one condition.

    Attributes:
        name, description: of the condition.
        groups: by split or kind, in the order of the items.
        micro: all items alike.
        macro: all groups alike, by rule: "raw", "normalised", "heard".
        follows: replies that state what their reasoning concludes, of those whose reasoning
            concludes something.
        num_words: of the response.
        reasoning_tokens: end token included.
        audio_s: length of the spoken replies.
        first_token_s, first_sound_s, total_s: of replies that were made one at a time.
        underruns: replies during which playback would have run dry, of those timed and spoken.
        violations: replies with a number that ran ahead of its reasoning, of those that could be
            checked.
        truncated: replies cut off at the bound on their length.
        pad_share: mean share of filler among the tokens of a reply.
        p_value: of being no different from the first condition, on the items that both answered;
            NaN for the first itself.
    """

    name: str
    description: str
    groups: Mapping[str, Accuracy]
    micro: Accuracy
    macro: Mapping[str, Macro]
    follows: Proportion
    num_words: Spread
    reasoning_tokens: Spread
    audio_s: Spread
    first_token_s: Spread
    first_sound_s: Spread
    total_s: Spread
    underruns: Proportion
    violations: Proportion
    truncated: Proportion
    pad_share: float
    p_value: float = math.nan


@dataclasses.dataclass(frozen=True)
class Report:
    """Conditions side by side.

    Attributes:
        title: what was evaluated.
        facts: what a reader needs to know beside the numbers: checkpoint, machine, seconds.
        conditions: in the order they were asked.
    """

    title: str
    facts: Mapping[str, str]
    conditions: tuple[ConditionSummary, ...]

    def condition(self, name: str) -> ConditionSummary:
        """The summary of that condition.

        Raises:
            ValueError: there is none.
        """
        names = [condition.name for condition in self.conditions]
        if name not in names:
            raise ValueError(f"no condition {name!r}; the report has {names}")
        return self.conditions[names.index(name)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: counts, shares and 95 % intervals; what was not measured is null."""
        return {
            "title": self.title,
            "facts": dict(self.facts),
            "conditions": [_plain(condition) for condition in self.conditions],
        }


def summarise(
    title: str,
    replies: Iterable[JudgedReply],
    descriptions: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Report:
    """The report of a run.

    Args:
        title: what was evaluated.
        replies: by condition, then in the order of the items, as `run.answer_items` returns them.
        descriptions: of the conditions, by name.
        facts: see `Report`.

    Raises:
        ValueError: no reply.
    """
    by_condition: dict[str, list[JudgedReply]] = {}
    for reply in replies:
        by_condition.setdefault(reply.condition, []).append(reply)
    if not by_condition:
        raise ValueError("no replies to report on; was anything asked?")
    first = next(iter(by_condition.values()))
    summaries = [
        dataclasses.replace(
            _summarise(name, (descriptions or {}).get(name, ""), found),
            p_value=_p_value(first, found),
        )
        for name, found in by_condition.items()
    ]
    return Report(title, dict(facts or {}), tuple(summaries))


def _summarise(name: str, description: str, replies: Sequence[JudgedReply]) -> ConditionSummary:
    by_group: dict[str, list[JudgedReply]] = {}
    for reply in replies:
        by_group.setdefault(reply.group, []).append(reply)
    groups = {group: Accuracy.of(found) for group, found in by_group.items()}
    return ConditionSummary(
        name=name,
        description=description,
        groups=groups,
        micro=Accuracy(
            micro(accuracy.raw for accuracy in groups.values()),
            micro(accuracy.normalised for accuracy in groups.values()),
            micro(accuracy.heard for accuracy in groups.values()),
        ),
        macro={
            rule: macro(getattr(accuracy, rule) for accuracy in groups.values())
            for rule in ("raw", "normalised", "heard")
        },
        follows=Proportion.of(f for reply in replies if (f := reply.follows) is not None),
        num_words=Spread.of(reply.num_words for reply in replies),
        reasoning_tokens=Spread.of(reply.num_reasoning_tokens for reply in replies),
        audio_s=Spread.of(reply.audio_s for reply in replies),
        first_token_s=Spread.of(reply.first_token_s for reply in replies),
        first_sound_s=Spread.of(reply.first_sound_s for reply in replies),
        total_s=Spread.of(reply.total_s for reply in replies),
        underruns=Proportion.of(n > 0 for r in replies if (n := r.num_underruns) is not None),
        violations=Proportion.of(bool(v) for r in replies if (v := r.violations) is not None),
        truncated=Proportion.of(reply.truncated for reply in replies),
        pad_share=sum(reply.pad_share for reply in replies) / len(replies),
    )


def _p_value(first: Sequence[JudgedReply], other: Sequence[JudgedReply]) -> float:
    if first is other:
        return math.nan
    left = {reply.item_id: reply.right_normalised for reply in first}
    right = {reply.item_id: reply.right_normalised for reply in other}
    both = [item for item in left if item in right]
    if not both:
        return math.nan
    return sign_test([left[item] for item in both], [right[item] for item in both])


def _plain(value: Any) -> Any:
    """Records as dicts, shares and intervals beside their counts, NaN as null."""
    if isinstance(value, Proportion):
        low, high = value.interval
        return {
            "count": value.count,
            "total": value.total,
            **_plain({"share": value.share, "low": low, "high": high}),
        }
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 5)
    return value
