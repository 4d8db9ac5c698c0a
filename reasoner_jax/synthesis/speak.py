"""The speakers: Piper, eSpeak NG, a command of the user's, an HTTP endpoint; knows no problem.

All turn text into dry speech with a voice's id, speed and pitch. Room and noise come from
`augment.record`.

    speaker = make_speaker("piper")
    waveform = speaker.speak("What is two plus three?", Voice("piper", "en_US-joe-medium"))
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reasoner_jax.audio import waveform as wf
from reasoner_jax.core.axes import Float
from reasoner_jax.synthesis import augment
from reasoner_jax.synthesis.back_end import BackEnd
from reasoner_jax.synthesis.endpoint import Endpoint
from reasoner_jax.synthesis.worker import Worker, WorkerDiedError

_ESPEAK_WORDS_PER_MINUTE = 175
_SHOWN_CHARS = 200


class WorkerSpeaker(BackEnd):
    """A back-end in a process of its own, `speech_worker.py`."""

    def __init__(
        self,
        program: str,
        voices: Mapping[str, str],
        *,
        seed: int = 0,
        python: str = sys.executable,
        timeout_s: float = 120.0,
        worker: Sequence[str] = (),
        **extra: Any,
    ) -> None:
        """Starts nothing yet.

        Args:
            program: which program the worker is to run.
            voices: voice id -> what the program calls it.
            seed: the same text, voice and seed give the same samples, given the same versions and
                processor.
            python: interpreter of the worker; another environment's keeps the GPL programs apart.
            timeout_s: per text, starting included.
            worker: another program with the protocol of `speech_worker.py`.
            **extra: fields of every request that only this program knows.
        """
        self._extra = extra
        self._voices = dict(voices)
        self.voice_ids = tuple(self._voices)
        self._seed = seed
        # By path, so that the worker does not load this package, and -P, so that it does not find
        # our modules under their short names.
        script = str(Path(__file__).with_name("speech_worker.py"))
        self._worker = Worker(worker or (python, "-P", script, program), timeout_s)

    def _utter(
        self, text: str, voice_id: str, speed: float
    ) -> tuple[Float[np.ndarray, "S ..."], int]:
        request = {
            "text": text,
            "voice": self._voices[voice_id],
            "speed": speed,
            "seed": augment.stable_seed("speak", self._seed, voice_id, text) % 2**31,
            **self._extra,
        }
        try:
            return self._worker.ask(request)
        except WorkerDiedError:
            return self._worker.ask(request)  # a new one


class PiperSpeaker(WorkerSpeaker):
    """Piper, neural voices (github.com/OHF-Voice/piper1-gpl)."""

    name = "piper"

    def __init__(
        self,
        models: Mapping[str, str] | None = None,
        *,
        variation: float = 1.0,
        **options: Any,
    ) -> None:
        """See `WorkerSpeaker`.

        Args:
            models: voice id -> .onnx file of a Piper voice, with its .onnx.json beside it; by
                default the voice bundled with the `speech` extra.
            variation: of melody and lengths, relative to the voice's own. At 0 a text always sounds
                the same, which a small talker learns from far fewer examples, and speaking
                takes half the time.
            **options: of `WorkerSpeaker`.

        Raises:
            FileNotFoundError: no such model.
        """
        for voice_id, path in (models or {}).items():
            for file in (Path(path), Path(f"{path}.json")):
                if not file.is_file():
                    raise FileNotFoundError(f"{file}: no such file, for Piper's voice {voice_id!r}")
        voices = models or {"en_US-joe-medium": ""}
        super().__init__("piper", voices, variation=variation, **options)


class EspeakSpeaker(WorkerSpeaker):
    """eSpeak NG, small formant voices (github.com/espeak-ng/espeak-ng)."""

    name = "espeak"

    VOICE_IDS = (
        "en-us",
        "en-us+m1",
        "en-us+m3",
        "en-us+max",
        "en-us+edward",
        "en-us+Reed",
        "en-us+f3",
        "en-us+klatt",
        "en-us+klatt3",
        "en+m2",
        "en+klatt2",
        "en-gb-x-rp+m1",
    )
    """Those of 38 that Whisper-tiny understood best, on a sample of two problems."""

    def __init__(self, voice_ids: Sequence[str] = VOICE_IDS, **options: Any) -> None:
        """See `WorkerSpeaker`.

        Args:
            voice_ids: eSpeak NG's names, a language with or without "+variant".
            **options: of `WorkerSpeaker`.
        """
        super().__init__("espeak", {voice_id: voice_id for voice_id in voice_ids}, **options)


class CommandSpeaker(BackEnd):
    """Any program that writes a sound file, run once per text."""

    name = "command"

    def __init__(
        self, command: str, voice_ids: Sequence[str] = ("default",), timeout_s: float = 120.0
    ) -> None:
        """Splits the command as a shell would; no shell runs.

        Args:
            command: "mytts --text {text} --voice {voice} --out {wav}". {wav} is required. Without
                {text} the text is the program's input. {speed} is a factor, {words_per_minute} 175
                times that; without either, librosa changes the speed.
            voice_ids: what may stand for {voice}.
            timeout_s: per run. A run that fails or hangs is repeated once.

        Raises:
            ValueError: no {wav}, or another placeholder.
            FileNotFoundError: no such program.
        """
        self._command = shlex.split(command)
        fields = set(re.findall(r"{(\w*)}", command))
        known = {"text", "wav", "voice", "speed", "words_per_minute"}
        if "wav" not in fields or fields - known:
            raise ValueError(
                f"command {command!r} has placeholders {sorted(fields)}, expected {{wav}} and any "
                f"of {sorted(known - {'wav'})}"
            )
        if shutil.which(self._command[0]) is None:
            raise FileNotFoundError(f"command {command!r}: no program {self._command[0]!r}")
        self.voice_ids = tuple(voice_ids)
        self._timeout_s = timeout_s
        self._fields = fields

    def _utter(
        self, text: str, voice_id: str, speed: float
    ) -> tuple[Float[np.ndarray, "S ..."], int]:
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "speech.wav"
            values = {
                "text": text,
                "wav": str(wav),
                "voice": voice_id,
                "speed": f"{speed:.3f}",
                "words_per_minute": str(round(_ESPEAK_WORDS_PER_MINUTE * speed)),
            }
            command = [
                re.sub(r"{(\w+)}", lambda match: values[match[1]], part) for part in self._command
            ]
            try:
                self._run(command, text)
            except RuntimeError:
                self._run(command, text)
            waveform, rate_hz = wf.read(wav)
        if self._fields & {"speed", "words_per_minute"}:
            return waveform, rate_hz
        return augment.change_speed(waveform, speed), rate_hz

    def _run(self, command: Sequence[str], text: str) -> None:
        given = None if "text" in self._fields else text.encode()
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, timeout=self._timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"{command[0]} gave no answer within {self._timeout_s:g} s"
            ) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-_SHOWN_CHARS:]
            raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {said}")


class EndpointSpeaker(BackEnd):
    """An OpenAI-compatible speech endpoint, POST {base_url}/audio/speech."""

    name = "endpoint"

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        voice_ids: Sequence[str],
        *,
        native_speed: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Sends nothing yet.

        Args:
            endpoint: the server.
            model: its name there.
            voice_ids: their names there. The same text may sound different each time.
            native_speed: whether the server honours "speed"; librosa changes it otherwise.
            extra: further fields of every request, e.g. {"seed": 0} where the server knows it.
        """
        self._endpoint, self._model = endpoint, model
        self.voice_ids = tuple(voice_ids)
        self._native_speed = native_speed
        self._extra = dict(extra or {})

    def _utter(
        self, text: str, voice_id: str, speed: float
    ) -> tuple[Float[np.ndarray, "S ..."], int]:
        values: dict[str, Any] = {
            "model": self._model,
            "input": text,
            "voice": voice_id,
            "response_format": "wav",
        }
        if self._native_speed:
            values["speed"] = round(speed, 3)
        answer = self._endpoint.post_json("audio/speech", values | self._extra)
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "speech.wav"
            wav.write_bytes(answer)
            try:
                waveform, rate_hz = wf.read(wav)
            except ValueError as error:
                url = self._endpoint.url("audio/speech")
                raise ValueError(f"{url} sent no sound: {answer[:_SHOWN_CHARS]!r}") from error
        return (waveform if self._native_speed else augment.change_speed(waveform, speed)), rate_hz


SPEAKERS: dict[str, type[BackEnd]] = {
    "piper": PiperSpeaker,
    "espeak": EspeakSpeaker,
    "command": CommandSpeaker,
    "endpoint": EndpointSpeaker,
}
"""A new back-end is a class and a line here."""


def make_speaker(name: str, **options: Any) -> BackEnd:
    """The speaker called `name`, with the options of its class.

    Raises:
        ValueError: no such back-end.
    """
    if name not in SPEAKERS:
        raise ValueError(f"no speech back-end {name!r}, expected one of {list(SPEAKERS)}")
    return SPEAKERS[name](**options)
