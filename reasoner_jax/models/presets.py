"""The sizes we train and test at, by name. A real checkpoint's sizes come from its config.json.

tiny   trains on a laptop from nothing; no codec of its own (uses `codecs.mel_vq`)
smol   SmolLM2-135M with Whisper-tiny's ears
3b     Qwen2.5-Omni-3B
7b     Qwen2.5-Omni-7B
"""

import dataclasses

from reasoner_jax.models.config import (
    AudioEncoderConfig,
    BigVGANConfig,
    DecoderConfig,
    DiTConfig,
    OmniConfig,
    TalkerConfig,
    ThinkerConfig,
    Token2WavConfig,
)

_WHISPER_LARGE = AudioEncoderConfig(
    num_mel_bins=128, width=1280, mlp_width=5120, num_layers=32, num_heads=20, output_width=2048
)

_QWEN_TOKEN2WAV = Token2WavConfig(
    dit=DiTConfig(
        width=1024,
        num_layers=22,
        num_heads=16,
        head_dim=64,
        mlp_ratio=2,
        code_embed_width=512,
        num_codes=8193,
        num_mel_bins=80,
        block_frames=24,
        look_ahead_layers=(10,),
        look_backward_layers=(0, 20),
        frames_per_code=2,
        rope_theta=10_000.0,
        max_frames=32768,
        speaker_width=192,
        encoder_width=128,
        encoder_channels=(256, 256, 256, 256, 768),
        encoder_kernel_sizes=(5, 3, 3, 3, 1),
        encoder_dilations=(1, 2, 3, 4, 1),
        encoder_attention_channels=64,
        encoder_res2net_scale=2,
        encoder_se_channels=64,
    ),
    bigvgan=BigVGANConfig(
        num_mel_bins=80,
        channels=1536,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilations=((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        upsample_rates=(5, 3, 2, 2, 2, 2),
        upsample_kernel_sizes=(11, 7, 4, 4, 4, 4),
    ),
)

_QWEN_AUDIO_IDS = dict(
    audio_token_id=151646, audio_start_token_id=151647, audio_end_token_id=151648
)

_QWEN_TALKER_IDS = dict(
    text_start_token_id=151860,
    text_end_token_id=151861,
    text_pad_token_id=151859,
    codec_start_token_id=8293,
    codec_end_token_id=8294,
    codec_pad_token_id=8292,
    codec_mask_token_id=8296,
)

OMNI_3B = OmniConfig(
    thinker=ThinkerConfig(
        vocab_size=151936,
        decoder=DecoderConfig(
            width=2048,
            mlp_width=11008,
            num_layers=36,
            num_heads=16,
            num_kv_heads=2,
            head_dim=128,
            mrope_section=(16, 24, 24),
        ),
        audio=_WHISPER_LARGE,
        tie_embeddings=False,
        **_QWEN_AUDIO_IDS,
    ),
    talker=TalkerConfig(
        vocab_size=8448,
        embedding_width=2048,
        decoder=DecoderConfig(
            width=896,
            mlp_width=4864,
            num_layers=24,
            num_heads=14,
            num_kv_heads=2,
            head_dim=64,
            mrope_section=(16, 16, 0),
        ),
        **_QWEN_TALKER_IDS,
    ),
    token2wav=_QWEN_TOKEN2WAV,
)

OMNI_7B = OmniConfig(
    thinker=ThinkerConfig(
        vocab_size=152064,
        decoder=DecoderConfig(
            width=3584,
            mlp_width=18944,
            num_layers=28,
            num_heads=28,
            num_kv_heads=4,
            head_dim=128,
            mrope_section=(16, 24, 24),
        ),
        audio=dataclasses.replace(_WHISPER_LARGE, output_width=3584),
        tie_embeddings=False,
        **_QWEN_AUDIO_IDS,
    ),
    talker=TalkerConfig(
        vocab_size=8448,
        embedding_width=3584,
        decoder=DecoderConfig(
            width=896,
            mlp_width=18944,
            num_layers=24,
            num_heads=12,
            num_kv_heads=4,
            head_dim=128,
            mrope_section=(16, 24, 24),
        ),
        **_QWEN_TALKER_IDS,
    ),
    token2wav=_QWEN_TOKEN2WAV,
)

# A codebook of 2048 (codecs.mel_vq) with the talker's four control codes behind it.
_OUR_TALKER = dict(
    codec_start_token_id=2048,
    codec_end_token_id=2049,
    codec_pad_token_id=2050,
    codec_mask_token_id=2051,
    # Hidden states tell replies apart better than words. A code of 130 held-out responses, by a
    # talker taught with 746 others, costs 1.88 nats with all of a hidden state, 1.72 with a tenth,
    # 1.73 with nothing of it.
    hidden_share=0.1,
)

SMOL = OmniConfig(
    thinker=ThinkerConfig(
        # 49,152 words of SmolLM2, then ours.
        vocab_size=49280,
        decoder=DecoderConfig(
            width=576,
            mlp_width=1536,
            num_layers=30,
            num_heads=9,
            num_kv_heads=3,
            head_dim=64,
            mrope_section=(16, 8, 8),
            rope_theta=100_000.0,
            norm_eps=1e-5,
            max_length=8192,
        ),
        audio=AudioEncoderConfig(
            num_mel_bins=80, width=384, mlp_width=1536, num_layers=4, num_heads=6, output_width=576
        ),
        tie_embeddings=True,
        audio_token_id=49152,
        audio_start_token_id=49153,
        audio_end_token_id=49154,
    ),
    talker=TalkerConfig(
        vocab_size=2112,
        embedding_width=576,
        decoder=DecoderConfig(
            width=384,
            mlp_width=1024,
            num_layers=8,
            num_heads=6,
            num_kv_heads=2,
            head_dim=64,
            mrope_section=(16, 8, 8),
        ),
        text_start_token_id=49155,
        text_end_token_id=49156,
        text_pad_token_id=49157,
        **_OUR_TALKER,
    ),
)

# Learns from nothing on two CPU cores in minutes: an encoder that halves early, chunks of 3.2
# seconds, since questions are short and a word that a border cuts is hard to spell, and a CTC head,
# see `Thinker.hear`.
TINY = OmniConfig(
    thinker=ThinkerConfig(
        vocab_size=1024,
        decoder=DecoderConfig(
            width=128,
            mlp_width=384,
            num_layers=4,
            num_heads=4,
            num_kv_heads=2,
            head_dim=32,
            mrope_section=(4, 6, 6),
            rope_theta=10_000.0,
            max_length=4096,
        ),
        audio=AudioEncoderConfig(
            num_mel_bins=80,
            width=128,
            mlp_width=512,
            num_layers=3,
            num_heads=4,
            output_width=128,
            chunk_frames=320,
            halves_early=True,
        ),
        tie_embeddings=True,
        audio_token_id=4,
        audio_start_token_id=3,
        audio_end_token_id=5,
        blank_token_id=6,
    ),
    talker=TalkerConfig(
        vocab_size=2112,
        embedding_width=128,
        decoder=DecoderConfig(
            width=192,
            mlp_width=512,
            num_layers=4,
            num_heads=6,
            num_kv_heads=2,
            head_dim=32,
            mrope_section=(4, 6, 6),
        ),
        text_start_token_id=0,
        text_end_token_id=1,
        text_pad_token_id=2,
        **_OUR_TALKER,
    ),
)

PRESETS = {"tiny": TINY, "smol": SMOL, "3b": OMNI_3B, "7b": OMNI_7B}


def preset(name: str) -> OmniConfig:
    """The sizes called `name`.

    Raises:
        ValueError: there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
