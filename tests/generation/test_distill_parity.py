"""Given responses are spoken code by code as the original speaks them: live, greedy, in float32."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import (  # noqa: E402
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
)

import reasoner_jax as rj  # noqa: E402
from reasoner_jax.data.dataset import Outline  # noqa: E402
from reasoner_jax.generation.distill import Distiller  # noqa: E402
from reasoner_jax.generation.sampling import Draw  # noqa: E402
from tests.data.problems import TOKENIZER, spoken_problem  # noqa: E402
from tests.models.reference import IDS, hf_config  # noqa: E402

pytestmark = pytest.mark.torch

VOCAB = TOKENIZER.vocab_size + 16
NUM_CODES = 24
END, PAD, MASK = 44, 45, 46
IM_END = TOKENIZER.token_id("<|im_end|>")
SPEAKER = TOKENIZER.token_id("<|speak|>")
"""Any token may start a voice."""
RESPONSES = ["Well, let me think about it.", "Two."]


def config() -> Qwen2_5OmniConfig:
    """The reference's, with the vocabulary of our tokenizer."""
    plain = hf_config(groups=3, kv_heads=2, tie=False).to_dict()
    ids = {name: VOCAB - 8 + place for place, name in enumerate(IDS)}
    ids["audio_token_index"] = TOKENIZER.token_id("<|AUDIO|>")
    ids["audio_start_token_id"] = TOKENIZER.token_id("<|audio_bos|>")
    ids["audio_end_token_id"] = TOKENIZER.token_id("<|audio_eos|>")
    thinker, talker = plain["thinker_config"], plain["talker_config"]
    thinker.update(ids)
    thinker["text_config"]["vocab_size"] = VOCAB
    talker.update(ids, tts_text_start_token_id=0, tts_text_end_token_id=1, tts_text_pad_token_id=2)
    return Qwen2_5OmniConfig(**plain)


@functools.cache
def reference():
    torch.manual_seed(0)
    model = Qwen2_5OmniForConditionalGeneration(config()).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
        else:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def distiller(tmp_path_factory) -> Distiller:
    folder = tmp_path_factory.mktemp("released")
    reference().save_pretrained(folder)
    TOKENIZER.save(folder)
    voice = dict(bos_token=SPEAKER, cond=torch.zeros(1, 8), ref_mel=torch.zeros(1, 30, 80))
    torch.save({"Chelsie": voice}, folder / "spk_dict.pt")
    return Distiller.of(rj.load(folder), draw=Draw(), rows=3)


def theirs(scripts, monkeypatch) -> list[np.ndarray]:
    """Codes of `generate`, its thinker made to write the responses."""
    model, heard = reference(), []

    def record(code, **_):
        heard.append(code[0].numpy())
        return torch.zeros(1)

    monkeypatch.setattr(model.token2wav, "forward", record)
    voice = dict(bos_token=SPEAKER, cond=torch.zeros(1, 8), ref_mel=torch.zeros(1, 30, 80))
    monkeypatch.setattr(model, "speaker_map", {"Chelsie": voice}, raising=False)
    longest = max(script.num_prompt for script in scripts)
    prompts = [script.tokens[: script.num_prompt] for script in scripts]
    tokens = np.stack([np.pad(prompt, (longest - len(prompt), 0)) for prompt in prompts])
    mask = np.stack([np.arange(longest) >= longest - len(prompt) for prompt in prompts])

    def dictate(row, so_far):
        written = scripts[row].tokens[scripts[row].num_prompt :].tolist()
        return [(written + [IM_END] * longest)[len(so_far) - longest]]

    model.generate(
        input_ids=torch.tensor(tokens),
        attention_mask=torch.tensor(mask.astype(int)),
        thinker_max_new_tokens=max(len(s.tokens) - s.num_prompt for s in scripts),
        thinker_do_sample=False,
        thinker_eos_token_id=IM_END,
        thinker_pad_token_id=IM_END,
        thinker_prefix_allowed_tokens_fn=dictate,
        talker_max_new_tokens=NUM_CODES,
        talker_do_sample=False,
        talker_repetition_penalty=1.0,
        talker_eos_token_id=[END, PAD],
        talker_bad_words_ids=[[MASK], [MASK + 1]],
    )
    return heard


def test_two_responses_are_spoken_as_the_original_speaks_them(distiller, monkeypatch):
    outlines = [Outline.of(spoken_problem(10**n, response=r)) for n, r in enumerate(RESPONSES)]
    scripts = [distiller.script(outline) for outline in outlines]
    expected = theirs(scripts, monkeypatch)
    _, codes = distiller.stream.speak(distiller.start(scripts), NUM_CODES)
    assert [len(silent) for silent in codes[2:]] == [0, 0]
    for got, wanted in zip(codes[:2], expected, strict=True):
        assert len(set(wanted.tolist())) > 2
        np.testing.assert_array_equal(got, wanted)
