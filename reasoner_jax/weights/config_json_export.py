"""`OmniConfig` -> config.json, for a checkpoint that came with one and for one born here.

Knows no weights; the keys are those of `weights.config_json`.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from reasoner_jax.core.params import flatten
from reasoner_jax.models.config import DecoderConfig, OmniConfig, ThinkerConfig
from reasoner_jax.weights.config_json import (
    AUDIO,
    AUDIO_IDS,
    BIGVGAN,
    DECODER,
    DIT,
    MODEL_TYPE,
    TALKER,
    Fields,
    parse,
)

Json = dict[str, Any]

VISION_WIDTH = 32


def update(original: Mapping[str, Any], config: OmniConfig, dtype: str) -> Json:
    """The config.json a checkpoint came with, made true for what it has become.

    Everything stays as it was except the number of embedding rows, whether there is a talker, a
    tie that only transformers 4 would see, and the type of the weights, in which transformers
    loads them.

    Raises:
        ValueError: `config` differs from `original` in anything else.
    """
    raw = copy.deepcopy(dict(original))
    thinker, has_head = raw["thinker_config"], not config.thinker.tie_embeddings
    if not has_head:
        thinker["tie_word_embeddings"] = True
    before = parse(raw, has_head)
    if config.thinker.vocab_size != before.thinker.vocab_size:
        thinker.setdefault("text_config", {})["vocab_size"] = config.thinker.vocab_size
    if config.talker is None and before.talker is not None:
        raw["enable_audio_output"] = False
    if raw.get("dtype", raw.get("torch_dtype", dtype)) != dtype:
        _set_dtype(raw, dtype)
    _check_same(config, parse(raw, has_head))
    return raw


def _set_dtype(section: Json, dtype: str) -> None:
    keys = [key for key in ("dtype", "torch_dtype") if section.get(key) is not None]
    section.update(dict.fromkeys(keys, dtype))
    for key, value in section.items():
        if isinstance(value, dict) and key != "token2wav_config":
            _set_dtype(value, dtype)


def _check_same(config: OmniConfig, written: OmniConfig) -> None:
    now, said = flatten(config.to_dict()), flatten(written.to_dict())
    wrong = [
        f"{key.replace('/', '.')}: {said.get(key)} in config.json, {now.get(key)} now"
        for key in sorted(now.keys() | said.keys())
        if now.get(key) != said.get(key)
    ]
    if wrong:
        raise ValueError(
            "the network is no longer that of the config.json it came with:\n  "
            + "\n  ".join(wrong)
            + "\ndrop that file from the manifest, and a new one is generated"
        )


def generate(config: OmniConfig, dtype: str) -> Json:
    """A config.json for a network that was born here, in the 2025 layout, which all versions read.

    transformers always builds a visual tower; this one has no layers, see `VISION_WIDTH`.

    Raises:
        ValueError: a talker without token2wav, a CTC head or an encoder that halves early, none of
            which transformers can load.
    """
    if config.thinker.blank_token_id is not None:
        raise ValueError(
            "the network spells what it hears (thinker.blank_token_id), and transformers has no "
            "such model; keep it as a checkpoint of ours"
        )
    if config.thinker.audio.halves_early:
        raise ValueError(
            "the audio encoder halves its frames early (halves_early), and transformers has no "
            "such model; keep it as a checkpoint of ours"
        )
    if (config.talker is None) != (config.token2wav is None):
        raise ValueError(
            "the network has a talker but not Qwen's token2wav (it speaks through another codec), "
            "and transformers has no such model; export the thinker alone"
        )
    raw = {
        "architectures": ["Qwen2_5OmniForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "torch_dtype": dtype,
        "enable_audio_output": config.talker is not None,
        "thinker_config": _thinker_section(config.thinker),
    }
    if config.talker is not None and config.token2wav is not None:
        dit, bigvgan = config.token2wav.dit, config.token2wav.bigvgan
        raw["talker_config"] = {
            **_section_of(TALKER, config.talker),
            **_section_of(AUDIO_IDS, config.thinker),
            **dict(_decoder_section(config.talker.decoder)),
        }
        raw["token2wav_config"] = {
            "dit_config": _section_of(DIT, dit) | {"rope_theta": dit.rope_theta},
            "bigvgan_config": _section_of(BIGVGAN, bigvgan),
        }
    return raw


def _thinker_section(config: ThinkerConfig) -> Json:
    audio = _section_of(AUDIO, config.audio) | {"n_window": config.audio.chunk_frames // 2}
    text = dict(_decoder_section(config.decoder)) | {
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
    }
    vision = {
        "depth": 0,
        "hidden_size": VISION_WIDTH,
        "intermediate_size": VISION_WIDTH,
        "num_heads": 2,
        "out_hidden_size": config.decoder.width,
        "fullatt_block_indexes": [],
    }
    return {
        **_section_of(AUDIO_IDS, config),
        "tie_word_embeddings": config.tie_embeddings,
        "audio_config": audio,
        "text_config": text,
        "vision_config": vision,
    }


def unused_shapes(config: OmniConfig) -> dict[str, tuple[int, ...]]:
    """Tensors that transformers wants beside ours for a generated config.json; any values do.

    The visual tower of no layers, and the audio table that the reference creates and never reads.
    """
    width, merged = VISION_WIDTH, 4 * VISION_WIDTH
    output = config.thinker.decoder.width
    return {
        "thinker.audio_tower.audio_bos_eos_token.weight": (2, config.thinker.audio.output_width),
        "thinker.visual.patch_embed.proj.weight": (width, 3, 2, 14, 14),
        "thinker.visual.merger.ln_q.weight": (width,),
        "thinker.visual.merger.mlp.0.weight": (merged, merged),
        "thinker.visual.merger.mlp.0.bias": (merged,),
        "thinker.visual.merger.mlp.2.weight": (output, merged),
        "thinker.visual.merger.mlp.2.bias": (output,),
    }


def _section_of(fields: Fields, config: Any) -> Json:
    return {keys[0]: _lists(getattr(config, field)) for field, keys, _ in fields}


def _decoder_section(config: DecoderConfig) -> Iterator[tuple[str, Any]]:
    yield from _section_of(DECODER, config).items()
    yield "num_key_value_heads", config.num_kv_heads
    yield "head_dim", config.head_dim
    yield "rope_theta", config.rope_theta
    yield "rope_scaling", {"type": "default", "mrope_section": list(config.mrope_section)}


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value
