"""Numbers in words and digits: tables, round trips, and what counts as a number of a text."""

import doctest
import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoner_jax.text import number_atoms, numbers
from reasoner_jax.text.number_words import LARGEST, to_words
from reasoner_jax.text.numbers import QUANTITY_WORDS, numbers_in, to_digits

WORDS = [
    ("0", "zero"),
    ("13", "thirteen"),
    ("40", "forty"),
    ("-37", "minus thirty-seven"),
    ("100", "one hundred"),
    ("1,205", "one thousand two hundred five"),
    ("1000000", "one million"),
    ("1000000000000000", "one quadrillion"),
    ("3.14", "three point one four"),
    (".5", "zero point five"),
    ("2.50", "two point five zero"),
    ("$3.50", "three dollars and fifty cents"),
    ("$1.01", "one dollar and one cent"),
    ("$0.75", "seventy-five cents"),
    ("$2.5", "two dollars and fifty cents"),
    ("$1.255", "one point two five five dollars"),
    ("-$5", "minus five dollars"),
    ("$280k", "two hundred eighty thousand dollars"),
    ("$2.5 million", "two point five million dollars"),
    ("€11", "eleven euros"),
    ("£1.02", "one pound and two pence"),
    ("20¢", "twenty cents"),
    ("1¢", "one cent"),
    ("10%", "ten percent"),
    ("-12.5%", "minus twelve point five percent"),
    ("1/2", "one half"),
    ("3/2", "three halves"),
    ("3/4", "three quarters"),
    ("2/3", "two thirds"),
    ("-1/8", "minus one eighth"),
    ("7/25", "seven over twenty-five"),
    ("2 1/2", "two and a half"),
    ("1 1/8", "one and an eighth"),
    ("3 2/3", "three and two thirds"),
    ("1st", "first"),
    ("12th", "twelfth"),
    ("20th", "twentieth"),
    ("121st", "one hundred twenty-first"),
    ("7:30", "seven thirty"),
    ("7:05", "seven oh five"),
    ("7:00", "seven o'clock"),
    ("7:30 AM", "seven thirty AM"),
    ("12:05 p.m.", "twelve oh five PM"),
    ("8am", "eight AM"),
    ("17:00", "seventeen hundred hours"),
    ("1995", "one thousand nine hundred ninety-five"),
]


@pytest.mark.parametrize(("digits", "words"), WORDS)
def test_to_words(digits, words):
    assert to_words(digits) == words


def test_to_words_takes_integers():
    assert to_words(-12) == "minus twelve"


@pytest.mark.parametrize("text", ["", "about 5", "1/2/3", "5kg", "7:75", "one"])
def test_to_words_refuses_anything_but_one_number(text):
    with pytest.raises(ValueError, match="expected one number"):
        to_words(text)


def test_to_words_ends_at_eighteen_digits():
    assert to_words(LARGEST).startswith("nine hundred ninety-nine quadrillion")
    with pytest.raises(ValueError, match="digit by digit"):
        to_words(LARGEST + 1)


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9) | st.integers(-(10**15), 10**15))
def test_integers_come_back(number):
    assert to_digits(to_words(number)) == str(number)


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.text("0123456789", min_size=1, max_size=6))
def test_decimals_come_back(whole, places):
    text = f"{whole}.{places}"
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 10**9), st.integers(0, 99), st.sampled_from(["", "-"]))
def test_money_comes_back(dollars, cents, sign):
    text = f"{sign}${dollars}" + (f".{cents:02d}" if cents else "")
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 99))
def test_cents_come_back(cents):
    assert to_digits(to_words(f"{cents}¢")) == f"{cents}¢"
    assert to_digits(to_words(f"$0.{cents:02d}")) == f"{cents}¢"


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**4), st.sampled_from(["", "-"]))
def test_fractions_come_back(top, bottom, sign):
    text = f"{sign}{top}/{bottom}"
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 999), st.integers(1, 19), st.integers(2, 20))
def test_mixed_numbers_come_back_by_value(whole, top, bottom):
    if top < bottom:
        back = Fraction(to_digits(to_words(f"{whole} {top}/{bottom}")))
        assert back == whole + Fraction(top, bottom)


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.sampled_from(["", ".5", ".25", ".125"]))
def test_percentages_come_back(whole, places):
    text = f"{whole}{places}%"
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_ordinals_come_back(number):
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    text = f"{number}{'th' if number % 100 in (11, 12, 13) else suffix}"
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 59), st.sampled_from(["AM", "PM"]))
def test_times_come_back(hour, minute, meridiem):
    text = f"{hour}:{minute:02d} {meridiem}"
    assert to_digits(to_words(text)) == text


@settings(deadline=None)
@given(st.integers(1, 12))
def test_full_hours_come_back(hour):
    assert to_digits(to_words(f"{hour}:00")) == f"{hour}:00"


DIGITS = [
    ("twelve hundred", "1200"),
    ("nineteen hundred and five", "1905"),
    ("a hundred", "100"),
    ("a hundred and five", "105"),
    ("a thousand and one", "1001"),
    ("two thousand three hundred and forty-five", "2345"),
    ("six hundred thousand and twelve", "600012"),
    ("a hundred and twenty thousand", "120000"),
    ("twenty five", "25"),
    ("two point five million", "2500000"),
    ("two and a half million", "2500000"),
    ("half a million", "500000"),
    ("a million and a half", "1500000"),
    ("5 million", "5000000"),
    ("$5 million", "$5000000"),
    ("two dozen eggs", "24 eggs"),
    ("a dozen", "12"),
    ("half a dozen", "6"),
    ("one and a half dozen", "18"),
    ("minus four", "-4"),
    ("negative three point five", "-3.5"),
    ("seven minus four", "7 minus 4"),
    ("x minus four", "x minus 4"),
    ("The answer is minus four.", "The answer is -4."),
    ("three and a half", "3.5"),
    ("3 and a half", "3.5"),
    ("eight and three eighths", "8.375"),
    ("two and a third", "7/3"),
    ("two hundred and three quarters", "200.75"),
    ("one hundred one fifths", "101/5"),
    ("three quarters", "3/4"),
    ("three-fourths", "3/4"),
    ("three twenty-fifths", "3/25"),
    ("a third of them", "1/3 of them"),
    ("a third person", "a 3rd person"),
    ("one hundredth", "100th"),
    ("one hundredth of an inch", "1/100 of an inch"),
    ("seven over nine", "7/9"),
    ("fifty percent", "50%"),
    ("fifty per cent", "50%"),
    ("one half percent", "1/2%"),
    ("five dollars and twenty cents", "$5.20"),
    ("five dollars and five cents", "$5.05"),
    ("five dollars and twenty apples", "$5 and 20 apples"),
    ("twenty-five cents", "25¢"),
    ("a twenty-dollar bill", "a $20 bill"),
    ("seven thirty a.m. sharp", "7:30 AM sharp"),
    ("at seven p.m.", "at 7:00 PM."),
    ("ten oh five PM", "10:05 PM"),
    ("eight o'clock", "8:00"),
    ("seven thirty", "7 30"),
    ("point five", "0.5"),
    ("zero point two five", "0.25"),
    ("two point twenty-five", "2.25"),
    ("at that point five people left", "at that point 5 people left"),
    ("between five and ten", "between 5 and 10"),
    ("between one hundred and two hundred", "between 100 and 200"),
    ("one thousand two thousand", "1000 2000"),
    ("two thousand and three hundred", "2000 and 300"),
    ("one two three", "1 2 3"),
    ("twenty twenty", "20 20"),
    ("the twenty-first of May", "the 21st of May"),
    ("a five-year-old", "a 5-year-old"),
    ("this one, and one of them", "this one, and one of them"),
    ("she ate one", "she ate 1"),
    ("no one", "no one"),
    ("wait a second", "wait a second"),
    ("First, we add two.", "First, we add 2."),
    ("half of it", "half of it"),
    ("a couple of them", "a couple of them"),
    ("several hundred", "several hundred"),
    ("a few thousand", "a few thousand"),
    ("about three hours", "about 3 hours"),
    ("1,000 and 2.50 stay", "1,000 and 2.50 stay"),
    ("someone asked anyone", "someone asked anyone"),
    ("seven,\nthree", "7,\n3"),
    ("", ""),
]


@pytest.mark.parametrize(("words", "digits"), DIGITS)
def test_to_digits(words, digits):
    assert to_digits(words) == digits


def test_ordinals_may_stay_words():
    assert to_digits("the second of three", ordinals=False) == "the second of 3"


@settings(deadline=None)
@given(st.text("abc 0123456789.,/$%:-\n", max_size=40))
def test_digits_without_words_stay(text):
    assert to_digits(text) == text


def values(text):
    return [(number.text, str(number.value), number.kind) for number in numbers_in(text)]


def test_numbers_in_finds_digits_and_words_alike():
    assert values("Twice thirty-seven is 74, or 10% of $740; 3/4, 1 1/2, 2nd at 7:30.") == [
        ("Twice", "2", "quantity"),
        ("thirty-seven", "37", "integer"),
        ("74", "74", "integer"),
        ("10%", "1/10", "percent"),
        ("$740", "740", "money"),
        ("3/4", "3/4", "fraction"),
        ("1 1/2", "3/2", "mixed"),
        ("2nd", "2", "ordinal"),
        ("7:30", "15/2", "time"),
    ]


def test_spans_are_the_text():
    text = "So, about two and a half hours; minus 3!"
    for number in numbers_in(text):
        assert text[number.start : number.end] == number.text


def test_a_division_is_two_numbers_and_a_reduced_fraction_one():
    assert values("48/2=24") == [
        ("48", "48", "integer"),
        ("2", "2", "integer"),
        ("24", "24", "integer"),
    ]
    assert values("7/2") == [("7/2", "7/2", "fraction")]


def test_signs_need_room_before_them():
    assert [n.value for n in numbers_in("10-5=5, =-7, (-3), 2 - 1, -$4")] == [
        *(10, 5, 5, -7, -3, 2, 1, -4)
    ]


def test_numbers_in_a_worked_trace():
    trace = "48+24:8+4=12;4+2+1=07>072 and 2436/7:24/7=3r3"
    assert [n.value for n in numbers_in(trace)] == [
        *(48, 24, 8, 4, 12, 4, 2, 1, 7, 72),
        *(2436, 7, Fraction(24, 7), 3, 3),
    ]


def test_latex_fractions():
    assert values(r"\frac{3}{4}") == [(r"\frac{3}{4}", "3/4", "fraction")]


def test_percentages_and_cents_have_two_readings():
    percent, cents = numbers_in("fifty percent, twenty cents")
    assert (percent.value, percent.equals) == (Fraction(1, 2), (50,))
    assert (cents.value, cents.equals) == (Fraction(1, 5), (20,))


def test_parts_are_contained():
    time, price, part = numbers_in("seven thirty AM; five dollars and twenty cents; 3/4")
    assert (time.contains, price.contains, part.contains) == ((7, 30), (5, 20), (3, 4))


def test_thirty_second_may_mean_thirty_seconds():
    (number,) = numbers_in("a thirty second video")
    assert number.value == 32 and number.contains == (30,)


@pytest.mark.parametrize("word", QUANTITY_WORDS)
def test_quantity_words_are_found(word):
    (number,) = numbers_in(f"it is {word} that")
    assert (number.value, number.kind) == (QUANTITY_WORDS[word], "quantity")


@pytest.mark.parametrize(
    "text", ["each one", "one of them", "a second", "per second", "at first", "First, we", "once"]
)
def test_no_number_is_meant(text):
    assert numbers_in(text) == []


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_read(text):
    spans = [(number.start, number.end) for number in numbers_in(text)]
    assert spans == sorted(spans) and all(start < end for start, end in spans)
    to_digits(text)


def test_docstring_examples():
    assert doctest.testmod(numbers).failed == 0
    assert doctest.testmod(number_atoms).failed == 0


BABBLE = [
    "one",
    "two",
    "ten",
    "twenty",
    "hundred",
    "thousand",
    "million",
    "third",
    "half",
    "a",
    "an",
    "and",
    "point",
    "over",
    "minus",
    "dozen",
    "oh",
    "o'clock",
    "percent",
    "dollars",
    "cents",
    "pm",
    "hundredth",
    "math",
    "7",
    "1,000",
    "3/4",
]


def test_a_scale_after_a_pause_is_a_number():
    assert [n.value for n in numbers_in("Do the math. Thousand five, million.")] == [1005, 10**6]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(BABBLE),
            st.sampled_from([" ", "-", ". ", ", ", "; "]),
        ),
        max_size=12,
    )
)
def test_any_babble_of_number_words_is_read_to_its_end(words):
    text = "".join(word + joint for word, joint in words)
    numbers = numbers_in(text)
    assert all(0 <= n.start < n.end <= len(text) for n in numbers)
    assert all(a.end <= b.start for a, b in itertools.pairwise(numbers))
