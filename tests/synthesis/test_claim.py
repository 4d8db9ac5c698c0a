import pytest

from reasoner_jax.synthesis.claim import claim_of


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("Natalia sold 48/2 = 24 clips in May.", "Natalia sold 24 clips in May"),
        ("If he works 2 hours at $7, he will earn 2*7 = $14", "he will earn $14"),
        (
            "Then find the total time: 15 minutes + 40 minutes = 55 minutes",
            "the total time is 55 minutes",
        ),
        ("So it costs $5.00 x 4 = $20.00, which is a lot", "it costs $20"),
        ("She pays 3*1.5 = $4.5", "she pays $4.50"),
        ("She needs 9-3 = $6 more dollars", "she needs $6 more"),
        ("The boys drink 72 cartons because 8 x 9 = 72", "the boys drink 72 cartons"),
        ("There are 2 walkers and they have 2 legs so that's 2*2 = 4 legs", "that's 4 legs"),
        ("50 x 3/5 = 30 children are boys.", "30 children are boys"),
        ("12/4 = $3", "that's $3"),
        ("Mr. Li has 3*2 = 6 pens", "Mr. Li has 6 pens"),
        ("He runs 60/6 = 10 miles/hour", "he runs 10 miles per hour"),
    ],
)
def test_the_clause_that_states_the_value_is_found(sentence, claim):
    assert claim_of(sentence, "the boys, so it costs, there, she, he") == claim


@pytest.mark.parametrize(
    "sentence",
    [
        "x + 3 = 5",
        "Multiply 3 by 4: 3*4 = 12",
        "On Monday 3*4 = 12",
        "Let p be 2*3 = 6",
        "First find how many apples there are: 3*4 = 12",
        "Since it is 5*3 = 15 dollars",
        "He has 4 + 4 = 9 pens",
        "No number here.",
    ],
)
def test_what_gives_no_clean_clause_gives_none(sentence):
    assert claim_of(sentence, "") is None


def test_names_keep_their_capital():
    assert claim_of("Weng earns 12/6 = $2", "Does Weng earn it?") == "Weng earns $2"
    assert claim_of("Combining both gives 2+2 = 4 gifts", "") == "combining both gives 4 gifts"


def test_no_claim_is_longer_than_sixteen_words():
    words = " ".join(["very"] * 12)
    assert claim_of(f"She has a {words} long list of 2*3 = 6 items", "she") is None
