"""Byte-level BPE: text to token ids and back, whole or as it streams; knows no prompt, no schedule.

All vocabularies here are of one kind: Qwen2's, SmolLM2's, and the small ones we train. Text is
bytes, so nothing is out of vocabulary, and each digit is a token of its own.
"""

import codecs
import dataclasses
import functools
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from reasoner_jax.core.axes import Int

# Source: transformers `Qwen2Tokenizer`. Contractions, words with one leading non-letter, single
# digits, runs of punctuation, line ends, spaces.
_QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_NO_TOKEN = "\N{REPLACEMENT CHARACTER}".encode()


class Tokenizer:
    """An immutable vocabulary with its special tokens.

    Ids are contiguous: every id below `vocab_size` has a token. The rows of an embedding table may
    be more (Qwen2.5-Omni-3B: 151,936 rows for 151,665 tokens).
    """

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        """Wraps a byte-level BPE of the `tokenizers` library; see `load` and `train_bpe`.

        Raises:
            ValueError: another kind of tokenizer, or ids with holes.
        """
        if not isinstance(inner.model, models.BPE) or not isinstance(
            inner.decoder, decoders.ByteLevel
        ):
            raise ValueError(
                f"expected a byte-level BPE, got {type(inner.model).__name__} with decoder "
                f"{type(inner.decoder).__name__}; use a tokenizer of the Qwen2 or GPT-2 family"
            )
        size, highest = inner.get_vocab_size(), max(inner.get_vocab().values(), default=-1)
        if highest + 1 != size:
            raise ValueError(
                f"expected ids 0 to {size - 1} for {size} tokens, got ids up to {highest}; the "
                "vocabulary has holes, fill them with unused tokens"
            )
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        # Shares the model, but knows no added token, so nothing in a text is special to it.
        self._plain = tokenizers.Tokenizer(inner.model)
        if inner.normalizer is not None:
            self._plain.normalizer = inner.normalizer
        self._plain.pre_tokenizer = inner.pre_tokenizer
        self._added = {
            id_: (token.content, token.special)
            for id_, token in inner.get_added_tokens_decoder().items()
        }

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "Tokenizer":
        """Reads our own directory or a Hugging Face one.

        tokenizer.json if it is there, else vocab.json and merges.txt (Qwen2's rules); then the
        added tokens of tokenizer_config.json or added_tokens.json, each at the id written there.

        Raises:
            ValueError: neither is there, they are broken, or an added token cannot get its id.
        """
        directory = Path(directory)
        try:
            inner = _read_model(directory)
            added = _read_added_tokens(directory)
        except Exception as error:  # the tokenizers library raises bare Exception
            raise ValueError(f"cannot load a tokenizer from {directory}: {error}") from error
        for id_ in sorted(added):
            _place(inner, added[id_], id_, source=directory)
        return cls(inner)

    def save(self, directory: str | os.PathLike) -> None:
        """Writes tokenizer.json, which `load` and transformers read; creates the directory."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        partial = directory / f".tokenizer.{os.getpid()}.json"
        self._inner.save(str(partial))
        partial.replace(directory / "tokenizer.json")

    @property
    def vocab_size(self) -> int:
        """Tokens, which is also the number of rows an embedding table needs."""
        return self._inner.get_vocab_size()

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Text and id of every special token."""
        return {text: id_ for id_, (text, special) in self._added.items() if special}

    def token_id(self, token: str) -> int:
        """The id of one token, named by its text.

        Raises:
            ValueError: there is no such token.
        """
        id_ = self._inner.token_to_id(str(token))
        if id_ is None:
            raise ValueError(
                f"the tokenizer has no token {str(token)!r}; its special tokens are "
                f"{', '.join(self.special_tokens) or 'none'}; add it with add_special_tokens"
            )
        return id_

    def encode(self, text: str, *, parse_special: bool = True) -> list[int]:
        """Text to ids.

        Args:
            text: any; normalised to NFC if the vocabulary asks for it.
            parse_special: whether "<|im_end|>" inside the text means the token. Text from a user
                or a corpus wants False, so that it cannot end a turn.

        Raises:
            ValueError: not text, or lone surrogates, which are not Unicode text either.
        """
        inner = self._inner if parse_special else self._plain
        try:
            return inner.encode(text, add_special_tokens=False).ids
        except TypeError as error:
            raise ValueError(
                f"cannot encode {text!r:.80}, expected a str without lone surrogates; decode it "
                "from its source again, with errors='replace'"
            ) from error

    def decode(self, ids: Iterable[int] | Int[np.ndarray, " L"], skip_special: bool = False) -> str:
        """Ids to text. Broken UTF-8 and ids without a token (a model may emit both) become U+FFFD.

        Raises:
            ValueError: a negative id.
        """
        return self.decode_bytes(ids, skip_special).decode("utf-8", "replace")

    def add_special_tokens(
        self,
        tokens: Iterable[str],
        reserved: Collection[int] = frozenset(),
        first_free_id: int = 0,
    ) -> "Tokenizer":
        """A tokenizer that also has `tokens`, as special tokens.

        Tokens it has already keep their ids. The others get the lowest ids that are free: past
        the vocabulary, not below `first_free_id`, not in `reserved`. Ids stepped over are filled
        with tokens "<|unused_ID|>", since ids must stay contiguous. With 8 tokens:

            add_special_tokens(["<|a|>", "<|b|>"], reserved={9})
                -> <|a|> 8, <|unused_9|> 9, <|b|> 10

        Qwen2.5-Omni needs no filler: its vocabulary ends at 151,664, the talker's bare ids are
        151,859 to 151,861, so the schedule's five tokens get 151,665 to 151,669, inside the
        151,936 rows that its embedding table has.

        Args:
            tokens: in the order of their ids.
            reserved: ids that something else means, with or without a token of the vocabulary.
            first_free_id: no new token below it.

        Raises:
            ValueError: an empty token, or a negative `first_free_id`.
        """
        if first_free_id < 0:
            raise ValueError(f"first_free_id is {first_free_id}, expected 0 or more")
        inner = tokenizers.Tokenizer.from_str(self._inner.to_str())
        for token in map(str, tokens):
            if not token:
                raise ValueError("special token '' is empty, expected text such as '<|speak|>'")
            id_ = inner.token_to_id(token)
            if id_ is None:
                id_ = max(inner.get_vocab_size(), first_free_id)
                while id_ in reserved:
                    id_ += 1
            _place(inner, _special(token), id_)
        return Tokenizer(inner)

    def decode_bytes(
        self, ids: Iterable[int] | Int[np.ndarray, " L"], skip_special: bool = False
    ) -> bytes:
        """As `decode`, before bytes become characters: a token may hold half of one.

        Raises:
            ValueError: a negative id.
        """
        return b"".join(self._token_bytes(int(id_), skip_special) for id_ in ids)

    def num_bytes(self, ids: Iterable[int] | Int[np.ndarray, " L"]) -> list[int]:
        """Bytes of each token.

        Raises:
            ValueError: a negative id.
        """
        return [len(self._token_bytes(int(id_), False)) for id_ in ids]

    def _token_bytes(self, id_: int, skip_special: bool) -> bytes:
        if id_ < 0:
            raise ValueError(f"token id {id_} is negative, expected 0 to {self.vocab_size - 1}")
        if id_ in self._added:
            text, special = self._added[id_]
            return b"" if special and skip_special else text.encode()
        text = self._inner.id_to_token(id_)
        if text is None:
            return _NO_TOKEN
        to_byte = _byte_of_letter()
        return bytes(to_byte[letter] for letter in text)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[tokenizers.Tokenizer]]:
        return Tokenizer, (self._inner,)

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size}, special_tokens={len(self.special_tokens)})"


@dataclasses.dataclass(frozen=True)
class StreamDecoder:
    """Decodes ids as they arrive: each step gives the characters that are complete by now.

    A character may span tokens. With "é" as two byte tokens c3 and a9:

        decoder, text = decoder.step([c3])  -> ""
        decoder, text = decoder.step([a9])  -> "é"

    All the pieces and `finish` together equal one `decode`, however the ids were split.

    Attributes:
        tokenizer: of the ids.
        skip_special: whether special tokens are left out.
        pending: bytes of an incomplete character.
    """

    tokenizer: Tokenizer
    skip_special: bool = False
    pending: bytes = b""

    def step(self, ids: Iterable[int]) -> tuple["StreamDecoder", str]:
        """The decoder after `ids`, and the text that they complete."""
        heard = self.pending + self.tokenizer.decode_bytes(ids, self.skip_special)
        text, num_used = codecs.utf_8_decode(heard, "replace", False)
        return dataclasses.replace(self, pending=heard[num_used:]), text

    def finish(self) -> str:
        """What is left at the end: "", or U+FFFD for a character that never got complete."""
        return self.pending.decode("utf-8", "replace")


def train_bpe(texts: Iterable[str], vocab_size: int, special_tokens: Iterable[str]) -> Tokenizer:
    """Learns a byte-level BPE with Qwen2's rules; equal texts in any order give equal tokenizers.

    Args:
        texts: the corpus.
        vocab_size: at most this many tokens, special ones included; a small corpus gives fewer.
        special_tokens: get the ids 0, 1, 2 ..; the 256 bytes follow, then what was learnt.

    Raises:
        ValueError: no room for the special tokens and the 256 bytes.
    """
    special_tokens = list(map(str, special_tokens))
    smallest = len(special_tokens) + 256
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size}, expected at least {smallest}: {len(special_tokens)} "
            "special tokens and 256 bytes"
        )
    inner = _qwen2_bpe(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return Tokenizer(inner)


def _qwen2_bpe(model: models.BPE) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(model)
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_QWEN2_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    return inner


def _read_model(directory: Path) -> tokenizers.Tokenizer:
    whole = directory / "tokenizer.json"
    if whole.is_file():
        return tokenizers.Tokenizer.from_file(str(whole))
    vocab, merges = directory / "vocab.json", directory / "merges.txt"
    if vocab.is_file() and merges.is_file():
        return _qwen2_bpe(models.BPE(*models.BPE.read_file(str(vocab), str(merges))))
    raise ValueError("it has neither tokenizer.json nor both of vocab.json and merges.txt")


def _read_added_tokens(directory: Path) -> dict[int, tokenizers.AddedToken]:
    """Id to token; tokenizer_config.json is newer than added_tokens.json and says more."""
    config, plain = directory / "tokenizer_config.json", directory / "added_tokens.json"
    described: dict[str, dict[str, Any]] = {}
    if config.is_file():
        described = json.loads(config.read_text("utf-8")).get("added_tokens_decoder", {})
    if described:
        return {int(id_): tokenizers.AddedToken(**fields) for id_, fields in described.items()}
    if plain.is_file():
        ids = json.loads(plain.read_text("utf-8"))
        return {id_: _special(text) for text, id_ in ids.items()}
    return {}


def _place(
    inner: tokenizers.Tokenizer, token: tokenizers.AddedToken, id_: int, source: object = "caller"
) -> None:
    """Gives `token` the id `id_`, with fillers below it; the library itself only counts up."""
    if inner.token_to_id(token.content) is None:
        fillers = range(inner.get_vocab_size(), id_)
        inner.add_special_tokens([_special(f"<|unused_{filler}|>") for filler in fillers])
    if token.content not in {old.content for old in inner.get_added_tokens_decoder().values()}:
        register = inner.add_special_tokens if token.special else inner.add_tokens
        register([token])
    got = inner.token_to_id(token.content)
    if got != id_:
        raise ValueError(
            f"token {token.content!r} of {source} has id {got}, expected {id_}: another token has "
            "that id, or its files do not belong together; fetch them again"
        )


def _special(text: str) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(text, special=True, normalized=False)


@functools.cache
def _byte_of_letter() -> dict[str, int]:
    """The byte behind each letter of a byte-level vocabulary (GPT-2's table).

    Printable bytes stand for themselves; the others, in order, are U+0100, U+0101 ..
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}
