"""Reads amounts from words: "two and a half million", "three quarters"; knows no units, no context.

Works on the atoms of `number_atoms`.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from reasoner_jax.text.number_atoms import (
    Amount,
    Atom,
    fraction,
    integer,
    word_at,
    write,
    write_ordinal,
)
from reasoner_jax.text.number_words import BELOW_TWENTY, SCALES, TENS, ordinal_word, plural

_ONES = {word: number for number, word in enumerate(BELOW_TWENTY)}
_TENS = {word: 10 * tens for tens, word in enumerate(TENS) if tens >= 2}
_ORDINALS = {ordinal_word(word): number for word, number in (_ONES | _TENS).items()}
_SCALE_ORDINALS = {f"{word}th": number for word, number in SCALES.items()}
_SPOKEN_DIGITS = {word: str(number) for word, number in _ONES.items() if number < 10}
_SPOKEN_DIGITS |= {"oh": "0", "o": "0"}

_PARTS = {word: number for word, number in _ORDINALS.items() if number > 2}
_PARTS |= {"half": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000}
_PLURAL_PARTS = {plural(word): number for word, number in _PARTS.items()}
_AMBIGUOUS_PARTS = ("hundredth", "thousandth")

_LIMIT = 10**21  # above every scale
_MULTIPLES = {"hundred": 100, **SCALES, "dozen": 12, "dozens": 12}
_BEFORE_A_NOUN = {"a", "the", "this", "that", "some", "any", "what", "which", "to", "each", "every"}
_VAGUE = {"several", "few", "many", "couple", "some", "of"}


def read_amount(seq: Sequence[Atom], index: int) -> Amount | None:
    """The amount without sign that starts at an atom.

        thirty-seven · a hundred · twelve hundred · two hundred and five · 5 million · two dozen
        half a million · three point one four · three quarters · a third of · seven over nine
        three and a half · twenty-first

    Returns:
        None where no amount starts: "half" alone, and "a third" of persons.
    """
    amount = _simple(seq, index)
    if amount is None or amount.kind in ("ordinal", "time", "percent"):
        return amount
    if amount.kind == "integer":
        amount = _with_fraction(seq, amount)
    while amount.kind != "fraction" and (times := _MULTIPLES.get(word_at(seq, amount.stop))):
        value, money = amount.value * times, amount.digits.startswith("$")
        amount = dataclasses.replace(
            amount,
            value=value,
            stop=amount.stop + 1,
            kind="money" if money else "integer" if value.denominator == 1 else "decimal",
            digits="$" * money + write(value),
        )
    return amount


def _simple(seq: Sequence[Atom], index: int) -> Amount | None:
    """A numeral, cardinal, ordinal, decimal or plain fraction."""
    atom = seq[index]
    if atom.amount is not None:
        return dataclasses.replace(atom.amount, stop=index + 1)
    if atom.word == "point":
        return None if _names_a_point(seq, index) else _decimal(seq, 0, index)
    return _indefinite(seq, index) or _from_cardinal(seq, index)


def _indefinite(seq: Sequence[Atom], index: int) -> Amount | None:
    """What "half a" and "a" begin: "half a million", "a dozen", "a quarter"."""
    word, after = seq[index].word, word_at(seq, index + 1)
    if word == "half" and after in ("a", "an"):
        size = _MULTIPLES.get(word_at(seq, index + 2))
        return integer(size // 2, index + 3) if size else None
    if word not in ("a", "an"):
        return None
    if after == "dozen":
        return integer(12, index + 2)
    part = _denominator(seq, index + 1, 1)
    if part is None:
        return None
    # "a third person" is not a part.
    clear = after in ("half", "quarter")
    if clear or word_at(seq, part[1]) in ("of", "as", "more", "less", ""):
        return fraction(1, *part)
    return None


def _from_cardinal(seq: Sequence[Atom], index: int) -> Amount | None:
    """What a cardinal begins: itself, an ordinal, a decimal, a fraction."""
    number = read_cardinal(seq, index)
    if number is None:
        return None
    if number.ordinal:
        return _ordinal(seq, index, number)
    if word_at(seq, number.stop) == "point":
        decimal = _decimal(seq, number.value, number.stop)
        if decimal is not None:
            return decimal
    if part := _denominator(seq, number.stop, number.value):
        return fraction(number.value, *part)
    return integer(number.value, number.stop)


def _with_fraction(seq: Sequence[Atom], amount: Amount) -> Amount:
    """An integer with what may follow it: "over nine", "and a half"."""
    after = word_at(seq, amount.stop)
    if after == "over" and amount.stop + 1 < len(seq):
        below = _simple(seq, amount.stop + 1)
        if below and below.kind == "integer" and seq[amount.stop + 1].joined and below.value:
            return fraction(int(amount.value), int(below.value), below.stop)
    if after != "and" or not word_at(seq, amount.stop + 1):
        return amount
    part = _simple(seq, amount.stop + 1)
    if part is None or part.kind != "fraction" or not 0 < part.value < 1:
        return amount
    # "a million and a half" is half a million more, "a hundred and a half" is not.
    unit = amount.value if amount.value in list(SCALES.values())[1:] else 1
    value = amount.value + unit * part.value
    contains = (amount.value, part.value)
    return Amount(value, part.stop, "mixed", write(value), contains=contains)


@dataclasses.dataclass(frozen=True)
class _Cardinal:
    value: int
    stop: int
    ordinal: bool = False


def read_cardinal(seq: Sequence[Atom], index: int) -> _Cardinal | None:
    """The longest cardinal or ordinal in words that starts at an atom."""
    word, after = seq[index].word, word_at(seq, index + 1)
    if word in ("a", "an") and (after == "hundred" or after in SCALES):
        index, word = index + 1, after
    elif index and word_at(seq, index) and seq[index - 1].word in _VAGUE and word in _MULTIPLES:
        return None
    if word == "hundred":
        current = _plus_below_hundred(seq, 100, index + 1)
    elif word in SCALES:
        current = _Cardinal(1, index)
    else:
        current = _below_thousand(seq, index, word)
    if current is None or current.ordinal:
        return current
    total, smallest = 0, _LIMIT
    while True:
        # A scale that begins the number may stand after a pause: "Well. Thousand five."
        scale = seq[index].word if current.stop == index else word_at(seq, current.stop)
        if current.value and _SCALE_ORDINALS.get(scale, _LIMIT) < smallest:
            return _Cardinal(total + current.value * _SCALE_ORDINALS[scale], current.stop + 1, True)
        if not current.value or SCALES.get(scale, _LIMIT) >= smallest:
            return _Cardinal(total + current.value, current.stop)
        smallest = SCALES[scale]
        total += current.value * smallest
        rest = _rest(seq, current.stop + 1, smallest)
        if rest is None:
            return _Cardinal(total, current.stop + 1)
        if rest.ordinal:
            return _Cardinal(total + rest.value, rest.stop, True)
        current = rest


def _rest(seq: Sequence[Atom], index: int, smallest: int) -> _Cardinal | None:
    """What a scale leaves: "five hundred" after "two million", not "three thousand" after "and"."""
    joint = word_at(seq, index) == "and"
    rest = _below_thousand(seq, index + joint, word_at(seq, index + joint))
    if rest is None or not 0 < rest.value < smallest:
        return None
    scale = SCALES.get(word_at(seq, rest.stop))
    if scale and (joint or scale >= smallest):
        return None
    if joint and (rest.value >= 100 or _denominator(seq, rest.stop, rest.value)):
        return None
    return rest


def _below_thousand(seq: Sequence[Atom], index: int, word: str) -> _Cardinal | None:
    head = _below_hundred(seq, index, word)
    if head is None or head.ordinal or not head.value:
        return head
    after = word_at(seq, head.stop)
    if after == "hundredth" and not seq[head.stop].hyphenated:
        return _Cardinal(100 * head.value, head.stop + 1, True)
    if after != "hundred":
        return head
    return _plus_below_hundred(seq, 100 * head.value, head.stop + 1)


def _plus_below_hundred(seq: Sequence[Atom], hundreds: int, index: int) -> _Cardinal:
    joint = word_at(seq, index) == "and"
    rest = _below_hundred(seq, index + joint, word_at(seq, index + joint))
    alone = _Cardinal(hundreds, index)
    if rest is None or not rest.value or word_at(seq, rest.stop) in ("hundred", "hundredth"):
        return alone
    if joint and not rest.ordinal and _denominator(seq, rest.stop, rest.value):
        return alone
    return _Cardinal(hundreds + rest.value, rest.stop, rest.ordinal)


def _below_hundred(seq: Sequence[Atom], index: int, word: str) -> _Cardinal | None:
    if word in _TENS:
        after = word_at(seq, index + 1)
        if 0 < _ONES.get(after, 0) < 10:
            return _Cardinal(_TENS[word] + _ONES[after], index + 2)
        if 0 < _ORDINALS.get(after, 0) < 10:
            return _Cardinal(_TENS[word] + _ORDINALS[after], index + 2, True)
        return _Cardinal(_TENS[word], index + 1)
    if word in _ORDINALS:
        return _Cardinal(_ORDINALS[word], index + 1, True)
    return _Cardinal(_ONES[word], index + 1) if word in _ONES else None


def _denominator(seq: Sequence[Atom], index: int, top: int) -> tuple[int, int] | None:
    """(denominator, index after it) where a fraction of `top` goes on."""
    word, after = word_at(seq, index), word_at(seq, index + 1)
    if after and seq[index + 1].hyphenated:
        # "three twenty-fifths", "three one-hundredths"
        names = _PARTS if top == 1 else _PLURAL_PARTS
        if word in _TENS and names.get(after, 10) < 10:
            return _TENS[word] + names[after], index + 2
        if word == "one" and names.get(after, 0) >= 100:
            return names[after], index + 2
    if top != 1 and word in _PLURAL_PARTS:
        return _PLURAL_PARTS[word], index + 1
    # "one hundredth" is an ordinal as well.
    if top == 1 and word in _PARTS and (word not in _AMBIGUOUS_PARTS or after == "of"):
        return _PARTS[word], index + 1
    if word in _PARTS and seq[index].hyphenated and after == "of":  # "two-third of"
        return _PARTS[word], index + 1
    return None


def _names_a_point(seq: Sequence[Atom], index: int) -> bool:
    """Whether "point" is a noun here: "at that point five of them"."""
    before = seq[index - 1].word if index and seq[index].joined else ""
    return before in _BEFORE_A_NOUN


def _decimal(seq: Sequence[Atom], whole: int, index: int) -> Amount | None:
    """The decimal whose "point" is at `index`: digit by digit, or as "point twenty-five"."""
    position, digits = index + 1, ""
    while word_at(seq, position) in _SPOKEN_DIGITS:
        digits += _SPOKEN_DIGITS[word_at(seq, position)]
        position += 1
    if not digits:
        below = _below_hundred(seq, position, word_at(seq, position))
        if below is None or below.ordinal:
            return None
        digits, position = str(below.value), below.stop
    text = f"{whole}.{digits}"
    return Amount(Fraction(text), position, "decimal", text)


def _ordinal(seq: Sequence[Atom], index: int, number: _Cardinal) -> Amount:
    words = [atom.word for atom in seq[index : number.stop]]
    if words[0] == "one" and words[-1] in _AMBIGUOUS_PARTS and word_at(seq, number.stop) == "of":
        return fraction(1, number.value, number.stop)
    # "thirty-second" may be a video of thirty seconds.
    tens = (Fraction(number.value - 2),) if words[-1] == "second" and len(words) > 1 else ()
    digits = write_ordinal(number.value)
    return Amount(Fraction(number.value), number.stop, "ordinal", digits, contains=tens)
