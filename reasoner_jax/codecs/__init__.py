"""Speech codes to sound and back: the codec that a checkpoint speaks with; knows no talker."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from reasoner_jax.codecs.base import CodecDecoder
from reasoner_jax.codecs.mel_vq import FILE_NAME, MelVQ
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
    own = _own_codec(omni)
    if own is not None:
        return own
    if omni.config.token2wav is None:
        raise ValueError(
            "the checkpoint has no codec, so its talker's codes make no sound; train the talker "
            "with a codec (stage 5), or load a checkpoint that has token2wav"
        )
    names = list(omni.voices)
    name = voice or (names[0] if names else "")
    if name not in omni.voices:
        raise ValueError(f"no voice {name!r}, expected one of {names}; spk_dict.pt holds them")
    # Here, so that who only fits or encodes does not wait for the networks.
    from reasoner_jax.codecs.qwen import QwenCodec

    return QwenCodec.of(omni.token2wav, omni.params["token2wav"], omni.voices[name])


def centres_of(omni: Omni) -> Float[np.ndarray, "C M"] | None:
    """What each code of a network's own codec stands for; None without such a codec.

    Raises:
        ValueError: a codec file that is damaged.
    """
    own = _own_codec(omni)
    return None if own is None else own.centres


def _own_codec(omni: Omni) -> MelVQ | None:
    files = getattr(omni.origin, "codec_files", None)
    if files is None:
        return None
    path = Path(files, FILE_NAME)
    return _loaded(Path(files), path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=2)
def _loaded(files: Path, changed_ns: int) -> MelVQ:
    """Read once, not for every question: the first sound waits for it."""
    del changed_ns  # another file has another codec
    return MelVQ.load(files)
