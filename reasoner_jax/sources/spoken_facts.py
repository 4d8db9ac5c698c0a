"""spoken_facts: questions to be reasoned out without any sum, made to order; knows no file.

Not every question that needs thoughts is maths. These ask to follow facts, to keep track of a
thing, to put people in order, or to find the appointment that suits; all decoys are named too, so
that a guess is seldom right. Answers are numbers (a platform, a drawer, a place, an hour), so that
they can be judged by rule and pass through the same pipeline as any problem.

    lookup   the red train goes to the hills; it leaves from platform 9            platform 9
    track    the key in drawer 2, moved to drawer 5 by Tom, then to 8 by Ana       drawer 8
    order    Ben before Cara, Ana before Ben: Cara's place                         3
    plan     free on Tuesday only; the dentist has an hour on Tuesday at 11        11

Problem i of a seed depends on the seed, i and the options only. Split: a tenth of all combinations
of the facts that decide an answer is reserved for evaluation (`is_reserved`), so the two splits
share none, whatever seeds and options.
"""

import dataclasses
import functools
import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from reasoner_jax.core.records import Problem
from reasoner_jax.sources import base
from reasoner_jax.sources.simple_op_wording import BOYS, GIRLS

RESERVED_PERCENT = 10
_MAX_DRAWS = 1000

Option = TypeVar("Option")

_NAMES = (*GIRLS, *BOYS)
_COLOURS = ("red", "blue", "green", "yellow", "white", "black", "silver", "orange")
_DESTINATIONS = ("lake", "hills", "harbor", "museum", "castle", "beach", "forest", "airport")
_VEHICLES = (("train", "platform"), ("bus", "stop"), ("boat", "pier"), ("plane", "gate"))
_THINGS = ("key", "ring", "letter", "coin", "map", "ticket", "watch", "photo")
_PLACES = ("drawer", "box", "locker", "cabinet", "room")
_RACES = (("finishes", "finish"), ("arrives", "arrive"), ("sings", "sing"), ("speaks", "speak"))
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_EXPERTS = ("dentist", "doctor", "barber", "tailor", "teacher", "plumber")
_BUSY = ("works", "travels", "is away", "has a class")


@dataclasses.dataclass(frozen=True)
class Riddle:
    """A question before it is a problem.

    Attributes:
        question: with all its decoys.
        solution: a sentence a line; the last one states the answer.
        answer: a number.
        deciding: what decides the answer, for the split.
    """

    question: str
    solution: tuple[str, ...]
    answer: int
    deciding: tuple[object, ...]


def _lookup(rng: random.Random) -> Riddle:
    vehicle, place = _choose(rng, _VEHICLES)
    colours, destinations = _sample(rng, _COLOURS, 3), _sample(rng, _DESTINATIONS, 3)
    numbers = _sample(rng, range(1, 31), 3)
    wanted, name = _between(rng, 0, 2), _choose(rng, _NAMES)
    goes = [
        f"the {c} {vehicle} goes to the {d}" for c, d in zip(colours, destinations, strict=True)
    ]
    leaves = [
        f"the {c} {vehicle} leaves from {place} {n}" for c, n in zip(colours, numbers, strict=True)
    ]
    told = [*_shuffled(rng, goes), *_shuffled(rng, leaves)]
    destination, number = destinations[wanted], numbers[wanted]
    question = (
        f"{_sentences(told)} {name} wants to go to the {destination}. "
        f"Which {place} does {name} need?"
    )
    solution = (_capital(f"{goes[wanted]}."), _capital(f"{leaves[wanted]}."))
    return Riddle(question, solution, number, ("lookup", place, destination, number))


def _track(rng: random.Random) -> Riddle:
    thing, place = _choose(rng, _THINGS), _choose(rng, _PLACES)
    moves = _between(rng, 2, 4)
    numbers, people = _sample(rng, range(1, 31), moves + 1), _sample(rng, _NAMES, moves)
    told = [f"the {thing} is in {place} {numbers[0]}"]
    told += [
        f"{'then ' if step else ''}{person} moves it to {place} {number}"
        for step, (person, number) in enumerate(zip(people, numbers[1:], strict=True))
    ]
    wanted = _between(rng, 0, moves)
    lines = [
        f"{person} moves the {thing} to {place} {number}."
        for person, number in zip(people, numbers[1:], strict=True)
    ]
    if wanted == moves:
        asked = f"In which {place} is the {thing} now?"
    else:
        asked = f"In which {place} did {people[wanted]} put the {thing}?"
        lines = lines[: wanted + 1]
    answer = numbers[min(wanted, moves - 1) + 1]
    deciding = ("track", thing, place, answer, wanted == moves)
    return Riddle(f"{_sentences(told)} {asked}", tuple(lines), answer, deciding)


def _order(rng: random.Random) -> Riddle:
    does, do = _choose(rng, _RACES)
    people = _sample(rng, _NAMES, _between(rng, 3, 5))
    neighbours = list(itertools.pairwise(people))
    pairs = [f"{first} {does} before {second}" for first, second in neighbours]
    place = _between(rng, 1, len(people))
    question = (
        f"{_sentences(_shuffled(rng, pairs))} There are {len(people)} of them. "
        f"In which place does {people[place - 1]} {do}?"
    )
    solution = [f"{people[0]} {does} in place 1."]
    solution += [
        f"After {before} comes {person} in place {number}."
        for number, (before, person) in enumerate(neighbours[: place - 1], start=2)
    ]
    deciding = ("order", does, *sorted(people[max(0, place - 2) : place]), place)
    return Riddle(question, tuple(solution), place, deciding)


def _plan(rng: random.Random) -> Riddle:
    name, expert, busy = _choose(rng, _NAMES), _choose(rng, _EXPERTS), _choose(rng, _BUSY)
    days, hours = _sample(rng, _DAYS, 3), _sample(rng, range(1, 13), 3)
    free = _between(rng, 0, 2)
    offers = [f"on {day} at {hour}" for day, hour in zip(days, hours, strict=True)]
    taken = [day for number, day in enumerate(days) if number != free]
    question = (
        f"The {expert} has time {offers[0]}, {offers[1]} and {offers[2]}. "
        f"{name} {busy} on {' and on '.join(_shuffled(rng, taken))}. "
        f"At which hour can {name} see the {expert}?"
    )
    solution = (
        *(f"{name} {busy} on {day}." for day in taken),
        f"{days[free]} is left.",
        f"The {expert} has time {offers[free]}.",
    )
    deciding = ("plan", expert, days[free], hours[free])
    return Riddle(question, solution, hours[free], deciding)


KINDS: dict[str, Callable[[random.Random], Riddle]] = {
    "lookup": _lookup,
    "track": _track,
    "order": _order,
    "plan": _plan,
}


@dataclasses.dataclass(frozen=True)
class SpokenFacts:
    """A stream of questions.

    Attributes:
        num_problems: how many to yield.
        seed: of the stream.
        kinds: taken in turn.
        split: "train", "held_out", or "all" for both mixed as they fall.
    """

    num_problems: int
    seed: int = 0
    kinds: tuple[str, ...] = tuple(KINDS)
    split: Literal["train", "held_out", "all"] = "train"
    name = "spoken_facts"
    licence = "Apache-2.0"

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - KINDS.keys()):
            raise ValueError(f"spoken_facts: no kinds {unknown}; expected some of {list(KINDS)}")
        if self.split not in ("train", "held_out", "all"):
            raise ValueError(
                f"spoken_facts: split is {self.split!r}, expected train, held_out or all"
            )
        if not self.kinds or self.num_problems < 0 or self.seed < 0:
            raise ValueError(
                "spoken_facts: expected at least one kind, num_problems >= 0 and seed >= 0, got "
                f"{self.kinds}, {self.num_problems} and {self.seed}"
            )

    def problems(self, counts: base.Counts | None = None) -> Iterator[Problem]:
        """See `base.Source`."""
        for index in range(self.num_problems):
            if counts is not None:
                counts.update(("read", "problems"))
            yield self.problem(index)

    def problem(self, index: int) -> Problem:
        """Problem `index` of the stream."""
        kind = self.kinds[index % len(self.kinds)]
        # An integer seeds `random.Random` the same way on every machine and version.
        rng = random.Random((self.seed << 64) + index)
        for _ in range(_MAX_DRAWS):
            riddle = KINDS[kind](rng)
            if self.split == "all" or is_reserved(riddle.deciding) == (self.split == "held_out"):
                break
        else:
            raise AssertionError(f"no {kind} of split {self.split} in {_MAX_DRAWS} draws")
        return Problem(
            source=self.name,
            problem_id=f"{self.name}/{self._stream}/{index:08d}",
            question=riddle.question,
            solution="\n".join(riddle.solution),
            answer=str(riddle.answer),
            kind=kind,
        )

    @functools.cached_property
    def _stream(self) -> str:
        digest = hashlib.blake2b(repr(self.kinds).encode(), digest_size=3).hexdigest()
        return f"{self.split}/{self.seed}-{digest}"


def is_reserved(deciding: tuple[object, ...]) -> bool:
    """Whether a combination of deciding facts belongs to the held-out split: 10 % of them do."""
    text = ",".join(map(str, deciding)).encode()
    digest = hashlib.blake2b(text, digest_size=8, person=b"spoken_facts").digest()
    return int.from_bytes(digest, "big") % 100 < RESERVED_PERCENT


def _sentences(clauses: Sequence[str]) -> str:
    return " ".join(f"{_capital(clause)}." for clause in clauses)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _between(rng: random.Random, low: int, high: int) -> int:
    # `random()` is the one method whose values Python promises to keep between versions.
    return low + int(rng.random() * (high - low + 1))


def _choose(rng: random.Random, options: Sequence[Option]) -> Option:
    return options[_between(rng, 0, len(options) - 1)]


def _sample(rng: random.Random, options: Sequence[Option], count: int) -> list[Option]:
    return _shuffled(rng, options)[:count]


def _shuffled(rng: random.Random, options: Sequence[Option]) -> list[Option]:
    order = list(options)
    for place in range(len(order) - 1, 0, -1):
        other = _between(rng, 0, place)
        order[place], order[other] = order[other], order[place]
    return order
