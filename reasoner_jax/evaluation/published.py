"""Spoken-MQA as others have published it, in percent; nothing here was measured by this project.

Sources: the paper's table (arXiv 2508.15827, figures 6 and 7), the log of AudioBench for the
cascade. The paper's own averages do not follow from 100, 173, 594 and 1,402 items; they are left
out, and the micro average is computed from the four splits.
"""

import dataclasses

from reasoner_jax.sources.spoken_mqa import SPLITS


@dataclasses.dataclass(frozen=True)
class Published:
    """A system's accuracy by the raw rule, in percent.

    Attributes:
        system: its name.
        source: where it was published.
        short_digit, long_digit, single_step_reasoning, multi_step_reasoning: by split.
    """

    system: str
    source: str
    short_digit: float
    long_digit: float
    single_step_reasoning: float
    multi_step_reasoning: float

    @property
    def micro(self) -> float:
        """All 2,269 items alike."""
        weighted = sum(getattr(self, split) * count for split, count in SPLITS.items())
        return weighted / sum(SPLITS.values())

    @property
    def macro(self) -> float:
        """All four splits alike."""
        return sum(getattr(self, split) for split in SPLITS) / len(SPLITS)


_PAPER = "arXiv 2508.15827"

PUBLISHED = (
    Published("Mini-Omni-Reasoner 3B", _PAPER, 92.9, 66.1, 85.9, 60.5),
    Published("Qwen2.5-Omni-3B", _PAPER, 87.0, 48.0, 81.8, 56.4),
    Published("Qwen2.5-Omni-7B", _PAPER, 90.0, 49.1, 84.9, 71.0),
    Published("GLM-4-Voice 9B", _PAPER, 40.0, 22.5, 54.4, 28.5),
    Published("Freeze-Omni 7B", _PAPER, 43.0, 14.5, 69.0, 19.8),
    Published("LLaMA-Omni 7B", _PAPER, 40.0, 11.0, 29.5, 10.5),
    Published("SLAM-Omni 0.5B", _PAPER, 0.0, 0.0, 0.8, 1.4),
    Published("Moshi 7B", _PAPER, 0.0, 0.0, 0.2, 0.2),
    Published("Whisper-large-v3 + Llama-3-8B (cascade)", "AudioBench", 92.0, 41.0, 82.2, 50.7),
)
