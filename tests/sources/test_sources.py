import pytest

from reasoner_jax.sources import SOURCES, source


def test_every_corpus_says_its_name_and_licence():
    for name in SOURCES:
        options = {"num_problems": 1} if name in ("simple_op", "spoken_facts") else {}
        corpus = source(name, **options)
        assert corpus.name == name
        assert corpus.licence


def test_unknown_corpora_and_options_are_named():
    with pytest.raises(ValueError, match=r"no corpus 'gsm9k'; expected one of \['gsm8k'"):
        source("gsm9k")
    with pytest.raises(ValueError, match=r"corpus 'gsm8k': .*colour"):
        source("gsm8k", colour="red")
