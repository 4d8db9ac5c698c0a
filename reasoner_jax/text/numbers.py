"""Numbers in a text, in words or digits: finds them, and writes them in digits; knows no schedule.

`to_words` (from `number_words`) and `to_digits` are inverse to each other on single numbers.
"""

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction

from reasoner_jax.text.number_atoms import Amount, Atom, Kind, atoms, integer, word_at, write
from reasoner_jax.text.number_grammar import read_amount
from reasoner_jax.text.number_words import to_words

__all__ = ["QUANTITY_WORDS", "Number", "numbers_in", "to_digits", "to_words"]

QUANTITY_WORDS = {
    "half": Fraction(1, 2),
    "halves": Fraction(1, 2),
    "quarter": Fraction(1, 4),
    "quarters": Fraction(1, 4),
    "twice": Fraction(2),
    "double": Fraction(2),
    "doubles": Fraction(2),
    "doubled": Fraction(2),
    "doubling": Fraction(2),
    "couple": Fraction(2),
    "pair": Fraction(2),
    "pairs": Fraction(2),
    "thrice": Fraction(3),
    "triple": Fraction(3),
    "triples": Fraction(3),
    "tripled": Fraction(3),
    "tripling": Fraction(3),
    "quadruple": Fraction(4),
    "quadrupled": Fraction(4),
    "dozen": Fraction(12),
    "dozens": Fraction(12),
}
"""Words that state a quantity; "once", "both" and "single" are too common to be meant as one."""

_BEFORE_A_SIGN = """
is are was were be been equals equal to by of at and or times plus minus than from between with get
gets got gives give makes make have has becomes become as through it it's that's
"""
_UNARY_AFTER = frozenset(_BEFORE_A_SIGN.split())
_BEFORE_A_PRONOUN = """
no this that these those each every any which the other another last next same only
"""
_ONE_AS_PRONOUN_AFTER = frozenset(_BEFORE_A_PRONOUN.split())
_SECOND_AS_UNIT_AFTER = {"a", "per", "one", "each", "every", "any", "this", "split", "another"}
_ORDERING = ("first", "second", "third", "fourth", "fifth")
_SPEAKERS = {"we", "i", "you", "let", "let's", "i'll", "we'll", "he", "she", "they"}


@dataclasses.dataclass(frozen=True)
class Number:
    """A number or quantity word in a text.

    Attributes:
        value: exact; of a percentage the share (10% is 1/10), of money the large unit.
        start: its first character.
        end: the character after its last.
        kind: what it is written as.
        text: as written.
        digits: in digits; a quantity word as written.
        equals: other values that it states: ten percent states 10, twenty cents 20.
        contains: values of its parts: "3/4" contains 3 and 4, "7:30" 7 and 30.
    """

    value: Fraction
    start: int
    end: int
    kind: Kind
    text: str
    digits: str
    equals: tuple[Fraction, ...] = ()
    contains: tuple[Fraction, ...] = ()


def numbers_in(text: str) -> list[Number]:
    """Every number of a text in order, whether in words or in digits.

    Left out are "one" as a pronoun ("each one", "one of them"), words that only order a talk
    ("first, .."), and "second" as a unit of time. A division in digits is two numbers, unless it is
    a fraction in lowest terms: "48/2" gives 48 and 2, "3/4" gives 3/4.

    >>> [(n.text, str(n.value)) for n in numbers_in("Half of thirty-seven is 18.5.")]
    [('Half', '1/2'), ('thirty-seven', '37'), ('18.5', '37/2')]
    """
    return list(_numbers_in(text))


@functools.lru_cache(maxsize=256)
def _numbers_in(text: str) -> tuple[Number, ...]:
    """Kept, since an example's few texts are each looked at by many checks."""
    seq, found, index = atoms(text), [], 0
    while index < len(seq):
        amount = _read(seq, index)
        if amount is None:
            index += 1
            continue
        start, end = seq[index].start, seq[amount.stop - 1].end
        found.append(
            Number(
                value=amount.value,
                start=start,
                end=end,
                kind=amount.kind,
                text=text[start:end],
                digits=text[start:end] if amount.kind == "quantity" else amount.digits,
                equals=amount.equals,
                contains=amount.contains,
            )
        )
        index = amount.stop
    return tuple(found)


def to_digits(text: str, *, ordinals: bool = True) -> str:
    """Writes the number words of a text in digits; inverse text normalisation.

        twelve hundred           1200          three and a half          3.5
        a hundred and five       105           two and a third           7/3
        minus four               -4            three quarters            3/4
        two point five million   2500000       fifty percent             50%
        two dozen, a dozen       24, 12        five dollars and twenty cents   $5.20
        twenty-first             21st          twenty cents              20¢
        seven thirty a.m.        7:30 AM       seven o'clock             7:00

    A time needs "a.m.", "p.m." or "o'clock": "seven thirty" alone is "7 30". "Minus" after a noun
    or a number stays a word: "7 minus 4". Numerals stay as they are ("1,000"), and so do quantity
    words ("half of it", "a couple"). A mixed number becomes a decimal, or one fraction where the
    decimal does not end.

    Args:
        text: any text.
        ordinals: whether "third" becomes "3rd".
    """
    pieces, position = [], 0
    for number in numbers_in(text):
        if number.kind == "quantity" or (number.kind == "ordinal" and not ordinals):
            continue
        if any(atom.amount is None for atom in atoms(number.text)):
            pieces += [text[position : number.start], number.digits]
            position = number.end
    return "".join([*pieces, text[position:]])


def _read(seq: Sequence[Atom], index: int) -> Amount | None:
    """The number that starts at an atom, with its sign and unit."""
    word = seq[index].word
    if word in ("minus", "negative") and word_at(seq, index + 1) and _is_sign(seq, index):
        amount = _with_unit(seq, index + 1)
        return None if amount is None else _negated(amount)
    if word in QUANTITY_WORDS and (amount := read_amount(seq, index)) is None:
        return Amount(QUANTITY_WORDS[word], index + 1, "quantity", "")
    return None if _is_no_number(seq, index) else _with_unit(seq, index)


def _with_unit(seq: Sequence[Atom], index: int) -> Amount | None:
    """An amount with the unit that makes it a time, a percentage or money."""
    amount = _time(seq, index) or read_amount(seq, index)
    if amount is None or (amount.kind == "ordinal" and _only_orders(seq, index)):
        return None
    unit, after = word_at(seq, amount.stop), word_at(seq, amount.stop + 1)
    if amount.kind not in ("integer", "decimal", "fraction", "mixed"):
        return amount
    if unit == "percent" or (unit == "per" and after == "cent"):
        stop = amount.stop + 1 + (unit == "per")
        share = amount.value / 100
        return Amount(share, stop, "percent", f"{amount.digits}%", (amount.value,), amount.contains)
    if unit in ("cent", "cents") and amount.kind != "fraction":
        value = amount.value / 100
        return Amount(value, amount.stop + 1, "money", f"{amount.digits}¢", (amount.value,))
    if unit in ("dollar", "dollars") and amount.kind != "fraction":
        return _dollars(seq, amount)
    return amount


def _dollars(seq: Sequence[Atom], amount: Amount) -> Amount:
    """Dollars, and cents that belong to them: "five dollars and twenty cents"."""
    stop = amount.stop + 1
    digits = f"${amount.digits}"
    whole = Amount(amount.value, stop, "money", digits, contains=amount.contains)
    joint = word_at(seq, stop) == "and"
    if amount.kind != "integer" or not word_at(seq, stop + joint):
        return whole
    cents = read_amount(seq, stop + joint)
    if cents is None or cents.kind != "integer" or not 0 < cents.value < 100:
        return whole
    if word_at(seq, cents.stop) not in ("cent", "cents"):
        return whole
    value = amount.value + cents.value / 100
    contains = (amount.value, cents.value)
    digits = f"${amount.digits}.{int(cents.value):02d}"
    return Amount(value, cents.stop + 1, "money", digits, contains=contains)


def _time(seq: Sequence[Atom], index: int) -> Amount | None:
    """A time such as "seven oh five PM" or "seven o'clock"; None for anything less clear."""
    hour = _small(seq, index)
    if hour is None or not 1 <= hour.value <= 12:
        return None
    minute = integer(0, hour.stop)
    if word_at(seq, hour.stop) == "o'clock":
        minute = integer(0, hour.stop + 1)
    elif (late := _minutes(seq, hour.stop)) is not None:
        minute = late
    meridiem = word_at(seq, minute.stop)
    on_the_hour = minute.stop > hour.stop and not minute.value
    if meridiem not in ("am", "pm") and not on_the_hour:
        return None
    digits = f"{write(hour.value)}:{int(minute.value):02d}"
    contains = (hour.value, minute.value)
    stop = minute.stop
    if meridiem in ("am", "pm"):
        digits, stop = f"{digits} {meridiem.upper()}", stop + 1
    return Amount(hour.value + minute.value / 60, stop, "time", digits, contains=contains)


def _minutes(seq: Sequence[Atom], index: int) -> Amount | None:
    """The minutes that follow an hour: "oh five", "thirty"."""
    late = word_at(seq, index) in ("oh", "o")
    minute = _small(seq, index + late) if word_at(seq, index + late) else None
    low, high = (1, 10) if late else (10, 60)
    return minute if minute is not None and low <= minute.value < high else None


def _small(seq: Sequence[Atom], index: int) -> Amount | None:
    """A cardinal below sixty, in words."""
    if seq[index].amount is not None:
        return None
    amount = read_amount(seq[: index + 2], index)
    return amount if amount is not None and amount.kind == "integer" and amount.value < 60 else None


def _negated(amount: Amount) -> Amount:
    equals = tuple(-value for value in amount.equals)
    return dataclasses.replace(
        amount, value=-amount.value, digits=f"-{amount.digits}", equals=equals
    )


def _is_sign(seq: Sequence[Atom], index: int) -> bool:
    """Whether "minus" here makes a number negative, and does not subtract it from something."""
    before = _word_before(seq, index)
    return seq[index].word == "negative" or not before or before in _UNARY_AFTER


def _is_no_number(seq: Sequence[Atom], index: int) -> bool:
    """Whether "one" stands for a thing, or "second" for a moment."""
    word, before = seq[index].word, _word_before(seq, index)
    if word == "one":
        amount = read_amount(seq, index)
        alone = amount is not None and amount.stop == index + 1
        after = word_at(seq, index + 1)
        return alone and (after == "of" or before in _ONE_AS_PRONOUN_AFTER)
    if word == "second" and before:
        return before in _SECOND_AS_UNIT_AFTER or read_amount(seq[:index], index - 1) is not None
    return False


def _only_orders(seq: Sequence[Atom], index: int) -> bool:
    """Whether an ordinal only structures the talk: "first, we add", "first we add", "at first"."""
    before, after = _word_before(seq, index), word_at(seq, index + 1)
    if seq[index].word not in _ORDERING or before:
        return before == "at"
    return (index + 1 < len(seq) and not after) or after in _SPEAKERS


def _word_before(seq: Sequence[Atom], index: int) -> str:
    """The word that an atom continues; "#" for a numeral, empty after a pause."""
    if not index or not seq[index].joined:
        return ""
    return seq[index - 1].word or "#"
