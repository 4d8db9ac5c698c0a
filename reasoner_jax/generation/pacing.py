"""How much to think before the next words, so that playback never runs dry; knows no network.

A block speaks `response` tokens and then thinks. What has been spoken and not yet played is time
to think in. How fast the machine will be is not known, only how slow it may be for this to work at
all: as fast as speech, that is, a block with the fewest thoughts takes no longer than its words
last. Thinking as long as *that* machine could afford never lets playback run dry on any faster
one, however its speed jumps; and since a fast machine fills the buffer, it soon thinks as long as
it may.
"""

import dataclasses
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Pacing:
    """Thoughts of a block, chosen from the sound that is left to play.

    Attributes:
        fewest: reasoning tokens of any block.
        most: reasoning tokens of a block with time to spare.
        token_audio_s: seconds of speech that a response token makes; a first guess, replaced by
            what has been measured.
    """

    fewest: int = 2
    most: int = 32
    token_audio_s: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise ValueError(
                f"pacing: expected 1 <= fewest <= most, got {self.fewest} and {self.most}"
            )
        if not self.token_audio_s > 0:
            raise ValueError(f"pacing.token_audio_s is {self.token_audio_s}, expected more than 0")

    def slots(
        self,
        response: int,
        unplayed_s: float,
        token_s: float,
        token_audio_s: float | None = None,
    ) -> int:
        """Reasoning tokens of a block.

        The block thinks, and the next words have to be there before the sound is out:

            (slots + response) * seconds a token  <=  unplayed_s

        with a token of the slowest machine that keeps up with speech, or of this one if it is
        slower still:

            >>> pacing = Pacing(fewest=2, most=32)
            >>> [pacing.slots(2, unplayed_s, token_s=0.01) for unplayed_s in (0, 1, 3)]
            [2, 6, 22]

        Args:
            response: response tokens of a block.
            unplayed_s: sound that is ready and not yet played when the thinking begins.
            token_s: seconds this machine takes for a token.
            token_audio_s: seconds of speech that a response token has made so far.
        """
        words_s = response * (token_audio_s or self.token_audio_s)
        slowest_s = words_s / (response + self.fewest)
        affordable = int(unplayed_s / max(slowest_s, token_s) + 1e-9) - response
        return min(max(affordable, self.fewest), self.most)


@dataclasses.dataclass(frozen=True)
class Playback:
    """A listener's loudspeaker: sound is played as soon as it comes, and waits where it lacks.

    Attributes:
        pushed_s: sound received.
        dry_s: when all of it will have been played.
        num_underruns: how often it had run dry before more came.
        stalled_s: how long the listener waited in all, the start not counted.
    """

    pushed_s: float = 0.0
    dry_s: float = 0.0
    num_underruns: int = 0
    stalled_s: float = 0.0

    def push(self, now_s: float, sound_s: float) -> "Playback":
        """The state after more sound has come."""
        late_s = now_s - self.dry_s if self.pushed_s else 0.0
        ran_dry = late_s > 0
        return Playback(
            pushed_s=self.pushed_s + sound_s,
            dry_s=max(self.dry_s, now_s) + sound_s,
            num_underruns=self.num_underruns + ran_dry,
            stalled_s=self.stalled_s + max(late_s, 0.0),
        )

    def unplayed_s(self, now_s: float) -> float:
        """Sound that is ready and not yet played."""
        return max(self.dry_s - now_s, 0.0)


Speed = Callable[[float], float]
"""Seconds a token takes, by the time at which it begins."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What a listener would have heard.

    Attributes:
        num_underruns: how often playback ran dry.
        stalled_s: for how long in all.
        thoughts: reasoning tokens of each block.
        first_sound_s: when playback began.
    """

    num_underruns: int
    stalled_s: float
    thoughts: tuple[int, ...]
    first_sound_s: float


def simulate(
    speed: Speed,
    *,
    pacing: Pacing | None,
    num_blocks: int,
    response: int = 2,
    reasoning: int = 8,
    token_audio_s: float = 0.25,
) -> Simulation:
    """Replays a machine's speed: blocks of words and thoughts, and a listener.

    Args:
        speed: seconds a token takes at a time; speaking included.
        pacing: how thoughts are chosen; None for `reasoning` in every block.
        num_blocks: length of the reply, all of it thinking.
        response, reasoning: slots of a block.
        token_audio_s: seconds of speech that a response token makes.
    """
    now_s, playback, thoughts, first_sound_s, token_s = 0.0, Playback(), [], 0.0, 0.0
    for block in range(num_blocks):
        for _ in range(response):
            now_s += speed(now_s)
        playback = playback.push(now_s, response * token_audio_s)
        first_sound_s = first_sound_s if block else now_s
        slots = reasoning
        if pacing is not None:
            unplayed_s = playback.unplayed_s(now_s)
            slots = pacing.slots(response, unplayed_s, token_s, token_audio_s)
        began_s = now_s
        for _ in range(slots):
            now_s += speed(now_s)
        token_s = (now_s - began_s) / slots
        thoughts.append(slots)
    return Simulation(playback.num_underruns, playback.stalled_s, tuple(thoughts), first_sound_s)


def trace(tokens_per_s: Sequence[tuple[float, float]]) -> Speed:
    """A speed from (seconds, tokens/s) pieces, over and over again.

    >>> speed = trace([(2.0, 10.0), (1.0, 40.0)])
    >>> speed(0.0), speed(2.5), speed(3.1)
    (0.1, 0.025, 0.1)
    """
    period_s = sum(seconds for seconds, _ in tokens_per_s)

    def speed(now_s: float) -> float:
        left_s = now_s % period_s
        for seconds, rate in tokens_per_s:
            if left_s < seconds:
                return 1 / rate
            left_s -= seconds
        return 1 / tokens_per_s[-1][1]

    return speed


TRACES: dict[str, tuple[tuple[float, float], ...]] = {
    "phone": ((60.0, 9.0),),
    "hot laptop": ((4.0, 40.0), (6.0, 18.0), (8.0, 9.0)),
    "loaded GPU": ((0.8, 150.0), (0.5, 12.0)),
    "shared TPU": ((3.0, 400.0), (1.0, 20.0)),
    "free GPU": ((60.0, 120.0),),
}
"""Made up after what such machines do, not recorded; the slowest moments are just above speech."""
