r"""Makes a data set of spoken, interleaved, verified problems.

    python launch/synthesize.py --config=configs/data.py:quickstart --out=DIR
    python launch/synthesize.py --config=configs/data.py:gsm8k --out=DIR \
        --config.sources.gsm8k.location=train.jsonl --num_workers=8

The same command again goes on where a killed run stopped. `--runner=beam` runs the same stages on
Apache Beam; everything after `--` goes to its runner, see `synthesis/runner_beam.py`.

Targets for Qwen2.5-Omni's talker (stage 5) come from a talker that can speak, as its codec has no
public encoder. With

    --codes_from=Qwen/Qwen2.5-Omni-3B --codes_out=data/responses

its talker says every response of the data set in --out once that is finished, now or in an earlier
run, and a second data set, in --codes_out, holds the same problems with these codes. What it cannot
say is dropped and counted. This goes on where it was killed, too.
"""

import os
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reasoner_jax.sources.base import Counts
from reasoner_jax.synthesis import datasheet, runner_local
from reasoner_jax.synthesis.pipeline import Outcome
from reasoner_jax.synthesis.recipe import Recipe

_CONFIG = config_flags.DEFINE_config_file("config", help_string="configs/data.py:NAME")
_OUT = flags.DEFINE_string("out", None, "Directory of the data set.", required=True)
_RUNNER = flags.DEFINE_enum("runner", "local", ["local", "beam"], "Where to run.")
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", os.cpu_count(), "Processes of the local runner; 0 works in this one.", 0
)
_CODES_FROM = flags.DEFINE_string(
    "codes_from", None, "Speaks the responses: a checkpoint of ours or Hugging Face's, or a hub id."
)
_CODES_OUT = flags.DEFINE_string(
    "codes_out", None, "Directory of the data set with speech codes; by default OUT_codes."
)
_CODES_VOICE = flags.DEFINE_string("codes_voice", None, "Name of the speaker; the first if None.")
_CODES_ROWS = flags.DEFINE_integer("codes_rows", 16, "Responses spoken at once.", 1)


def main(argv: list[str]) -> None:
    """Runs, then writes the datasheet."""
    recipe = Recipe(_CONFIG.value.to_dict())
    try:
        if _RUNNER.value == "beam":
            from reasoner_jax.synthesis import runner_beam

            runner_beam.run(recipe, _OUT.value, argv[1:])
        else:
            _run_locally(recipe)
        written = datasheet.write(_OUT.value)
        print(f"{written.num_kept} of {written.num_problems} problems kept; see {written.path}")
        if _CODES_FROM.value:
            _speak_codes(recipe)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        sys.exit(f"synthesize: {error}")


def _run_locally(recipe: Recipe) -> None:
    reasons = Counts()
    with tqdm(total=recipe.limit, unit="problem", smoothing=0.05) as bar:

        def progress(outcome: Outcome) -> None:
            reasons[outcome.reason] += 1
            bar.update(outcome.stage != "collect")
            bar.set_postfix(dropped=reasons.total() - reasons[""], refresh=False)

        runner_local.run(recipe, _OUT.value, num_workers=_NUM_WORKERS.value, progress=progress)


def _speak_codes(recipe: Recipe) -> None:
    """Says the responses of the finished data set; the workers above need nothing of this."""
    import jax

    import reasoner_jax as rj
    from reasoner_jax.data.dataset import SpokenDataset
    from reasoner_jax.generation.distill import Distiller
    from reasoner_jax.generation.distill_dataset import distill

    dataset = SpokenDataset(_OUT.value, recipe.output["split"])
    directory = _CODES_OUT.value or f"{_OUT.value.rstrip('/')}_codes"
    dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    compute = rj.Compute(dtype=dtype, param_dtype=dtype, scan_layers=False)
    omni = rj.load(_CODES_FROM.value, compute)
    distiller = Distiller.of(omni, voice=_CODES_VOICE.value, rows=_CODES_ROWS.value)
    origin = {"checkpoint": _CODES_FROM.value, "voice": _CODES_VOICE.value}
    with tqdm(total=len(dataset), unit="response", smoothing=0.05) as bar:

        def progress(reason: str) -> None:
            bar.update()

        counts = distill(
            dataset, directory, distiller, origin=origin, seed=recipe.values["seed"],
            progress=progress,
        )  # fmt: skip
    dropped = ", ".join(f"{count} {reason}" for reason, count in counts.items() if reason)
    print(f"{counts['']} of {len(dataset)} responses spoken into {directory}")
    if dropped:
        print(f"dropped: {dropped}")


if __name__ == "__main__":
    app.run(main)
