"""Where a text that is still being written may be cut to be spoken."""

import re
from collections.abc import Sequence

_FEWEST_WORDS = 3
"""Of a clause: shorter ones are spoken with what follows, since each begins its own melody."""
_WIDE_MARK = re.compile(r"[。，；：！？…]\W*$")
_MARK = re.compile(r"[.,;:!?]\W*$")


def clause_ends(pieces: Sequence[str]) -> list[int]:
    """How many pieces make one clause, two clauses .., of those that are sure to be complete.

    A comma or a point ends a clause once a space follows it, so "3.5" and "10,000" stay whole.

    clause_ends(["Let", " me", " see", ",", " it", "'s", " about", " 3", ".", "5", ".", " So"])
      ->  [4, 11]

    Args:
        pieces: of the text so far, a token each.
    """
    ends: list[int] = []
    begin = 0
    for index in range(1, len(pieces) + 1):
        text = "".join(pieces[begin:index])
        follows = pieces[index][:1] if index < len(pieces) else ""
        over = _WIDE_MARK.search(text) or (_MARK.search(text) and follows.isspace())
        long_enough = len(text.split()) >= _FEWEST_WORDS or _WIDE_MARK.search(text)
        if over and long_enough:
            ends.append(index)
            begin = index
    return ends
