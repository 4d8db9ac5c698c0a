"""Clauses fit to be spoken, from a worked solution and its question; knows no numbers in words.

"If he babysits for 2 hours at $7 per hour, he will earn 2*7 = $14"  ->  "he will earn $14"
"How many clips did Natalia sell altogether?", 72                    ->  "72 clips"
"""

import dataclasses
import re

from reasoner_jax.synthesis.sentence import Sentence, parse

_MAX_WORDS = 16
_MAX_TAIL_WORDS = 8
_MAX_SUBJECT_WORDS = 9
_MAX_NUMBERS = 3

# Finite verbs that solutions use; a head without one is no clause.
_VERB_FORMS = """
add added adds adopted adopts aged ages allocated allow allows am amounted amounts answer
answered answers are ate attend attended attends attracted attracts bake baked bakes be became
become becomes biked bikes blew blocked blow blows borrow borrowed borrows bought bounced
bounces break breaks bring brings broke brought build builds built burn burned burns burnt buy
buys call called calls came can carried carries carry catch catches caught cause caused causes
change changed changes charge charged charges choose chooses chose clean cleaned cleans climb
climbed climbs collect collected collects come comes complete completed completes consume
consumed consumes contain contained contains contribute contributed contributes cook cooked
cooks cost costs could count counted counts cover covered covers cut cuts cycle cycled cycles
dance danced dances decrease decreased decreases deduct deliver delivered delivers deposit
deposited deposits did dives do does donate donated donates doubled doubles drank draw drawn
draws drew drink drinks drive driven drives drop dropped drops drove earn earned earns eat eaten
eats enjoy enjoys enter entered enters equal equals exited expect expected expects fed feed
feeds fill filled fills find finds finish finished finishes fit fits fix fixed fixes fold folded
folds forgets forgot found gain gained gains gather gathered gathers gave get gets give given
gives go goes got grade graded grades grew grow grows had hang hangs happens harvest harvested
harvests has hatch hatched hatches have he'll he's held help helps hid hide hides hire hired
hires hit hits hold holds hung hunt hunted hunts increase increased increases invest invested
invests invite invited invites is it'll it's join joined joins jump jumped jumps keep keeps kept
knit knits knitted knocked know knows lack lacks laid last lasted lasts lay lays leave leaves
left like likes live lived lives load loaded loads logged logs lose loses lost love loves made
make makes may means memorized might missed mix mixed mixes move moved moves mow mowed mows must
need needed needs order ordered orders owe owed owes own owned owns pack packed packs paid paint
painted paints pass passed passes pay pays perform performed performs pick picked picks plan
planned plans plant planted plants play played plays polished pour poured pours practice
practiced practices prefer prefers prepare prepared prepares print printed prints produce
produced produces pull pulled pulls purchase purchased purchases put puts rain rained rains
raise raised raises rake raked rakes ran reach reached reaches read reads receive received
receives release released releases remain remained remains remove removed removes rent rented
rents replaced represent represented represents require required requires rescued return
returned returns ride rides rode run runs said sang sat save saved saves saw say says score
scored scores see seen sees sell sells send sends sent serve served serves sew sewed sews share
shared shares she'll she's sheared shears should show showed shows sing sings sit sits sleep
sleeps slept sold speak speaks spend spends spent spilled spills stack stacked stacks stand
stands start started starts stay stayed stays stole stood store stored stores studied studies
study subtracts supplied supplies supply swam swaps swim swims take taken takes taught teach
teaches tell tells that'll that's there's they'll they're threw throw thrown throws tip tipped
tips told took totaled totals trade traded trades train trained trains travel traveled travelled
travels treat treated treats tried tries tripled triples try type typed types use used uses
visit visited visits wait waited waits walk walked walks want wanted wants was wash washed
washes watch watched watches wear wears weigh weighed weighs went were will win wins won wore
work worked works would write writes written wrote yield yielded yields
"""
_VERBS = frozenset(_VERB_FORMS.split())
_TASK_VERBS = """
add multiply divide subtract convert find let let's
"""
_IMPERATIVES = frozenset(_TASK_VERBS.split())
# Words of a clause about the calculation instead of its result.
_SAYS_HOW = {"how", "let", "equation", "perform", "performing"}
_LEAD = re.compile(
    r"^(?:(?:so(?! far)|thus|therefore|then|hence|finally|first(?:ly)?|next|now|and|also|but|lastly"
    r"|consequently|accordingly|as a result|after that|this means(?: that)?|that means(?: that)?"
    r"|which means(?: that)?|it means(?: that)?|meaning(?: that)?|overall|since then"
    r"|we know that|we can see that|we find that|we see that|again|similarly|likewise"
    r"|on the other hand|in conclusion|of course|because of this)\b[,:]?\s+)+",
    re.IGNORECASE,
)
_TASK = re.compile(
    r"^(?:to )?(?:find|calculate|figure out|determine|compute|work out|add up)\b(?: out)?\s+"
    r"(?=(?:the|his|her|their|its|each|\w+[’']s?)\b)",
    re.IGNORECASE,
)
_DETERMINED = re.compile(r"(?:the|his|her|their|total|\w+[’']s)\b", re.IGNORECASE)
_CONDITION = re.compile(
    r"^(?:if|since|because|as|given|when|while|although|though|considering|knowing|seeing"
    r"|assuming|let)\b",
    re.IGNORECASE,
)
_NEW_CLAUSE = re.compile(
    r"[,;:.]?\s+(?:so|therefore|thus|hence|which means|that means|meaning|which is why)"
    r"(?: that)?,?\s+|[;:]\s+|(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)\.\s+"
)
# What sentences of solutions start with, besides names.
_STARTING_WORDS = """
a across add adding after all altogether an and another as at because before being both but by
combined combining converting counting currently day dividing during each eight every finally
five for four from given half he her his however if in including initially it its last making
multiplying my next normally of on once originally our out over overall per removing selling
seven she since six so some spending starting subtracting taking ten that that's the their then
there there's therefore these they this those three throughout thus to today together tomorrow
total traveling twenty twice two under using we week when which while will with without working
yesterday you your most buying going collectively only now one it's
"""
_STARTERS = frozenset(_STARTING_WORDS.split())
_TAIL_END = re.compile(
    r"[,;:.!?(=+*/–—]|\s-\s"
    r"|\s(?:because|since|so|but|which|who|if|while|after|before|as|and|therefore|thus|or)\b"
)
_LOOSE_END = re.compile(
    r"(?:^|\s)(?:a|an|the|of|in|on|at|for|to|from|with|by|per|his|her|their|is|are|that|and|he|she"
    r"|they|it|we)$"
)
_UNSPEAKABLE = re.compile(
    r"[=<>*+^_\\|#@~/(){}\[\]:;\"“”&!?]|\s-\s|(?<!['’])\b[b-hj-zB-HJ-Z]\b(?!['’.])"
)
_NUMBERS = re.compile(r"(?<![\w.])[$£€]?\d[\d,]*(?:\.\d+)?%?|\.\d+%?")


def claim_of(text: str, context: str) -> str | None:
    """The clause of a worked sentence that states what comes out, without the calculation.

    Args:
        text: the sentence.
        context: question and solution, which show what is written in lower case.

    Returns:
        A clause of at most 16 words that has the value as its last number and begins in lower case
        unless with a name; None if the sentence gives no clean one.
    """
    sentence = parse(text)
    if sentence is None:
        return None
    value = _written(sentence.value)
    if value.startswith("$"):  # "$6 more dollars"
        tail = " ".join(re.sub(r"\bdollars?\b", "", sentence.tail).split())
        sentence = dataclasses.replace(sentence, tail=tail)
    clause = _stated_before(sentence, value) or _stated(sentence, value)
    if clause is None or not _is_speakable(clause):
        return None
    return _uncapitalised(clause.replace("’", "'"), context)


def _stated(sentence: Sentence, value: str) -> str | None:
    """The main clause with the value in the place of the calculation."""
    tail = _clean_tail(sentence.tail)
    head = _main_clause(sentence.head)
    if head is None or tail is None:
        return None
    return " ".join(filter(None, [head, value, tail])) if head else _stated_alone(value, tail)


def _stated_alone(value: str, tail: str) -> str | None:
    """What a sentence without a head states: "30 children are boys", "that's 6 eggs"."""
    words = _words(tail)
    if words & _VERBS:
        return f"{value} {tail}"
    counted = tail and words.isdisjoint(("in", "for", "on"))
    return f"that's {value} {tail}".strip() if counted or value.startswith("$") else None


def _stated_before(sentence: Sentence, value: str) -> str | None:
    """What "The boys drink 72 cartons because 8 x 9 = 72" states before its reason."""
    reason = re.search(r"[,;]?\s+(?:because|since|as|and)$", sentence.head)
    if not reason:
        return None
    clause = _LEAD.sub("", sentence.head[: reason.start()])
    numbers = _NUMBERS.findall(clause)
    if not numbers or _written(numbers[-1].replace(",", "")).strip("$") != value.strip("$"):
        return None
    return clause if set(clause.lower().split()) & _VERBS and not _CONDITION.match(clause) else None


def _main_clause(head: str) -> str | None:
    """The last clause of what stands before the calculation; "" if there is none but fillers."""
    clause = _LEAD.sub("", f"{head} ").strip()
    if clause.endswith((":", "=")):
        return _named(clause)
    if "=" in clause:
        behind = clause[clause.rindex("=") :]
        clause = re.split(r",?\s+(?:and|so|while|but)\s+", behind, maxsplit=1)[-1]
    clause = _LEAD.sub("", f"{_NEW_CLAUSE.split(clause)[-1]} ").strip()
    if _CONDITION.match(clause):
        _, comma, main = clause.rpartition(", ")
        clause = _LEAD.sub("", f"{main} ").strip() if comma else "if"
    if not clause:
        return ""
    imperative = clause.lower().split()[0] in _IMPERATIVES
    return clause.removesuffix(",") if has_verb(clause) and not imperative else None


def _named(clause: str) -> str | None:
    """What "find the total cost:" and "His share =" name, as a subject: "the total cost is"."""
    task = _TASK.sub("", clause)
    subject = task.rstrip(":= ")
    is_noun = task != clause or _DETERMINED.match(subject)
    is_plain = _words(subject).isdisjoint(("how", "many", "what", "if"))
    is_short = len(subject.split()) <= _MAX_SUBJECT_WORDS
    return f"{subject} is" if is_noun and is_plain and is_short else None


def _clean_tail(tail: str) -> str | None:
    """What follows the value, up to where something new starts; None if that is too long."""
    if re.match(r"[^\w$]", tail):
        return ""
    tail = re.sub(r"(?<=[a-z])/(?=[a-z])", " per ", tail)
    words = _TAIL_END.split(f"{tail} ", maxsplit=1)[0].strip()
    words = re.split(r"\s*[$£€]?\d", words, maxsplit=1)[0]
    while _LOOSE_END.search(words):
        words = _LOOSE_END.sub("", words).strip()
    return words if len(words.split()) <= _MAX_TAIL_WORDS else None


def _written(value: str) -> str:
    """Value as people write it: "$21.00" -> "$21", "$3.5" -> "$3.50"."""
    if not value.startswith(("$", "£", "€")):
        return re.sub(r"\.0+$", "", value)
    pounds, _, pence = value.partition(".")
    return pounds if not pence.strip("0") else f"{pounds}.{pence:<02}"


def _is_speakable(clause: str) -> bool:
    words = clause.split()
    return (
        len(words) <= _MAX_WORDS
        and not _UNSPEAKABLE.search(clause)
        and len(_NUMBERS.findall(clause)) <= _MAX_NUMBERS
        and not _words(clause) & _SAYS_HOW
    )


def has_verb(clause: str) -> bool:
    """Whether a clause has a finite verb after something else: "he has", "that's", not "has"."""
    words = clause.lower().replace("’", "'").split()
    verbs = [place for place, word in enumerate(words) if word in _VERBS]
    return bool(verbs) and (verbs[0] > 0 or "'" in words[0])


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z'’]+", text.lower()))


def _uncapitalised(clause: str, context: str) -> str:
    first = re.match(r"[\w'-]*", clause)[0].lower()
    common = first in _STARTERS or re.search(rf"(?<![\w'’-]){first}(?![\w'’-])", context)
    return first + clause[len(first) :] if common else clause
