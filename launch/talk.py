r"""Answers a spoken question, showing thoughts and words as they come.

    python launch/talk.py --checkpoint=DIR question.wav --out=answer.wav
    python launch/talk.py --checkpoint=DIR --text="how much is seven and three"
    python launch/talk.py --checkpoint=DIR --microphone=5 --ratio=adaptive

What it thinks is dim (between angle brackets where there are no colours), what it says is bright.
The WAV file grows while it is spoken and can be played from the first moment. What has been
compiled is kept in --cache, so that the second question starts faster.
"""

import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import reasoner_jax as rj
from reasoner_jax.audio import waveform as sounds
from reasoner_jax.core.records import Reply
from reasoner_jax.generation.events import (
    AudioEvent,
    DoneEvent,
    Event,
    ResponseEvent,
    ThoughtEvent,
)
from reasoner_jax.generation.pacing import Pacing
from reasoner_jax.generation.sampling import Draw, Sampling
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import Schedule, Stream

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Ours or Hugging Face's.", required=True)
_OUT = flags.DEFINE_string("out", "answer.wav", "Where the spoken answer goes.")
_TEXT = flags.DEFINE_string("text", None, "Asks in writing instead.")
_MICROPHONE = flags.DEFINE_float("microphone", None, "Records so many seconds instead.", 0.1)
_MODE = flags.DEFINE_enum("mode", None, ["in_speaking", "before_speaking", "direct"], "")
_RATIO = flags.DEFINE_string("ratio", None, "Response to reasoning slots, 2:8, or adaptive.")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.0, "Of thoughts and words; 0 is greedy.", 0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draws.")
_VOICE = flags.DEFINE_string("voice", None, "Name of the speaker, where there are several.")
_SOUND = flags.DEFINE_bool("sound", True, "Whether the answer is spoken.")
_MAX_TOKENS = flags.DEFINE_integer("max_tokens", 1024, "Bound on a reply, thoughts included.", 1)
_CACHE = flags.DEFINE_string("cache", "~/.cache/reasoner_jax", "Of compiled programs; '' for none.")

_DIM, _BRIGHT, _PLAIN = "\033[2;36m", "\033[1m", "\033[0m"


def main(argv: list[str]) -> None:
    """Loads, listens, answers."""
    logging.set_verbosity(logging.WARNING)
    try:
        _talk(argv[1:])
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"talk: {error}")


def _talk(files: list[str]) -> None:
    if _CACHE.value:
        jax.config.update("jax_compilation_cache_dir", str(Path(_CACHE.value).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    waveform, rate_hz = _question(files)
    omni = rj.load(_CHECKPOINT.value)
    speaks = _SOUND.value and omni.config.talker is not None
    if _SOUND.value and not speaks:
        print("this checkpoint has no talker: it writes its answer and does not speak")
    if speaks:
        _check_out(Path(_OUT.value), files)
    ask = functools.partial(
        rj.stream, omni, waveform, rate_hz, text=_TEXT.value, speaks=speaks, **_style(omni)
    )
    _warm_up(ask(), speaks)
    events = ask()
    reply = _show(events, Path(_OUT.value))
    print(summary(reply))
    if speaks:
        print(f"spoken in {_OUT.value}")


def _check_out(out: Path, files: list[str]) -> None:
    """That the answer can be written, before minutes go into it."""
    if out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"--out is {out}, expected a file in a folder that is there")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ValueError(f"--out is {out}, which may not be written; name another place")
    if files and out.exists() and out.samefile(files[0]):
        raise ValueError(f"--out is {out}, the question itself; name another file")


def _warm_up(events: Iterator[Event], speaks: bool) -> None:
    """Compiles: answers as far as the third piece of sound (or word), and forgets it.

    The first piece starts from an empty state, for which programs of its own are compiled.
    """
    print("compiling ..", flush=True)
    heard = (
        event for event in events if isinstance(event, AudioEvent if speaks else ResponseEvent)
    )
    for _ in itertools.islice(heard, 3):
        pass


def _question(files: list[str]) -> tuple[np.ndarray | None, int]:
    """The recording that is asked, if one is."""
    asked = len(files) + (_TEXT.value is not None) + (_MICROPHONE.value is not None)
    if asked != 1:
        raise ValueError("give one question: a sound file, --text or --microphone=SECONDS")
    if files:
        return sounds.read(files[0])
    return (None, sounds.SAMPLE_RATE_HZ) if _TEXT.value else _record(_MICROPHONE.value)


def _record(seconds: float) -> tuple[np.ndarray, int]:
    """Sound from the microphone, by ALSA's recorder or SoX, whichever is there."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "question.wav")
        commands = {
            "arecord": [
                "-q",
                "-f",
                "S16_LE",
                "-r",
                "16000",
                "-c",
                "1",
                "-d",
                f"{seconds:.0f}",
                path,
            ],
            "rec": ["-q", "-r", "16000", "-c", "1", "-b", "16", path, "trim", "0", str(seconds)],
        }
        program = next((name for name in commands if shutil.which(name)), None)
        if program is None:
            raise ValueError("--microphone needs arecord (alsa-utils) or rec (sox); install one")
        print(f"listening for {seconds:.0f} s ..", flush=True)
        done = subprocess.run([program, *commands[program]], check=False, capture_output=True)
        if done.returncode:
            raise ValueError(f"{program} cannot record: {done.stderr.decode().strip()[-200:]}")
        return sounds.read(path)


def _style(omni: Omni) -> dict[str, Any]:
    """The options of `rj.stream` that the flags say."""
    schedule = (omni.reply_format or ReplyFormat()).schedule
    if _MODE.value:
        schedule = schedule.for_mode(_MODE.value)
    pacing = Pacing() if _RATIO.value == "adaptive" else None
    if _RATIO.value and pacing is None:
        schedule = _with_ratio(schedule, _RATIO.value)
    draw = Draw(temperature=_TEMPERATURE.value)
    return dict(
        schedule=schedule,
        pacing=pacing,
        sampling=Sampling(draw, draw, _SEED.value),
        max_tokens=_MAX_TOKENS.value,
        voice=_VOICE.value,
    )


def _with_ratio(schedule: Schedule, ratio: str) -> Schedule:
    response, _, reasoning = ratio.partition(":")
    if not (response.isdigit() and reasoning.isdigit()):
        raise ValueError(f"--ratio is {ratio!r}, expected two numbers as in 2:8, or adaptive")
    return Schedule(
        int(response), int(reasoning), schedule.lead, schedule.mode, schedule.control_tokens
    )


def _show(events: Iterator[Event], out: Path) -> Reply:
    """Prints what comes, writes what sounds; returns the whole."""
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    marks = {ThoughtEvent: (_DIM, _PLAIN), ResponseEvent: (_BRIGHT, _PLAIN)}
    if not colours:  # each on a line of its own
        marks = {ThoughtEvent: ("<", ">\n"), ResponseEvent: ("", "\n")}
    kind: type | None = None
    with _GrowingWav(out) as file:
        for event in events:
            if isinstance(event, AudioEvent):
                file.add(event.waveform, event.sample_rate_hz)
                continue
            if kind is not None and type(event) is not kind:
                print(marks[kind][1], end="")
                kind = None
            if isinstance(event, DoneEvent):
                print(end="\n" if colours else "")
                return event.reply
            if kind is None:
                kind = type(event)
                print(marks[kind][0], end="")
            print(event.text, end="", flush=True)
    raise AssertionError("a stream of events ends with the reply")


class _GrowingWav:
    """A 16-bit WAV file whose header is true after every piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._wav: wave.Wave_write | None = None

    def __enter__(self) -> "_GrowingWav":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._wav is not None:
            self._wav.close()
            self._file.close()

    def add(self, waveform: np.ndarray, sample_rate_hz: int) -> None:
        """Appends samples."""
        if self._wav is None:
            self._file = self._path.open("wb")
            self._wav = wave.Wave_write(self._file)
            self._wav.setparams((1, 2, sample_rate_hz, 0, "NONE", ""))
        pcm = np.clip(np.rint(waveform * 32768), -32768, 32767).astype("<i2")
        self._wav.writeframes(pcm.tobytes())
        self._file.flush()


def summary(reply: Reply) -> str:
    """The last line: how fast it was."""
    timings, streams = reply.timings, np.asarray(reply.streams)
    thoughts = int(np.sum(streams == Stream.REASONING))
    words = max(1, len(reply.response.split()))
    parts = [f"first token {timings.first_token_s:.2f} s"]
    if timings.first_sound_s is not None:
        parts += [
            f"first sound {timings.first_sound_s:.2f} s",
            f"real-time factor {timings.real_time_factor:.2f}",
        ]
    parts.append(f"{thoughts / words:.1f} thoughts per spoken word")
    if timings.first_sound_s is not None:
        parts.append(f"{timings.num_underruns} underruns")
    if reply.truncated:
        parts.append(f"cut off at {len(streams)} tokens")
    if reply.violations:
        parts.append(f"{len(reply.violations)} numbers said before they were known")
    return ", ".join(parts)


if __name__ == "__main__":
    app.run(main)
