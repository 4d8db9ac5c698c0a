"""Speech from a program that is started for every text."""

import time

import numpy as np
import pytest

from reasoner_jax.core.records import Voice
from reasoner_jax.synthesis.back_end import PEAK, SpeechError
from reasoner_jax.synthesis.speak import make_speaker
from tests.synthesis.programs import RATE_HZ, TALKING, write_program

HELLO = "Hello, what is two plus three?"
COMMAND = Voice("command", "default")


def main_frequency_hz(waveform):
    return np.argmax(np.abs(np.fft.rfft(waveform))) * RATE_HZ / waveform.size


def command_speaker(tmp_path, code, arguments="{text} {wav}", **options):
    command = write_program(tmp_path / "program.py", TALKING, code)
    return make_speaker("command", command=f"{command} {arguments}", **options)


def test_a_command_is_heard_at_the_rate_and_level_of_the_model(tmp_path):
    speaker = command_speaker(tmp_path, "write(sys.argv[2], sys.argv[1], rate_hz=22050)")
    spoken = speaker.speak(HELLO, COMMAND)
    assert spoken.dtype == np.float32
    assert spoken.size == pytest.approx(0.6 * RATE_HZ, abs=2)
    assert np.abs(spoken).max() == pytest.approx(PEAK)
    assert main_frequency_hz(spoken) == pytest.approx(400, abs=3)


def test_a_command_gets_its_text_whole_and_no_shell_sees_it(tmp_path):
    code = "open(sys.argv[2] + '.txt', 'w').write(sys.argv[1]); write(sys.argv[3], 'one')"
    arguments = f"{{text}} {tmp_path}/{{voice}} {{wav}}"
    speaker = command_speaker(tmp_path, code, arguments, voice_ids=["anna"])
    text = """Don't say "half (of {voice})"; or 'touch ruin'."""
    speaker.speak(text.replace("{", "").replace("}", ""), Voice("command", "anna"))
    assert (tmp_path / "anna.txt").read_text() == text.replace("{", "").replace("}", "")


def test_a_command_without_a_text_argument_reads_it(tmp_path):
    speaker = command_speaker(tmp_path, "write(sys.argv[1], sys.stdin.read())", "{wav}")
    assert speaker.speak("one two three", COMMAND).size == 0.3 * RATE_HZ


def test_a_command_is_told_the_speed_as_factor_or_as_rate(tmp_path):
    code = "assert sys.argv[1:3] == ['1.200', '210'], sys.argv; write(sys.argv[4], sys.argv[3])"
    speaker = command_speaker(tmp_path, code, "{speed} {words_per_minute} {text} {wav}")
    assert speaker.speak("one two", Voice("command", "default", speed=1.2)).size == 0.2 * RATE_HZ


def test_pitch_rises_and_the_length_stays(tmp_path):
    code = """
        speed = float(sys.argv[1])
        write(sys.argv[2], "word " * round(20 / speed))
    """
    speaker = command_speaker(tmp_path, code, "{speed} {wav}")
    spoken = speaker.speak(HELLO, Voice("command", "default", pitch_semitones=3.0))
    assert main_frequency_hz(spoken) == pytest.approx(400 * 2**0.25, abs=2)
    assert spoken.size == pytest.approx(2 * RATE_HZ, rel=0.03)


def test_a_command_without_a_speed_is_stretched(tmp_path):
    speaker = command_speaker(tmp_path, "write(sys.argv[2], sys.argv[1])")
    spoken = speaker.speak("one " * 20, Voice("command", "default", speed=1.25))
    assert spoken.size == pytest.approx(1.6 * RATE_HZ, rel=0.01)
    assert main_frequency_hz(spoken) == pytest.approx(400, abs=2)


def test_a_command_that_fails_once_is_run_again(tmp_path):
    code = f"""
        import pathlib
        mark = pathlib.Path({str(tmp_path / "mark")!r})
        if not mark.exists():
            mark.touch()
            sys.exit("cold start")
        write(sys.argv[2], sys.argv[1])
    """
    assert command_speaker(tmp_path, code).speak(HELLO, COMMAND).size


def test_a_command_that_keeps_failing_is_quoted_with_the_text(tmp_path):
    speaker = command_speaker(tmp_path, "sys.exit('no such voice')")
    with pytest.raises(SpeechError, match=f'could not speak "{HELLO[:5]}.*status 1: no such voice'):
        speaker.speak(HELLO, COMMAND)


def test_a_hanging_command_is_stopped(tmp_path):
    speaker = command_speaker(tmp_path, "import time; time.sleep(60)", timeout_s=0.3)
    start_s = time.monotonic()
    with pytest.raises(SpeechError, match=r"no answer within 0\.3 s"):
        speaker.speak(HELLO, COMMAND)
    assert time.monotonic() - start_s < 10


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("pass", "no such sound file"),
        ("open(sys.argv[2], 'w').write('sorry')", "not a sound file"),
        ("write(sys.argv[2], '')", "is empty"),
        ("write(sys.argv[2], sys.argv[1], frequency_hz=0)", "silence"),
    ],
)
def test_a_command_that_writes_no_speech_is_an_error(tmp_path, code, message):
    with pytest.raises(SpeechError, match=message):
        command_speaker(tmp_path, code).speak(HELLO, COMMAND)


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        ("say {text}", ValueError, "expected {wav}"),
        ("say {wav} {tone}", ValueError, "'tone', 'wav'"),
        ("no-such-program {wav}", FileNotFoundError, "no program 'no-such-program'"),
    ],
)
def test_a_command_that_cannot_work_is_refused_at_once(command, error, message):
    with pytest.raises(error, match=message):
        make_speaker("command", command=command)
