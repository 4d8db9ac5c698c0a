"""What is compared: the same items asked in different ways; knows no judge and no report.

A condition is a name, how to ask, and what to change about the items beforehand. Modes, ratios,
controls, the cascade and the interventions on the reasoning are all conditions.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from reasoner_jax.core.records import Reply, SpokenQuestion
from reasoner_jax.generation.engine import Question
from reasoner_jax.text.schedule import Mode, Schedule

MODES: tuple[Mode, ...] = ("in_speaking", "before_speaking", "direct")


class Answers(Protocol):
    """What this room needs of `generation.engine.Engine`."""

    @property
    def schedule(self) -> Schedule:
        """The one that the checkpoint was taught."""
        ...

    @property
    def generate(self) -> Callable[..., list[Reply]]:
        """(questions, schedule, **options): a reply to each question, in order."""
        ...


Ask = Callable[[Answers, Sequence[SpokenQuestion]], list[Reply]]
Change = Callable[[Sequence[SpokenQuestion]], list[SpokenQuestion]]


@dataclasses.dataclass(frozen=True)
class Condition:
    """One way to ask all items.

    Attributes:
        name: unique within a report, "in_speaking".
        ask: the replies of an engine to a batch of items, in order.
        change: what is done to the items first, all at once.
        description: a few words for the report's legend.
        engine: name of the engines that answer, where several checkpoints are compared.
        timed: whether a user could be asking like this, so that the clock means something.
    """

    name: str
    ask: Ask
    change: Change = list
    description: str = ""
    engine: str = ""
    timed: bool = True


def spoken(
    name: str,
    schedule: Schedule | None = None,
    *,
    with_instruction: bool = False,
    description: str = "",
    engine: str = "",
    **options: Any,
) -> Condition:
    """The model hears the question.

    Args:
        name: of the condition.
        schedule: of the replies; None for the one the checkpoint was taught.
        with_instruction: whether the item's own text prompt goes along; else the checkpoint's.
        description: for the legend.
        engine: see `Condition`.
        **options: for `Engine.generate`.
    """

    def ask(engine: Answers, items: Sequence[SpokenQuestion]) -> list[Reply]:
        questions = [question_of_item(item, with_instruction) for item in items]
        return engine.generate(questions, schedule, **options)

    return Condition(name, ask, description=description, engine=engine)


def question_of_item(
    item: SpokenQuestion, with_instruction: bool = False, thoughts: str | None = None
) -> Question:
    """An item as an engine is asked.

    Args:
        item: to ask, by its waveform.
        with_instruction: whether its own text prompt goes along; else the checkpoint's.
        thoughts: what the model is made to think; None lets it think.
    """
    return Question(
        waveform=item.waveform,
        text=(item.instruction or None) if with_instruction else None,
        sample_rate_hz=item.sample_rate_hz,
        transcript=item.transcript or None,
        thoughts=thoughts,
    )


def written(
    name: str,
    schedule: Schedule | None = None,
    *,
    with_instruction: bool = False,
    text_of: Callable[[SpokenQuestion], str] = lambda item: item.transcript,
    description: str = "the question as text",
    engine: str = "",
    **options: Any,
) -> Condition:
    """The same thinker reads the question: what hearing costs.

    Args:
        text_of: what it reads, by default what is really said.
        name, schedule, with_instruction, description, engine, **options: as in `spoken`.
    """

    def ask(engine: Answers, items: Sequence[SpokenQuestion]) -> list[Reply]:
        questions = []
        for item in items:
            text, instruction = text_of(item), item.instruction if with_instruction else ""
            # An empty transcript is still asked, as a person would ask back.
            text = "\n".join(filter(None, [text, instruction])) or "?"
            questions.append(Question(waveform=None, text=text))
        return engine.generate(questions, schedule, **options)

    return Condition(name, ask, description=description, engine=engine, timed=False)


def shuffled(condition: Condition, seed: int = 0) -> Condition:
    """The control of a condition: every item with the audio of another, whose answer differs.

    A model that listens gets almost nothing right here; what it still gets right it guesses.
    """

    def change(items: Sequence[SpokenQuestion]) -> list[SpokenQuestion]:
        return swap_questions(condition.change(items), seed)

    return dataclasses.replace(
        condition,
        name=f"{condition.name}, shuffled audio",
        change=change,
        description="control: the audio of another question",
        timed=False,
    )


def swap_questions(items: Sequence[SpokenQuestion], seed: int) -> list[SpokenQuestion]:
    """Each item asked with what another one asks; its own id, group and answer stay.

    No item keeps its question, and the other's answer differs wherever the set allows it.

    Raises:
        ValueError: fewer than two items.
    """
    if len(items) < 2:
        raise ValueError(f"expected at least two items to swap their questions, got {len(items)}")
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    # A rotation within a random order has no fixed point; equal answers then change places.
    donors = order[1:] + order[:1]
    donor_of = dict(zip(order, donors, strict=True))
    for index in range(len(items)):
        if items[index].answer != items[donor_of[index]].answer:
            continue
        other = _exchange(items, donor_of, index)
        if other is not None:
            donor_of[index], donor_of[other] = donor_of[other], donor_of[index]
    return [
        dataclasses.replace(
            item,
            waveform=items[donor_of[index]].waveform,
            sample_rate_hz=items[donor_of[index]].sample_rate_hz,
            transcript=items[donor_of[index]].transcript,
            instruction=items[donor_of[index]].instruction,
        )
        for index, item in enumerate(items)
    ]


def _exchange(
    items: Sequence[SpokenQuestion], donor_of: Mapping[int, int], index: int
) -> int | None:
    """An item with which `index` can change donors so that both get another answer."""
    for other, donor in donor_of.items():
        mine, theirs = items[index].answer, items[other].answer
        if items[donor].answer != mine and items[donor_of[index]].answer != theirs:
            return other
    return None
