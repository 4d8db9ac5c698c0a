r"""Asks a checkpoint spoken questions, judges the replies and reports.

    python launch/evaluate.py --config=configs/evaluate.py --checkpoint=DIR --data=DIR --out=DIR
    python launch/evaluate.py --checkpoint=DIR --data=amao0o0/spoken-mqa --out=DIR \
        --compare=in_speaking,before_speaking,direct --ratios=2:4,2:16,adaptive \
        --causality --cascade --config.listen=True

`--data` is a directory or hub id of Spoken-MQA, or a data set of launch/synthesize.py. In `--out`
come report.md, report.json, plots, and every reply in replies-*.jsonl; the same command again goes
on where a killed run stopped. Every local device answers batches of its own. On several machines
start it on each, with --distributed where the cluster tells JAX who is who, or with --coordinator,
--num_processes and --process_id.
"""

import sys
from pathlib import Path
from typing import Any

import jax
from absl import app, flags, logging
from ml_collections import config_flags
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import reasoner_jax as rj
from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation import replicas, suite, table
from reasoner_jax.evaluation.item_set import ItemSet, digest, item_set, limited
from reasoner_jax.evaluation.judge import JUDGES
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.run import Workers
from reasoner_jax.models.omni import Omni
from reasoner_jax.synthesis.endpoint import EndpointError
from reasoner_jax.synthesis.recognise import Recognizer, make_recognizer

Config = dict[str, Any]

_CONFIG = config_flags.DEFINE_config_file("config", str(Path("configs/evaluate.py")))
_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Ours or Hugging Face's.", required=True)
_DATA = flags.DEFINE_string("data", None, "Spoken-MQA, or a data set of ours.", required=True)
_OUT = flags.DEFINE_string("out", None, "Directory of the report.", required=True)
_COMPARE = flags.DEFINE_list("compare", [], "Modes: in_speaking, before_speaking, direct.")
_RATIOS = flags.DEFINE_list("ratios", [], "In-speaking ratios: 2:4, 2:8, adaptive.")
_CAUSALITY = flags.DEFINE_bool("causality", False, "Tampers with the thoughts.")
_CASCADE = flags.DEFINE_bool("cascade", False, "A recogniser hears, the thinker reads.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One process of several, found by JAX.")
_COORDINATOR = flags.DEFINE_string("coordinator", "", "host:port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", 1, "Of the whole run.", 1)
_PROCESS_ID = flags.DEFINE_integer("process_id", 0, "Of this one.", 0)


def main(_: list[str]) -> None:
    """Evaluates; the first process writes the report and prints it."""
    logging.set_verbosity(logging.WARNING)
    jax.config.update("jax_compilation_cache_dir", str(Path(".jax_cache").absolute()))
    try:
        _evaluate(_CONFIG.value.to_dict())
    except (ValueError, OSError, ImportError, EndpointError) as error:
        sys.exit(f"evaluate: {error}")


def _evaluate(config: Config) -> None:
    _join_processes()
    found = item_set(_DATA.value, config["splits"])
    wanted = set(config["groups"])
    asked = (item for item in found.questions() if not wanted or item.split in wanted)
    items = limited(asked, config["limit"], config["num_per_group"])
    if wanted and not items:
        raise ValueError(f"groups: {sorted(wanted)} has no item of {_DATA.value}")
    omni = _load(config)
    plan = _plan(config, omni)
    recognizer = _recognizer(config)
    judge = JUDGES[config["judge"]] if config["judge"] else found.judge
    workers = Workers(
        {"": replicas.engines(omni, config["batch_size"])},
        config["batch_size"],
        recognizer if config["listen"] else None,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    log = ReplyLog(_OUT.value, _run(config, plan, omni, items), jax.process_index())
    total = len(items) * plan.num_conditions // jax.process_count()
    with tqdm(total=total, unit="reply", smoothing=0.05, disable=jax.process_index() > 0) as bar:
        report = suite.evaluate(
            plan,
            items,
            judge,
            workers,
            log,
            recognizer=recognizer,
            title=f"{Path(_CHECKPOINT.value).name} on {found.name}",
            facts=_facts(omni, found, items),
            progress=lambda reply: _advance(bar),
        )
    if jax.process_index() == 0:
        written = suite.write(report, Path(_OUT.value))
        print(table.summary(report))
        print(f"written: {', '.join(str(path) for path in written)}")


def _advance(bar: tqdm) -> None:
    bar.update()


def _join_processes() -> None:
    if _COORDINATOR.value:
        jax.distributed.initialize(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    elif _DISTRIBUTED.value:
        jax.distributed.initialize()


def _load(config: Config) -> Omni:
    on_cpu = jax.default_backend() == "cpu"
    dtype = config["dtype"] or ("float32" if on_cpu else "bfloat16")
    sizes = config["mesh"]
    mesh = None
    if any(size != 1 for size in sizes.values()):
        mesh = rj.make_mesh(**sizes, devices=jax.local_devices())
    compute = rj.Compute(dtype=dtype, param_dtype=dtype, scan_layers=False)
    return rj.load(_CHECKPOINT.value, compute, mesh)


def _plan(config: Config, omni: Omni) -> suite.Plan:
    instruction = {"yes": True, "no": False, "auto": omni.reply_format is None}
    wanted = config["instruction"]
    if wanted not in instruction:
        raise ValueError(f"instruction: expected one of {list(instruction)}, got {wanted!r}")
    return suite.Plan(
        schedule=replicas.taught(omni).schedule,
        modes=tuple(_COMPARE.value),
        ratios=tuple(_RATIOS.value),
        control=config["control"],
        as_text=config["as_text"],
        cascade=_CASCADE.value,
        causality=_CAUSALITY.value,
        with_instruction=instruction[wanted],
        max_tokens=config["max_tokens"],
        num_timed=config["num_timed"],
        seed=config["seed"],
    )


def _recognizer(config: Config) -> Recognizer | None:
    if not (_CASCADE.value or config["listen"]):
        return None
    return make_recognizer(config["recognizer"], **config["recognizer_options"])


def _run(
    config: Config, plan: suite.Plan, omni: Omni, items: list[SpokenQuestion]
) -> dict[str, object]:
    """What decides the replies; conditions may be added to a run later."""
    return {
        "checkpoint": replicas.fingerprint(omni),
        "items": digest(items),
        "batch_size": config["batch_size"],
        "max_tokens": plan.max_tokens,
        "with_instruction": plan.with_instruction,
        "judge": config["judge"],
        "listen": config["listen"],
        "seed": plan.seed,
    }


def _facts(omni: Omni, found: ItemSet, items: list[SpokenQuestion]) -> dict[str, str]:
    devices = jax.local_devices()
    num_params = sum(leaf.size for leaf in jax.tree.leaves(omni.params))
    return {
        "checkpoint": f"{_CHECKPOINT.value} ({num_params / 1e6:.1f} M parameters)",
        "items": f"{len(items)} of {found.name}, {_DATA.value}",
        "devices": f"{jax.process_count()} x {len(devices)} {devices[0].device_kind}",
    }


if __name__ == "__main__":
    app.run(main)
