"""simple_op: spoken arithmetic and short word problems, made to order; knows no file.

The paper's SimpleOP corpus is not published; this generator stands in for it. Problem i of a seed
depends on the seed, i and the options only: any part of the stream can be made anywhere.

Split: of all unordered pairs of numbers, a fixed share is reserved (`is_reserved`). A problem is
held out if any step of its derivation works on a reserved pair, and may be trained on if none does.
So training never shows a reserved pair, in neither order, with no operation, not even half-way
through a problem of two steps; and the two splits share no problem, whatever seeds and options.
"""

import dataclasses
import functools
import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

from reasoner_jax.core.records import Problem, Step
from reasoner_jax.sources import base
from reasoner_jax.sources import simple_op_wording as wording
from reasoner_jax.sources.deduplicate import Evaluation

RESERVED_PERCENT = 5
# A template is tried with many numbers before the next one, so that templates that fit few numbers
# are not rarer than others. Ranges that allow fewer than one draw in a thousand are a mistake.
_MAX_TEMPLATES = 50
_DRAWS_PER_TEMPLATE = 100

Range = tuple[int, int]
Option = TypeVar("Option")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A family of problems: its phrasings, the size of its numbers, whether it tells a story."""

    templates: tuple[wording.Template, ...]
    size: Literal["short", "long"] = "short"
    story: bool = False


KINDS = {
    "add": Kind(wording.ADD),
    "subtract": Kind(wording.SUBTRACT),
    "multiply": Kind(wording.MULTIPLY),
    "divide": Kind(wording.DIVIDE),
    "add_long": Kind(wording.ADD, size="long"),
    "subtract_long": Kind(wording.SUBTRACT, size="long"),
    "multiply_long": Kind(wording.MULTIPLY, size="long"),
    "divide_long": Kind(wording.DIVIDE, size="long"),
    "chain": Kind(wording.CHAIN),
    "gain": Kind(wording.GAIN, story=True),
    "lose": Kind(wording.LOSE, story=True),
    "groups": Kind(wording.GROUPS, story=True),
    "share": Kind(wording.SHARE, story=True),
    "money": Kind(wording.MONEY, story=True),
    "compare": Kind(wording.COMPARE, story=True),
    "two_step": Kind(wording.TWO_STEP, story=True),
}


@dataclasses.dataclass(frozen=True)
class SimpleOp:
    """A stream of problems. Ranges include both ends.

    SimpleOp(kinds=("add", "subtract"), short=(0, 99)) is what the quickstart trains on.

    Attributes:
        num_problems: how many to yield.
        seed: of the stream.
        kinds: taken in turn; name one twice to double its share.
        split: "train", "held_out", or "all" for both mixed as they fall.
        short: terms of sums and differences of the short kinds and of stories.
        long: the same of the long kinds.
        factors: one factor of a product, and divisors.
        multiples: the other factor, and quotients, of short kinds and stories; long kinds take
            `long` for it.
        allow_negative: lets bare differences go below zero.
        num_nouns: how many of the girls, boys, things and holders stories are made of; 0 for all.
            Fewer words are learned from fewer examples.
        exclude: questions never to make, as of an evaluation set.
    """

    num_problems: int
    seed: int = 0
    kinds: tuple[str, ...] = tuple(KINDS)
    split: Literal["train", "held_out", "all"] = "train"
    short: Range = (0, 99)
    long: Range = (100, 9_999)
    factors: Range = (2, 12)
    multiples: Range = (2, 50)
    allow_negative: bool = False
    num_nouns: int = 0
    exclude: Evaluation | None = None
    name = "simple_op"
    licence = "Apache-2.0"

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - KINDS.keys()):
            raise ValueError(f"simple_op: no kinds {unknown}; expected some of {list(KINDS)}")
        if not self.kinds or self.num_problems < 0 or self.seed < 0:
            raise ValueError(
                "simple_op: expected at least one kind, num_problems >= 0 and seed >= 0, got "
                f"{self.kinds}, {self.num_problems} and {self.seed}"
            )
        if self.num_nouns < 0 or self.num_nouns == 1:
            raise ValueError(
                f"simple_op: num_nouns is {self.num_nouns}, expected 2 or more, or 0 for all"
            )
        for field in ("short", "long", "factors", "multiples"):
            low, high = getattr(self, field)
            smallest = 2 if field == "factors" else 0
            if not smallest <= low <= high:
                raise ValueError(
                    f"simple_op: {field}: expected {smallest} <= low <= high, got {(low, high)}"
                )

    def problems(self, counts: base.Counts | None = None) -> Iterator[Problem]:
        """See `base.Source`."""
        for index in range(self.num_problems):
            if counts is not None:
                counts.update(("read", "problems"))
            yield self.problem(index)

    def problem(self, index: int) -> Problem:
        """Problem `index` of the stream.

        Raises:
            ValueError: the options leave (almost) no such problem.
        """
        name = self.kinds[index % len(self.kinds)]
        # An integer seeds `random.Random` the same way on every machine and version.
        rng = random.Random((self.seed << 64) + index)
        place = f"{self._stream}/{index:08d}"
        for _ in range(_MAX_TEMPLATES):
            template = _choose(rng, KINDS[name].templates)
            values = self._draw_in_split(rng, KINDS[name], template)
            if values is None:
                continue
            problem = _write(rng, template, values, place, name, self.num_nouns or None)
            if self.exclude is None or not self.exclude.overlap(problem.question):
                return problem
        raise ValueError(
            f"simple_op: no {name!r} problem of split {self.split!r} found in "
            f"{_MAX_TEMPLATES * _DRAWS_PER_TEMPLATE} draws; widen short={self.short}, "
            f"long={self.long}, factors={self.factors} or multiples={self.multiples}, "
            "or exclude less"
        )

    @functools.cached_property
    def _stream(self) -> str:
        """Names this stream among all others, as its options change the problems."""
        numbers: tuple = (self.short, self.long, self.factors, self.multiples, self.allow_negative)
        if self.num_nouns:
            numbers += (self.num_nouns,)
        digest = hashlib.blake2b(repr((self.kinds, numbers)).encode(), digest_size=3).hexdigest()
        return f"{self.split}/{self.seed}-{digest}"

    def _draw_in_split(
        self, rng: random.Random, kind: Kind, template: wording.Template
    ) -> dict[str, int] | None:
        for _ in range(_DRAWS_PER_TEMPLATE):
            values = self._draw(rng, kind, template)
            if values is not None and self._in_split(template, values):
                return values
        return None

    def _in_split(self, template: wording.Template, values: dict[str, int]) -> bool:
        pairs = [_operands(formula, values) for formula, _ in template.steps]
        held_out = any(is_reserved(left, right) for left, _, right in pairs)
        return self.split == "all" or held_out == (self.split == "held_out")

    def _draw(
        self, rng: random.Random, kind: Kind, template: wording.Template
    ) -> dict[str, int] | None:
        """Numbers that fit the template's formulas, and the values of its steps; None to redraw."""
        terms = self.long if kind.size == "long" else self.short
        if kind.story:
            terms = (max(terms[0], 2), max(terms[1], 2))
        multiples = self.long if kind.size == "long" else self.multiples
        signed = self.allow_negative and template in wording.SUBTRACT_BELOW_ZERO
        values: dict[str, int] = {}
        for number, (formula, _) in enumerate(template.steps, start=1):
            left, sign, right = _parts(formula)
            given = (values.get(left), values.get(right))
            if sign in "+-":
                pair = _draw_terms(rng, sign, given, terms, signed)
            else:
                pair = _draw_factors(rng, sign, given, multiples, self.factors)
            if pair is None:
                return None
            value = _apply(sign, *pair)
            if (value < 0 and not signed) or (value < 1 and kind.story):
                return None
            values |= {left: pair[0], right: pair[1], f"v{number}": value}
        return values


def is_reserved(left: int, right: int) -> bool:
    """Whether an unordered pair of numbers belongs to the held-out split: 5 % of them do."""
    pair = f"{min(left, right)},{max(left, right)}".encode()
    digest = hashlib.blake2b(pair, digest_size=8, person=b"simple_op").digest()
    return int.from_bytes(digest, "big") % 100 < RESERVED_PERCENT


def _draw_terms(
    rng: random.Random,
    sign: str,
    given: tuple[int | None, int | None],
    terms: Range,
    signed: bool,
) -> tuple[int, int] | None:
    left, right = given
    if left is None and right is not None and sign == "-":
        return (_between(rng, right + 1, terms[1]), right) if right < terms[1] else None
    drawn_left = _between(rng, *terms) if left is None else left
    drawn_right = _between(rng, *terms) if right is None else right
    if sign == "-" and left is None and not signed and drawn_left < drawn_right:
        drawn_left, drawn_right = drawn_right, drawn_left
    return drawn_left, drawn_right


def _draw_factors(
    rng: random.Random,
    sign: str,
    given: tuple[int | None, int | None],
    multiples: Range,
    factors: Range,
) -> tuple[int, int] | None:
    left, right = given
    if sign == "*" and left is None and right is None:
        multiple, factor = _between(rng, *multiples), _between(rng, *factors)
        return (multiple, factor) if _between(rng, 0, 1) else (factor, multiple)
    if sign == "*":
        drawn_left = _between(rng, *factors) if left is None else left
        return drawn_left, _between(rng, *factors) if right is None else right
    if left is None:
        divisor = _between(rng, *factors) if right is None else right
        return divisor * _between(rng, *multiples), divisor
    # The divisor must come out even; 1 would be no sharing.
    divisors = [d for d in range(factors[0], factors[1] + 1) if left % d == 0 and d < left]
    return (left, _choose(rng, divisors)) if divisors else None


def _apply(sign: str, left: int, right: int) -> int:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left // right


@functools.cache
def _parts(formula: str) -> tuple[str, str, str]:
    """Names and sign: "v1+c" -> ("v1", "+", "c")."""
    left, sign, right = re.split(r"([-+*/])", formula)
    return left, sign, right


def _operands(formula: str, values: dict[str, int]) -> tuple[int, str, int]:
    left, sign, right = _parts(formula)
    return values[left], sign, values[right]


def _write(
    rng: random.Random,
    template: wording.Template,
    values: dict[str, int],
    place: str,
    kind: str,
    num_nouns: int | None,
) -> Problem:
    """The template with people, things and numbers filled in."""
    nouns = _draw_nouns(rng, num_nouns)
    counted = {spec: nouns[spec] for spec in ("things", "holders")}
    fields = _draw_people(rng, num_nouns) | _articles(nouns)
    fields |= {name: _Number(value, counted) for name, value in values.items()}
    steps = []
    for number, (formula, claim) in enumerate(template.steps, start=1):
        left, sign, right = _operands(formula, values)
        value = values[f"v{number}"]
        follows = f", so {claim.format(**fields)}" if claim else ""
        text = f"{left:,} {sign} {right:,} = {value:,}{follows}."
        steps.append(Step(f"{left}{sign}{right}", str(value), text))
    return Problem(
        source=SimpleOp.name,
        problem_id=f"{SimpleOp.name}/{place}",
        question=template.question.format(**fields),
        solution="\n".join(step.text for step in steps),
        answer=steps[-1].value,
        kind=kind,
        steps=tuple(steps),
    )


class _Number:
    """A number that templates can count things with: format(_Number(3, ..), "things")."""

    def __init__(self, value: int, counted: dict[str, tuple[str, str]]) -> None:
        self.value, self.counted = value, counted

    def __format__(self, spec: str) -> str:
        if spec in ("", "$"):
            return f"{spec}{self.value:,}"
        one, many = self.counted[spec] if spec in self.counted else spec.split("|")
        return f"{self.value:,} {one if self.value == 1 else many}"


def _draw_people(rng: random.Random, num_nouns: int | None) -> dict[str, str]:
    girl = _between(rng, 0, 1) == 1
    girls, boys = wording.GIRLS[:num_nouns], wording.BOYS[:num_nouns]
    name = _choose(rng, girls if girl else boys)
    others = [other for other in (*girls, *boys) if other != name]
    she, her, him = ("she", "her", "her") if girl else ("he", "his", "him")
    people = {"name": name, "other": _choose(rng, others), "she": she, "her": her, "him": him}
    return people | {"She": she.capitalize(), "Her": her.capitalize()}


def _draw_nouns(rng: random.Random, num_nouns: int | None) -> dict[str, tuple[str, str]]:
    all_things = wording.THINGS[:num_nouns]
    things = _choose(rng, all_things)
    second = _choose(rng, [thing for thing in all_things if thing != things])
    holders = _choose(rng, wording.HOLDERS[:num_nouns])
    return {"things": things, "second": second, "holders": holders}


def _articles(nouns: dict[str, tuple[str, str]]) -> dict[str, str]:
    thing, things = nouns["things"]
    second, holder = nouns["second"][0], nouns["holders"][0]
    with_article = {
        word: f"{'an' if word[0] in 'aeiou' else 'a'} {word}" for word in (thing, second)
    }
    return {
        "thing": thing,
        "things": things,
        "a_thing": with_article[thing],
        "A_thing": with_article[thing].capitalize(),
        "second": second,
        "a_second": with_article[second],
        "holder": holder,
        "holders": nouns["holders"][1],
    }


def _between(rng: random.Random, low: int, high: int) -> int:
    # `random()` is the one method whose values Python promises to keep between versions.
    return low + int(rng.random() * (high - low + 1))


def _choose(rng: random.Random, options: Sequence[Option]) -> Option:
    return options[_between(rng, 0, len(options) - 1)]
