import pytest

from configs import data
from reasoner_jax.synthesis.recipe import Recipe
from tests.synthesis.recipes import text_recipe


@pytest.mark.parametrize("name", data.NAMES)
def test_every_recipe_builds_its_stages(name):
    recipe = Recipe(data.get_config(name).to_dict())
    pipeline = recipe.pipeline()
    speak = recipe.values["speak"]
    assert (pipeline.speech is not None) == speak["enabled"]
    if speak["enabled"]:
        voice = pipeline.speech.response_voice
        assert (voice is not None) == (speak["response"]["share"] > 0)
        assert voice is None or voice.voice_id in pipeline.speech.speakers["piper"].voice_ids


def test_no_recipe_of_another_name():
    with pytest.raises(ValueError, match="'gsm9k', expected one of"):
        data.get_config("gsm9k")


def test_equal_values_have_equal_digests():
    assert text_recipe().digest == text_recipe().digest
    assert text_recipe(seed=1).digest != text_recipe(seed=2).digest


def test_the_problems_are_the_same_when_values_went_through_json():
    import json

    recipe = text_recipe()
    from reasoner_jax.sources.base import Counts

    travelled = Recipe(json.loads(recipe.json()))
    assert list(travelled.problems(Counts())) == list(recipe.problems(Counts()))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("prepare.back_end", "magic", "prepare.back_end is 'magic'"),
        ("prepare.restate_share", 1.5, "restate_share: expected 0 to 1, got 1.5"),
        ("speak.use", ("piper", "parrot"), r"speak.use names \['parrot'\]"),
        ("speak.num_tries", 0, "num_tries is 0"),
        ("check.recognizer", "ear", "no speech recogniser 'ear'"),
    ],
)
def test_values_that_make_no_sense_are_named(path, value, message):
    config = data.get_config("quickstart")
    config.update_from_flattened_dict({path: value})
    with pytest.raises(ValueError, match=message):
        Recipe(config.to_dict()).pipeline()


def test_missing_and_unknown_values_are_named():
    values = data.get_config("quickstart").to_dict()
    del values["seed"]
    with pytest.raises(ValueError, match=r"lacks \['seed'\] and has unknown \['sead'\]"):
        Recipe({**values, "sead": 1})
    with pytest.raises(ValueError, match="no sources"):
        Recipe({**values, "seed": 0, "sources": {}})
