r"""Trains: one stage, or all five in order.

    python launch/run.py --config=configs/stage4.py:3b --workdir=DIR [--config.train.steps=2000 ..]
    python launch/run.py --recipe=tiny --data=DIR --workdir=DIR [--set=train.tokens=512 ..]

The same command again goes on where it was stopped. A run's best checkpoint is WORKDIR/best, for
`rj.load` and the other commands; its curves are in WORKDIR/tensorboard and WORKDIR/figures.jsonl.
A recipe gives each stage a directory of its own, starts it from the best of the one before, and
skips what is done. On a pod, run it in every process: with --distributed they find each other, and
WORKDIR is seen by all, as one in a bucket is: gs://BUCKET/RUN (`source launch/setup.sh bucket`).
"""

import ast
import dataclasses
import importlib
import json
import os
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from clu import parameter_overview
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reasoner_jax.core import bucket
from reasoner_jax.core.sharding import make_mesh
from reasoner_jax.evaluation.condition import question_of_item
from reasoner_jax.evaluation.item_set import DatasetSet, limited
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.generation.engine import Engine
from reasoner_jax.models.omni import Omni
from reasoner_jax.training import workdir
from reasoner_jax.training.loop import Answer, Event, Figures, Interrupted, Trainer
from reasoner_jax.training.stage import Evaluate, Stage

RECIPE = {
    "stage1a": ("stage1", ""),
    "stage1b": ("stage1", ",tokens"),
    "stage2": ("stage2", ""),
    "stage3": ("stage3", ""),
    "stage4": ("stage4", ""),
    "stage5": ("stage5", ""),
}
"""Stages in order: the config file of each, and its options."""

_MAX_TOKENS = 512
"""Of a reply to a held-out problem: a network that has not learned to end never would."""

_CONFIG = config_flags.DEFINE_config_file("config", help_string="configs/stageN.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run.", required=True)
_RECIPE = flags.DEFINE_string("recipe", "", "A preset: trains all stages of it, one by one.")
_DATA = flags.DEFINE_string("data", "", "With --recipe: where the stages' data sets lie.")
_SET = flags.DEFINE_multi_string("set", [], "With --recipe: a value of every stage, NAME=VALUE.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of several processes (a pod).")
_VERBOSE = flags.DEFINE_bool("overview", True, "Whether the parameters are listed at the start.")


def main(_: list[str]) -> None:
    """Trains what the flags say."""
    logging.set_verbosity(logging.WARNING)  # Orbax tells thirty lines of every save
    if bool(_RECIPE.value) == (_CONFIG.value is not None):
        sys.exit("run: give either --config=configs/stageN.py:PRESET or --recipe=PRESET")
    try:
        directory = bucket.as_path(_WORKDIR.value)
    except (ValueError, ImportError) as error:
        sys.exit(f"run: --workdir={error}")
    if _DISTRIBUTED.value:
        jax.distributed.initialize()
    jax.config.update("jax_compilation_cache_dir", str(Path(".jax_cache").absolute()))
    try:
        if _RECIPE.value:
            for name, config in recipe(_RECIPE.value, directory, _DATA.value, _SET.value):
                run(config, directory / name)
        else:
            run(_CONFIG.value, directory)
    except Interrupted as stop:
        sys.exit(f"run: {stop}; the same command goes on")
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if "No space left" in str(error):
            _stop_without_space(error)
        sys.exit(f"run: {error}")
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sys.exit(
            f"run: out of memory ({str(error).splitlines()[0]}); set config.train.accumulate or a "
            "smaller train.batch_rows, config.model.remat='full', or spread the network over more "
            "devices (config.mesh.fsdp, config.mesh.tensor)"
        )


def _stop_without_space(error: Exception) -> None:
    print(
        f"run: no space left for {_WORKDIR.value} ({str(error).splitlines()[0]}); the last whole "
        "checkpoint is kept. Free some, and the same command goes on",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)  # what still waits to be written would only fail once more, at length


def recipe(
    preset: str, directory: Path, data: str, values: Sequence[str] = ()
) -> Iterator[tuple[str, ConfigDict]]:
    """The stages that are not done yet, each starting from the best of the one before."""
    before = ""
    for name, (file, options) in RECIPE.items():
        config = importlib.import_module(f"configs.{file}").get_config(preset + options)
        config.data = data or config.data
        for value in values:
            _set(config, value)
        config.init_from = before or config.init_from
        before = str(directory / name / "best")
        if (directory / name / "done").is_file():
            _say(f"{name}: done, see {before}")
        else:
            yield name, config


def _set(config: ConfigDict, value: str) -> None:
    """Changes a value of a stage: "train.tokens=512".

    Raises:
        ValueError: no such value, or one of another type.
    """
    name, _, text = value.partition("=")
    try:
        new = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        new = text
    try:
        config.lock().update_from_flattened_dict({name: new})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"--set={value}: {error}; expected NAME=VALUE of {config.name}") from error


def run(config: ConfigDict, directory: Path) -> None:
    """One stage in its directory."""
    stage = Stage.from_config(config.to_dict())
    with workdir.opened(directory, stage):
        trainer = Trainer(stage, directory)
        _describe(trainer)
        with _Bar(stage, trainer.step) as bar:
            figures = trainer.run(bar.report, _answer(stage.evaluate))
        (directory / "done").write_text(json.dumps(figures, indent=1) + "\n")
    _say(f"{stage.name}: the best checkpoint is {directory / 'best'}")


def _describe(trainer: Trainer) -> None:
    stage = trainer.stage
    _say(
        f"{stage.name} from {stage.init_from or 'nothing'}, on "
        f"{', '.join(lesson.data for lesson in stage.lessons)}; rows of {trainer.row}"
    )
    if _VERBOSE.value and jax.process_index() == 0:
        trained = set(trainer.trainable_paths)
        marked = {
            f"{'train ' if path in trained else 'frozen'} {path}": leaf
            for path, leaf in trainer.flat_params.items()
        }
        print(parameter_overview.get_parameter_overview(marked, include_stats=False))


def _answer(settings: Evaluate) -> Answer | None:
    """Held-out problems answered by real decoding: the share of right numbers."""
    if not (settings.data and settings.num_answers) or jax.process_count() > 1:
        return None  # on a pod, launch/evaluate.py shares the problems out
    items = limited(DatasetSet(settings.data, settings.split).questions(), settings.num_answers)

    def answer(omni: Omni) -> Figures:
        if jax.default_backend() == "cpu":  # simulated devices only get into each other's way
            omni = _on_one_device(omni)
        questions = [question_of_item(item) for item in items]
        with omni.on_mesh():
            replies = Engine(omni).generate(questions, max_tokens=_MAX_TOKENS)
        right = [
            judge_number(reply.response, item).normalised
            for reply, item in zip(replies, items, strict=True)
        ]
        violated = [bool(reply.violations) for reply in replies]
        return {
            "right": sum(right) / len(right),
            "violations": sum(violated) / len(violated),
            "truncated": sum(reply.truncated for reply in replies) / len(replies),
        }

    return answer


def _on_one_device(omni: Omni) -> Omni:
    mesh = make_mesh(fsdp=1, devices=jax.local_devices()[:1])
    everywhere = NamedSharding(mesh, PartitionSpec())
    params = jax.device_put(jax.device_get(omni.params), everywhere)
    return dataclasses.replace(omni, params=params, mesh=mesh)


class _Bar:
    """A progress bar with what matters now; one line an evaluation."""

    _SHOWN: typing.ClassVar = {
        "loss": "loss",
        "steps_per_s": "steps/s",
        "tokens_per_s": "tok/s",
        "mfu": "mfu",
        "tflop_per_s": "TFLOP/s",
        "data_wait_share": "wait",
    }

    def __init__(self, stage: Stage, done: int) -> None:
        self._name = stage.name
        self._bar = tqdm(
            total=stage.train.steps,
            initial=done,
            desc=stage.name,
            unit="step",
            disable=jax.process_index() > 0,
        )

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def report(self, event: Event) -> None:
        """Shows an event of the run."""
        if event.kind == "step":
            shown = {
                name: f"{event.figures[key]:.3g}"
                for key, name in self._SHOWN.items()
                if key in event.figures and not (key == "tflop_per_s" and "mfu" in event.figures)
            }
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(event.step - self._bar.n)
        elif event.kind == "held_out":
            figures = "  ".join(f"{key} {value:.4g}" for key, value in event.figures.items())
            self._bar.write(f"{self._name} step {event.step}: {figures}", file=sys.stderr)


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, flush=True)


if __name__ == "__main__":
    app.run(main)
