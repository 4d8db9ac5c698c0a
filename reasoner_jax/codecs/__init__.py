"""Speech codes to sound and back: the codec that a checkpoint speaks with; knows no talker."""

from typing import Any

import numpy as np

from reasoner_jax.codecs.base import CodecDecoder
from reasoner_jax.core.axes import Float
from reasoner_jax.models.omni import Omni

__all__ = ["centres_of", "codec_of"]


def codec_of(omni: Omni, voice: str | None = None) -> CodecDecoder[Any]:
    """The codec that turns a network's codes into sound.

    A codec of our own lies beside the checkpoint's parameters (`Manifest.codec_files`) and has one
    voice; Qwen's token2wav is a part of the network and speaks in any of the checkpoint's voices.

    Args:
        omni: from `reasoner_jax.load`.
        voice: by name; the first by default.

    Raises:
        ValueError: no codec, no such voice, or a codec file that is damaged.
    """
    # Here, so that who only fits or encodes does not wait for the networks.
    from reasoner_jax.codecs.mel_vq import MelVQ
    from reasoner_jax.codecs.qwen import QwenCodec

    files = getattr(omni.origin, "codec_files", None)
    if files is not None:
        return MelVQ.load(files)
    if omni.config.token2wav is None:
        raise ValueError(
            "the checkpoint has no codec, so its talker's codes make no sound; train the talker "
            "with a codec (stage 5), or load a checkpoint that has token2wav"
        )
    names = list(omni.voices)
    name = voice or (names[0] if names else "")
    if name not in omni.voices:
        raise ValueError(f"no voice {name!r}, expected one of {names}; spk_dict.pt holds them")
    return QwenCodec.of(omni.token2wav, omni.params["token2wav"], omni.voices[name])


def centres_of(omni: Omni) -> Float[np.ndarray, "C M"] | None:
    """What each code of a network's own codec stands for; None without such a codec.

    Raises:
        ValueError: a codec file that is damaged.
    """
    from reasoner_jax.codecs.mel_vq import MelVQ

    files = getattr(omni.origin, "codec_files", None)
    return None if files is None else MelVQ.load(files).centres
