"""One call loads any layout onto any mesh, and what was saved is what comes back."""

import dataclasses

import jax
import numpy as np
import pytest

import reasoner_jax as rj
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.special_tokens import SCHEDULE_TOKENS
from reasoner_jax.text.tokenizer import train_bpe
from tests.models.networks import omni_config
from tests.weights import tiny_checkpoint

TOKENS = np.array([[3, 1, 4, 1, 5]])


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tiny_checkpoint.write(tmp_path_factory.mktemp("checkpoint") / "hf", num_shards=2)


@pytest.fixture(scope="module")
def omni(directory):
    return rj.load(directory)


def test_a_mesh_gets_the_same_network(directory, omni):
    mesh = rj.make_mesh(data=2, fsdp=2, tensor=2)
    spread = rj.load(directory, mesh=mesh)
    kernel = spread.params["thinker"]["lm_head"]["kernel"]
    assert kernel.sharding.spec == jax.sharding.PartitionSpec("fsdp", "tensor")
    # Scores reach 10, so this is rounding.
    np.testing.assert_allclose(spread.logits(TOKENS), omni.logits(TOKENS), atol=1e-4)


def test_what_was_saved_is_what_loads(omni, tmp_path):
    rj.save(tmp_path / "ours", omni)
    again = rj.load(tmp_path / "ours", compute=rj.Compute(scan_layers=False))
    assert again.config == omni.config and again.voices.keys() == omni.voices.keys()
    np.testing.assert_allclose(again.logits(TOKENS), omni.logits(TOKENS), atol=1e-5)


def test_saving_over_something_is_refused(omni, tmp_path):
    (tmp_path / "precious").write_text("")
    with pytest.raises(ValueError, match="not empty"):
        rj.save(tmp_path, omni)


def test_a_network_for_serving_is_not_what_one_saves(omni, tmp_path):
    with pytest.raises(ValueError, match="fused"):
        rj.save(tmp_path / "new", omni.for_serving())


def test_the_schedule_tokens_get_rows_and_are_saved_with_them(omni, tmp_path):
    words = train_bpe(["what is two and two"] * 4, 280, ["<|im_end|>"])
    grown = rj.extend_vocabulary(dataclasses.replace(omni, tokenizer=words))
    rows = grown.config.thinker.vocab_size
    ids = [grown.tokenizer.token_id(token) for token in SCHEDULE_TOKENS]
    assert rows % 64 == 0 and max(ids) < grown.tokenizer.vocab_size <= rows
    assert grown.logits(TOKENS).shape[-1] == rows
    np.testing.assert_allclose(grown.logits(TOKENS)[..., :48], omni.logits(TOKENS), atol=1e-5)
    rj.save(tmp_path / "grown", grown)
    again = rj.load(tmp_path / "grown")
    assert [again.tokenizer.token_id(token) for token in SCHEDULE_TOKENS] == ids
    np.testing.assert_allclose(again.logits(TOKENS), grown.logits(TOKENS), atol=1e-5)


def test_no_token_takes_an_id_that_the_talker_uses(omni):
    words = train_bpe(["a"], 260, [])
    talker = dataclasses.replace(omni.config.talker, text_start_token_id=words.vocab_size + 1)
    config = dataclasses.replace(omni.config, talker=talker)
    grown = rj.extend_vocabulary(dataclasses.replace(omni, config=config, tokenizer=words))
    ids = [grown.tokenizer.token_id(token) for token in SCHEDULE_TOKENS]
    assert talker.text_start_token_id not in ids


def test_a_network_without_a_tokenizer_cannot_grow(omni):
    with pytest.raises(ValueError, match="no tokenizer"):
        rj.extend_vocabulary(omni)


def test_a_network_born_here_is_saved_too(tmp_path):
    omni = Omni.create(omni_config())
    rj.save(tmp_path / "born", omni)
    np.testing.assert_array_equal(rj.load(tmp_path / "born").logits(TOKENS), omni.logits(TOKENS))


def test_a_path_that_is_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        rj.load(tmp_path / "nowhere")
