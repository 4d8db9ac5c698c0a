"""The network that a stage starts from: a checkpoint, or nothing; knows no step and no loop."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jax.sharding import Mesh

from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.core import bucket
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.data.talker_steps import fit_feed
from reasoner_jax.data.transforms import Frontend
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.presets import preset
from reasoner_jax.text.chat import render_prompt
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS, SCHEDULE_TOKENS
from reasoner_jax.text.tokenizer import Tokenizer, train_bpe
from reasoner_jax.training.stage import Stage
from reasoner_jax.training.talker_start import with_codebook
from reasoner_jax.weights.load import extend_vocabulary, load
from reasoner_jax.weights.manifest import Manifest

FIT = "fit"
"""In place of a codec's directory: fit one to the responses of the lessons."""

_VOCABULARY_TEXTS = 20_000
_CODEC_UTTERANCES = 400


def build(
    stage: Stage, datasets: Sequence[SpokenDataset], directory: Path, mesh: Mesh | None
) -> Omni:
    """The network before the first step, with the vocabulary, reply format and codec of the stage.

    Args:
        stage: `init_from`, `model`, `reply`, `codec`.
        datasets: of its lessons; a vocabulary is learned from them where there is none, and a
            codec fitted to the spoken responses.
        directory: of the run, where a fitted codec is kept.
        mesh: where the parameters go.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: `init_from` cannot be read, see
            `weights.load`; or a codec's directory is missing.
    """
    compute = stage.model.compute
    if stage.init_from:
        omni = load(stage.init_from, compute, mesh)
        known = omni.tokenizer.special_tokens if omni.tokenizer is not None else {}
        if any(token not in known for token in SCHEDULE_TOKENS):
            omni = extend_vocabulary(omni, stage.train.seed)
    else:
        sizes = preset(stage.model.preset)
        tokenizer = learn_vocabulary(datasets, sizes.thinker.vocab_size, stage.reply.system)
        omni = Omni.create(sizes, compute, stage.train.seed, tokenizer=tokenizer, mesh=mesh)
    manifest = omni.origin or Manifest(omni.config)
    if stage.codec:
        # A codec is fitted in seconds, and always to the same: a bucket needs no copy of it.
        home = bucket.scratch() if bucket.is_remote(directory) else directory
        files = fit_codec(datasets, home / "codec") if stage.codec == FIT else stage.codec
        manifest = dataclasses.replace(manifest, codec_files=Path(files))
    if stage.codec == FIT:
        omni = paced(omni, datasets, MelVQ.load(manifest.codec_files))
    return dataclasses.replace(omni, reply_format=stage.reply.format, origin=manifest)


def frontend_of(omni: Omni) -> Frontend:
    """How a network wants text and sound; its codec makes the talker's targets, if it has one.

    Raises:
        ValueError: it has no tokenizer, or a codec that does not fit its talker.
    """
    if omni.tokenizer is None:
        raise ValueError("the network has no tokenizer; its checkpoint needs tokenizer.json")
    audio, talker = omni.config.thinker.audio, omni.config.talker
    files = omni.origin.codec_files if omni.origin is not None else None
    codec = None if files is None else MelVQ.load(files)
    if codec is not None and talker is not None and codec.codebook_size > talker.vocab_size:
        raise ValueError(
            f"the codec of {files} has {codec.codebook_size} codes, the talker knows "
            f"{talker.vocab_size}; fit one of another size"
        )
    return Frontend(
        omni.tokenizer,
        audio.num_mel_bins,
        audio.chunk_frames,
        speech_encoder=codec,
        talker=talker,
    )


def paced(omni: Omni, datasets: Iterable[SpokenDataset], codec: MelVQ) -> Omni:
    """The network with a talker that reads the response alone, at the pace of the codec's voice.

    Its tables start from the codebook. A talker that has a pace already stays as it is: what it has
    learned goes by it.

    Raises:
        ValueError: no tokenizer or talker, or no response that is spoken.
    """
    talker = omni.talker.config
    if talker.text_feed is not None:
        return omni
    if omni.tokenizer is None:
        raise ValueError("the network has no tokenizer; its checkpoint needs tokenizer.json")
    feed = fit_feed(datasets, omni.tokenizer, codec.num_codes)
    talker = dataclasses.replace(talker, text_feed=feed, reads_prompt=False)
    config = dataclasses.replace(omni.config, talker=talker)
    params = {**omni.params, "talker": with_codebook(omni.params["talker"], codec.centres)}
    return dataclasses.replace(omni, config=config, params=params)


def fit_codec(datasets: Iterable[SpokenDataset], directory: Path) -> Path:
    """A codec fitted to the spoken responses of the data sets; one that is there already stays.

    Raises:
        ValueError: no response is spoken.
    """
    if directory.is_dir():
        return directory
    spoken = (
        (dataset, index)
        for dataset in datasets
        for index in range(len(dataset))
        if dataset.outline(index).num_response_samples
    )
    chosen = itertools.islice(spoken, _CODEC_UTTERANCES)
    waveforms = [dataset.response_waveform(index) for dataset, index in chosen]
    if not waveforms:
        raise ValueError(
            "codec is 'fit', but no response of the lessons is spoken; make a data set with "
            "--config.speak.response.share=1.0"
        )
    MelVQ.fit(waveforms).save(directory)
    return directory


def learn_vocabulary(datasets: Iterable[SpokenDataset], num_rows: int, system: str) -> Tokenizer:
    """A byte-level BPE of all that is said, asked and thought in the data sets."""

    def texts() -> Iterator[str]:
        yield from [render_prompt("What?", 0, system)] * 8  # the chat's own words
        for dataset in datasets:
            for index in range(min(len(dataset), _VOCABULARY_TEXTS)):
                outline = dataset.outline(index)
                yield from (outline.spoken_question, outline.reasoning, outline.response)

    return train_bpe(texts(), num_rows, FROM_SCRATCH_TOKENS)
