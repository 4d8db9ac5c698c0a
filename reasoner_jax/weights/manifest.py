"""What belongs to a network besides its parameters; knows neither directory layout.

A Hugging Face directory and a checkpoint of ours both hold one, so converting is reading a manifest
and parameters there, and writing them here.
"""

import dataclasses
import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.core import meta

from reasoner_jax.core.params import Params
from reasoner_jax.models.config import Compute, OmniConfig, TalkerConfig, Token2WavConfig
from reasoner_jax.models.omni import abstract_params
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.tokenizer import Tokenizer
from reasoner_jax.weights.safetensors_file import StoredTensor
from reasoner_jax.weights.voices import Voice

# The tokenizer, its chat template, and what the reference's processor and sampler read.
TEXT_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A checkpoint without its parameters.

    Attributes:
        config: sizes and token ids.
        original_config: the config.json it once came with; None for a network born here.
        text_files: directory that holds some of `TEXT_FILES`; None for a network that has none yet.
        tokenizer: written over the tokenizer of `text_files`, when tokens have been added since.
        voices: speakers by name.
        carried: tensors of the original that this project does not compute with, by name.
        reply_format: how the network was taught to be asked; None for one we did not teach.
        codec_files: directory of a codec that is not part of the parameters; None without one.
    """

    config: OmniConfig
    original_config: Mapping[str, Any] | None = None
    text_files: Path | None = None
    tokenizer: Tokenizer | None = None
    voices: Mapping[str, Voice] = dataclasses.field(default_factory=dict)
    carried: Mapping[str, StoredTensor] = dataclasses.field(default_factory=dict)
    reply_format: ReplyFormat | None = None
    codec_files: Path | None = None

    def __post_init__(self) -> None:
        talker, token2wav = self.config.talker, self.config.token2wav
        for name, voice in self.voices.items():
            _check_voice(name, voice, self.config.thinker.vocab_size, talker, token2wav)

    def thinker_only(self) -> "Manifest":
        """The same without talker, codec and voices: it writes, and does not speak."""
        config = dataclasses.replace(self.config, talker=None, token2wav=None)
        return dataclasses.replace(self, config=config, voices={})

    def copy_text_files(self, directory: Path) -> None:
        """Puts the tokenizer and its companions into an existing directory."""
        if self.text_files is not None:
            for name in TEXT_FILES:
                if (self.text_files / name).is_file():
                    shutil.copyfile(self.text_files / name, directory / name)
        if self.tokenizer is not None:
            self.tokenizer.save(directory)


def _check_voice(
    name: str,
    voice: Voice,
    vocab_size: int,
    talker: TalkerConfig | None,
    token2wav: Token2WavConfig | None,
) -> None:
    if talker is not None and not 0 <= voice.bos_token_id < vocab_size:
        raise ValueError(
            f"voice {name!r} starts with token {voice.bos_token_id}, the thinker has {vocab_size} "
            "embedding rows; the voices are of another checkpoint"
        )
    if token2wav is None:
        return
    got = (len(voice.speaker), voice.reference_mel.shape[1])
    expected = (token2wav.dit.speaker_width, token2wav.dit.num_mel_bins)
    if got != expected:
        raise ValueError(
            f"voice {name!r} has a speaker vector of {got[0]} and {got[1]} mel bins, token2wav "
            f"expects {expected[0]} and {expected[1]}; the voices are of another checkpoint"
        )


@functools.lru_cache(maxsize=8)
def expected_params(config: OmniConfig, compute: Compute) -> Params:
    """Shape and type of every parameter, unboxed; shared, so not to be changed.

    Tracing token2wav takes seconds, and a conversion needs the answer more than once.
    """
    return meta.unbox(abstract_params(config, compute))


def check_new_directory(directory: Path) -> None:
    """Refuses to write where something is.

    Raises:
        ValueError: `directory` exists and is not an empty directory.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory} exists and is not empty; choose another or remove it")


def make_new_directory(directory: Path) -> Path:
    """An empty sibling to write into, so that `directory` appears whole or not at all.

    Raises:
        ValueError: see `check_new_directory`.
    """
    check_new_directory(directory)
    partial = partial_of(directory)
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    return partial


def partial_of(directory: Path) -> Path:
    """Name of the sibling, the same in every process; one left behind is an interrupted write."""
    directory = directory.absolute()
    return directory.with_name(f".{directory.name}.partial")


def finish_new_directory(directory: Path) -> None:
    """Gives the finished sibling its name."""
    if directory.exists():
        directory.rmdir()
    partial_of(directory).rename(directory)
