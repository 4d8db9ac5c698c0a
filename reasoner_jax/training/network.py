"""The network that a stage starts from: a checkpoint, or nothing; knows no step and no loop."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jax.sharding import Mesh

from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.presets import preset
from reasoner_jax.text.chat import render_prompt
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS, SCHEDULE_TOKENS
from reasoner_jax.text.tokenizer import Tokenizer, train_bpe
from reasoner_jax.training.stage import Stage
from reasoner_jax.weights.load import extend_vocabulary, load
from reasoner_jax.weights.manifest import Manifest

_VOCABULARY_TEXTS = 20_000


def build(stage: Stage, datasets: Sequence[SpokenDataset], mesh: Mesh | None) -> Omni:
    """The network before the first step, with the vocabulary and reply format of the stage.

    Args:
        stage: `init_from`, `model`, `reply`, `codec`.
        datasets: of its lessons; a vocabulary is learned from them where there is none.
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
        manifest = dataclasses.replace(manifest, codec_files=_codec_files(stage.codec))
    return dataclasses.replace(omni, reply_format=stage.reply.format, origin=manifest)


def learn_vocabulary(datasets: Iterable[SpokenDataset], num_rows: int, system: str) -> Tokenizer:
    """A byte-level BPE of all that is said, asked and thought in the data sets."""

    def texts() -> Iterator[str]:
        yield from [render_prompt("What?", 0, system)] * 8  # the chat's own words
        for dataset in datasets:
            for index in range(min(len(dataset), _VOCABULARY_TEXTS)):
                outline = dataset.outline(index)
                yield from (outline.spoken_question, outline.reasoning, outline.response)

    return train_bpe(texts(), num_rows, FROM_SCRATCH_TOKENS)


def _codec_files(directory: str) -> Path:
    path = Path(directory)
    if not path.is_dir() or not any(path.iterdir()):
        raise FileNotFoundError(
            f"codec: {directory} is no directory of a fitted codec; fit one on the responses of a "
            "data set: python launch/codec.py --data=DIR --out=DIR"
        )
    return path
