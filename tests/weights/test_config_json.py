"""config.json in both layouts, what is missing, what is refused, and what is written back."""

import copy
import dataclasses
import json

import pytest

from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.presets import OMNI_3B, OMNI_7B, TINY
from reasoner_jax.weights.config_json import parse
from reasoner_jax.weights.config_json_export import generate, update
from tests.weights.tiny_checkpoint import config, published_config


def changed(path, value, raw=None):
    """A copy of the config with one key, "thinker_config.text_config.vocab_size", set."""
    raw = copy.deepcopy(raw or published_config())
    *sections, key = path.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    inner[key] = value
    return raw


def without(path):
    raw = published_config()
    *sections, key = path.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    del inner[key]
    return raw


def transformers_5(raw):
    """The same config as transformers 5 saves it: everything rotary in `rope_parameters`."""
    raw = copy.deepcopy(raw)
    for section in (raw["thinker_config"]["text_config"], raw["talker_config"]):
        rope = section.pop("rope_scaling")
        section["rope_parameters"] = {
            "rope_type": rope["type"],
            "rope_theta": section.pop("rope_theta"),
            "mrope_section": rope["mrope_section"],
        }
        section["sliding_window"] = None
        section["layer_types"] = ["full_attention"] * 2
    dit = raw["token2wav_config"]["dit_config"]
    for old, new in {"dim": "hidden_size", "depth": "num_hidden_layers"}.items():
        dit[new] = dit.pop(old)
    dit["num_attention_heads"] = dit.pop("heads")
    dit["rope_parameters"] = {"rope_theta": 10000.0, "rope_type": "default"}
    raw["dtype"] = raw.pop("torch_dtype")
    return raw


def test_the_published_layout_is_read():
    assert parse(published_config(), has_lm_head=True) == config()


def test_the_layout_of_transformers_5_is_read():
    assert parse(transformers_5(published_config()), has_lm_head=True) == config()


def test_an_empty_thinker_means_the_class_defaults_which_are_the_7b():
    raw = {"model_type": "qwen2_5_omni", "enable_audio_output": False, "thinker_config": {}}
    assert parse(raw, has_lm_head=True).thinker == OMNI_7B.thinker


def test_without_speech_there_is_no_talker():
    read = parse(changed("enable_audio_output", False), has_lm_head=True)
    assert read == OmniConfig(config().thinker)


def test_no_key_value_heads_means_as_many_as_heads():
    raw = changed("thinker_config.text_config.num_key_value_heads", None)
    assert parse(raw, True).thinker.decoder.num_kv_heads == 6


def test_head_width_follows_from_the_width_for_the_thinker_only():
    raw = without("thinker_config.text_config.head_dim")
    raw = changed("thinker_config.text_config.rope_scaling.mrope_section", [1, 1, 0], raw)
    assert parse(raw, True).thinker.decoder.head_dim == 24 // 6
    raw = changed(
        "talker_config.rope_scaling.mrope_section", [16, 24, 24], without("talker_config.head_dim")
    )
    assert parse(raw, True).talker.decoder.head_dim == 128


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("thinker_config.text_config.use_sliding_window", True),
        ("thinker_config.text_config.hidden_act", "gelu"),
        ("thinker_config.text_config.attention_dropout", 0.1),
        ("thinker_config.text_config.layer_types", ["full_attention", "sliding_attention"]),
        ("thinker_config.text_config.rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
        ("thinker_config.text_config.rope_scaling", {"type": "linear"}),
        ("thinker_config.text_config.rope_scaling.partial_rotary_factor", 0.5),
        ("thinker_config.audio_config.scale_embedding", True),
        ("thinker_config.audio_config.activation_function", "relu"),
        ("thinker_config.audio_config.dropout", 0.1),
        ("thinker_config.audio_config.activation_dropout", 0.1),
        ("talker_config.use_sliding_window", True),
        ("talker_config.hidden_act", "relu"),
        ("token2wav_config.dit_config.rope_parameters", {"rope_type": "dynamic"}),
    ],
)
def test_what_is_not_computed_here_is_refused_by_name(path, value):
    section = path.removesuffix(".partial_rotary_factor")
    with pytest.raises(ValueError, match=section.replace(".", r"\.")):
        parse(changed(path, value), has_lm_head=True)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model_type", "qwen2_5_omni_thinker", "model_type is 'qwen2_5_omni_thinker', expected"),
        ("thinker_config", None, "thinker_config is None, expected an object"),
        ("talker_config", 3, "talker_config is 3, expected an object"),
        ("thinker_config.text_config.hidden_size", "24", "hidden_size is '24', expected"),
        ("thinker_config.text_config.hidden_size", 24.5, "hidden_size is 24.5, expected"),
        ("thinker_config.text_config.num_hidden_layers", True, "is True, expected something like"),
        ("thinker_config.text_config.num_key_value_heads", 4, "multiple of num_kv_heads 4"),
        ("thinker_config.text_config.num_key_value_heads", 0, "text_config: "),
        ("thinker_config.text_config.head_dim", 12, "must sum to half of head_dim 12"),
        ("thinker_config.audio_config.num_hidden_layers", 32, "names of one thing"),
        ("thinker_config.audio_config.output_dim", 32, "output_dim is 32, expected .* 24"),
        ("talker_config.embedding_size", 32, "embedding_size is 32, expected .* 24"),
        ("token2wav_config.dit_config.mel_dim", 21, "mel_dim is 21, .*mel_dim 20"),
        ("token2wav_config.dit_config.look_ahead_layers", [0.5], r"is \[0\.5\], expected"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(path, value, message):
    with pytest.raises(ValueError, match=message):
        parse(changed(path, value), has_lm_head=True)


class TestTiedHead:
    def test_a_head_in_the_checkpoint_is_used_whatever_the_config_says(self):
        tied = changed(
            "thinker_config.text_config.tie_word_embeddings", True, published_config(True)
        )
        assert not parse(tied, has_lm_head=True).thinker.tie_embeddings

    @pytest.mark.parametrize("section", ["thinker_config", "thinker_config.text_config"])
    def test_without_a_head_either_flag_ties(self, section):
        raw = changed(f"{section}.tie_word_embeddings", True)
        assert parse(raw, has_lm_head=False).thinker.tie_embeddings

    def test_no_head_and_no_flag_is_a_contradiction_that_names_both(self):
        with pytest.raises(ValueError, match=r"thinker\.lm_head\.weight.*tie_word_embeddings"):
            parse(published_config(), has_lm_head=False)


class TestWritingBack:
    def test_nothing_changes_when_nothing_changed(self):
        for raw in (published_config(), transformers_5(published_config())):
            assert update(raw, config(), "float32") == raw

    def test_the_original_is_left_alone(self):
        raw = published_config()
        grown = dataclasses.replace(config().thinker, vocab_size=64)
        update(raw, dataclasses.replace(config(), thinker=grown), "bfloat16")
        assert raw == published_config()

    def test_a_resized_vocabulary_is_the_only_difference(self):
        grown = dataclasses.replace(config().thinker, vocab_size=64)
        written = update(
            published_config(), dataclasses.replace(config(), thinker=grown), "float32"
        )
        assert written == changed("thinker_config.text_config.vocab_size", 64)

    def test_the_type_of_the_weights_is_written_where_a_type_was(self):
        expected = changed("thinker_config.torch_dtype", "bfloat16")
        expected = changed("torch_dtype", "bfloat16", expected)
        assert update(published_config(), config(), "bfloat16") == expected

    def test_dropping_the_talker_switches_speech_off(self):
        written = update(published_config(), OmniConfig(config().thinker), "float32")
        assert written == changed("enable_audio_output", False)

    def test_a_tie_that_only_the_text_model_states_is_stated_for_transformers_5(self):
        raw = changed("thinker_config.text_config.tie_word_embeddings", True)
        written = update(raw, config(tie=True), "float32")
        assert written["thinker_config"]["tie_word_embeddings"] is True

    def test_any_other_difference_is_listed(self):
        other = dataclasses.replace(config().thinker, audio_token_id=7, vocab_size=64)
        with pytest.raises(ValueError, match=r"thinker\.audio_token_id: 40 in config.json, 7 now"):
            update(published_config(), dataclasses.replace(config(), thinker=other), "float32")


def known_to_transformers(thinker):
    """The thinker without what only networks from nothing have."""
    audio = dataclasses.replace(thinker.audio, halves_early=False)
    return dataclasses.replace(thinker, audio=audio, blank_token_id=None)


class TestBornHere:
    @pytest.mark.parametrize("born", [OMNI_3B, OMNI_7B, config(), config(tie=True)])
    def test_a_generated_config_reads_back(self, born):
        written = json.loads(json.dumps(generate(born, "float32")))
        assert parse(written, has_lm_head=not born.thinker.tie_embeddings) == born

    def test_a_thinker_alone_reads_back(self):
        born = OmniConfig(known_to_transformers(TINY.thinker))
        assert parse(generate(born, "bfloat16"), has_lm_head=False) == born

    def test_a_talker_with_another_codec_is_refused(self):
        silent = known_to_transformers(TINY.thinker)
        with pytest.raises(ValueError, match="talker but not Qwen's token2wav"):
            generate(dataclasses.replace(TINY, thinker=silent), "float32")

    def test_a_network_that_spells_is_refused(self):
        with pytest.raises(ValueError, match="spells what it hears"):
            generate(TINY, "float32")

    def test_an_encoder_that_halves_early_is_refused(self):
        thinker = dataclasses.replace(TINY.thinker, blank_token_id=None)
        with pytest.raises(ValueError, match="halves its frames early"):
            generate(OmniConfig(thinker), "float32")
