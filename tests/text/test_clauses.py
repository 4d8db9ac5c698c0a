import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.text.clauses import clause_ends


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ([], []),
        (["Let", " me", " see", "."], []),  # a "5" may follow
        (["Let", " me", " see", ".", " So"], [4]),
        (["Let", " me", " see", ",", " it", "'s", " about", " 3", ".", "5", ".", " So"], [4, 11]),
        (["That", " makes", " 10", ",", "000", " of", " them", "!", "\n"], [8]),
        (["Okay", ",", " let", " me", " see", ".", " So"], [6]),  # too short a clause to begin with
        (["He", " said", " it", '."', " Then"], [4]),
        (["一共", "是", "十", "。", "所以"], [4]),
        (["no", " mark", " at", " all", " here"], []),
    ],
)
def test_a_clause_ends_where_a_mark_and_a_space_do(pieces, ends):
    assert clause_ends(pieces) == ends


@given(st.lists(st.sampled_from([" so", " ten", ",", ".", "5", "!", "。", "\n"]), max_size=30))
def test_what_was_complete_stays_so_whatever_follows(pieces):
    whole = clause_ends(pieces)
    for count in range(len(pieces)):
        found = clause_ends(pieces[:count])
        # A wide mark ends a clause by itself, the others wait for what follows.
        sure = [end for end in whole if end < count or (end == count and pieces[end - 1] == "。")]
        assert found == sure
    assert whole == sorted(set(whole))
