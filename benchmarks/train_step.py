"""Is a training step as fast as the original's?

    OMP_WAIT_POLICY=passive python benchmarks/train_step.py --rounds 9
    XLA_FLAGS="--xla_force_host_platform_device_count=2 $XLA_FLAGS" \
        OMP_WAIT_POLICY=passive python benchmarks/train_step.py --rounds 9 --cases 1
    python benchmarks/train_step.py --dtype bfloat16 --cases 4 5 6          # on a GPU of 80 GB
    python benchmarks/train_step.py --dtype bfloat16 --cases 7 --remat dots --peer no     # 140 GB
    python benchmarks/train_step.py --dtype bfloat16 --cases 5 --method muon --peer no
    python benchmarks/train_step.py --dtype bfloat16 --cases 8 --peer no           # the talker's

The second command splits the rows over two devices of one core each, as `launch/quickstart.sh`
does. The step is `training.step.make_train_step` of stage 4, on the whole thinker, or of stage 5,
which trains the talker behind a frozen thinker and has no peer here; the peer of stage 4 is
transformers with `torch.optim.AdamW`. Both start from the same random weights and take the same
batches, in one process and in turns; the losses after the last step show that they do the same.
In bfloat16 both keep float32 parameters and moments, and the peer computes under `torch.autocast`.
Packed rows are given to the peer as a mask over all pairs of tokens, with restarted positions.
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import jax
import machine
import numpy as np
import torch
import transformers
from flax.core import meta
from jax.sharding import Mesh
from model_vs_transformers import peer, torch_done

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.streaming import filled
from configs import stage4, stage5
from reasoner_jax.core.records import Batch
from reasoner_jax.core.sharding import batch_sharding, make_mesh, param_shardings
from reasoner_jax.data.task import RowBudget
from reasoner_jax.models.config import Compute, OmniConfig, Remat, ThinkerConfig
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.models.presets import preset
from reasoner_jax.text.schedule import Stream
from reasoner_jax.training import flops, state
from reasoner_jax.training.optimizer import make_optimizer
from reasoner_jax.training.stage import Stage
from reasoner_jax.training.step import jitted, make_train_step
from reasoner_jax.weights.load import load

RATE = 1e-4
Step = Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table; `layers` shortens the decoder, 0 for all of the preset's.

    `codes` of speech an example make it stage 5, the talker's.
    """

    preset: str
    layers: int
    rows: int
    examples: int
    tokens: int
    chunks: int
    codes: int = 0

    @property
    def sizes(self) -> ThinkerConfig:
        sizes = preset(self.preset).thinker
        layers = self.layers or sizes.decoder.num_layers
        decoder = dataclasses.replace(sizes.decoder, num_layers=layers)
        return dataclasses.replace(sizes, decoder=decoder)

    @property
    def config(self) -> OmniConfig:
        """Of a network that hears and thinks, and is silent but in stage 5."""
        whole = preset(self.preset)
        talker = whole.talker if self.codes else None
        return dataclasses.replace(whole, thinker=self.sizes, talker=talker, token2wav=None)

    @property
    def words(self) -> str:
        seconds = self.chunks * self.sizes.audio.chunk_frames // 100
        heard = f", {seconds} s of audio in each" if seconds else ""
        packed = f"{self.examples} examples of " if self.examples > 1 else ""
        said = f" and {self.codes} codes said" if self.codes else ""
        return (
            f"{self.preset}, {self.sizes.decoder.num_layers} layers; {self.rows} rows of {packed}"
            f"{self.tokens} tokens{heard}{said}"
        )


CASES = (
    Case("smol", 4, 4, 1, 256, 0),
    Case("tiny", 0, 8, 1, 384, 2),
    Case("tiny", 0, 1, 8, 256, 1),
    Case("tiny", 0, 1, 2, 1024, 4),
    Case("smol", 0, 32, 1, 1024, 0),
    Case("3b", 6, 4, 1, 2048, 8),
    Case("3b", 6, 1, 8, 1024, 4),
    Case("3b", 0, 8, 1, 2048, 8),
    Case("3b", 0, 8, 1, 2048, 8, codes=2048),
)
_ON_A_CPU = range(4)
_WARM_UP = 2
"""Steps: the first compiles, and the second where the parameters were not bound to a device."""


def random_batch(case: Case) -> Batch:
    """Audio first in each example, then text, all of whose tokens are targets."""
    rng, sizes = np.random.default_rng(0), case.sizes
    shape = (case.rows, case.examples * case.tokens)
    positions = np.tile(np.arange(case.tokens), (case.rows, case.examples))
    heard = case.chunks * sizes.audio.chunk_tokens
    words = rng.integers(100, 900, shape)
    tokens = np.where(positions < heard, sizes.audio_token_id, words)
    loss_mask = (positions >= heard) & (positions < case.tokens - 1)
    streams = np.where(positions % 10 < 2, Stream.RESPONSE, Stream.REASONING)
    chunks = (case.rows, case.examples * case.chunks)
    frames = sizes.audio.chunk_frames
    said = {} if not case.codes else random_codes(case, rng)
    mel = rng.normal(size=(*chunks, frames, sizes.audio.num_mel_bins))
    return Batch(
        tokens=tokens.astype(np.int32),
        targets=np.roll(tokens, -1, axis=1).astype(np.int32),
        loss_mask=loss_mask,
        streams=streams.astype(np.int32),
        positions=positions.astype(np.int32),
        segment_ids=np.repeat(np.arange(1, case.examples + 1), case.tokens)[None]
        .repeat(case.rows, axis=0)
        .astype(np.int32),
        example_rows=np.zeros((case.rows, case.examples), np.int32),
        mel=mel.astype(np.float32) if case.chunks else None,
        frames=np.full(chunks, frames, np.int32) if case.chunks else None,
        **said,
    )


def random_codes(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What a batch holds of the talker's steps, each of which reads a token of its own row."""
    shape = (case.rows, case.examples * case.codes)
    codes = rng.integers(0, case.config.talker.codec_start_token_id, shape).astype(np.int32)
    segments = np.repeat(np.arange(1, case.examples + 1), case.codes)
    return {
        "codes": codes,
        "code_inputs": np.roll(codes, 1, axis=1),
        "code_segment_ids": np.tile(segments, (case.rows, 1)).astype(np.int32),
        "code_sources": np.sort(rng.integers(0, case.tokens, shape)).astype(np.int32),
    }


def our_stage(case: Case, method: str) -> Stage:
    """Stage 5 where something is said, else stage 4 of all that hears and thinks."""
    if case.codes:
        config = stage5.get_config(case.preset)
        config.optimizer.update(method=method, warmup_steps=0)
        return Stage.from_config(config.to_dict())
    config = stage4.get_config(case.preset)
    config.trainable = ("thinker/.*",)
    # The peer weighs all targets alike, and has no head that spells.
    config.losses.update(response=1.0, reasoning=1.0, ctc=0.0)
    config.optimizer.update(method=method, peak_rate=RATE, warmup_steps=0, final_share=1.0)
    config.optimizer.update(weight_decay=0.0, clip_norm=0.0, ema_decay=0.0)
    return Stage.from_config(config.to_dict())


def our_step(stage: Stage, omni: Omni, batch: Batch) -> Step:
    trainable, frozen = state.split(omni.params, stage.trainable)
    optimizer = make_optimizer(stage.optimizer, stage.train.steps, trainable)
    now = [state.create(trainable, optimizer, averages=False)]
    step = jitted(make_train_step(stage, omni, optimizer), now[0])
    placed = jax.device_put(batch, omni.mesh and batch_sharding(omni.mesh))

    def call() -> float:
        with omni.on_mesh():
            now[0], metrics = step(now[0], frozen, placed)
        return float(metrics.loss)

    return call


def their_step(case: Case, model: transformers.PreTrainedModel, batch: Batch, dtype: str) -> Step:
    thinker, device = model.thinker.train(), model.device
    for name, parameter in thinker.named_parameters():
        parameter.requires_grad_("visual" not in name)
    trained = {id(p): p for p in thinker.parameters() if p.requires_grad}
    adamw = torch.optim.AdamW(trained.values(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    labels = torch.tensor(np.where(batch.loss_mask, batch.targets, -100)).long().to(device)
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor(batch.tokens).long(),
        "position_ids": torch.tensor(batch.positions)[None].repeat(3, 1, 1).long(),
    }
    if case.examples > 1:
        same = batch.segment_ids[:, :, None] == batch.segment_ids[:, None]
        inputs["attention_mask"] = torch.tensor(np.tril(same))[:, None]
    if batch.mel is not None:
        mel = batch.mel.reshape(case.rows * case.examples, -1, batch.mel.shape[-1])
        inputs["input_features"] = torch.tensor(mel).transpose(1, 2)
        inputs["feature_attention_mask"] = torch.ones(mel.shape[:2], dtype=torch.long)
    inputs = {name: value.to(device) for name, value in inputs.items()}
    half = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")

    def call() -> float:
        adamw.zero_grad()
        with half:
            scores = thinker(**inputs, use_cache=False).logits.float()
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten())
        loss.backward()
        adamw.step()
        return torch_done(loss.detach()).item()

    return call


def mesh_of(case: Case) -> Mesh | None:
    """All devices share the rows where they can be shared evenly."""
    count = jax.device_count()
    return make_mesh(data=count, fsdp=1) if count > 1 and case.rows % count == 0 else None


def start(case: Case, args: argparse.Namespace, stage: Stage, batch: Batch) -> dict[str, Step]:
    """The steps to be measured, by name."""
    compute = Compute(dtype=args.dtype, remat=args.remat)
    if args.peer == "no":
        shapes, mesh = abstract_params(case.config, compute), mesh_of(case)
        params = filled(shapes)
        if mesh is not None:
            params = jax.device_put(params, param_shardings(shapes, mesh))
        omni = Omni(case.config, compute, params, mesh=mesh)
        return {"ours": our_step(stage, omni, batch)}
    model = peer(case.sizes, "float32")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        omni = load(folder, compute=compute, mesh=mesh_of(case))
    theirs = their_step(case, model, batch, args.dtype)
    return {"ours": our_step(stage, omni, batch), "theirs": theirs}


def measure(case: Case, args: argparse.Namespace) -> None:
    """Prints one row of the table."""
    batch, stage = random_batch(case), our_stage(case, args.method)
    steps = start(case, args, stage, batch)
    wall: dict[str, list[float]] = {name: [] for name in steps}
    work: dict[str, list[float]] = {name: [] for name in steps}
    losses = {}
    for number in range(-_WARM_UP, args.rounds):
        for name, step in steps.items():
            since, spent = time.perf_counter(), time.process_time()
            losses[name] = step()
            if number >= 0:
                wall[name].append(time.perf_counter() - since)
                work[name].append(time.process_time() - spent)
    cells = [case.words]
    for times in (wall, work):
        cells += [f"{min(each):.3f}" for each in times.values()]
        if "theirs" in times:
            pairs = zip(times["ours"], times["theirs"], strict=True)
            cells.append(f"{statistics.median(theirs / ours for ours, theirs in pairs):.2f}")
    cells.append(" / ".join(f"{loss:.4f}" for loss in losses.values()))
    line = "| " + " | ".join(cells) + " |"
    print(line + share_of_peak(case, stage, min(wall["ours"])), flush=True)


def share_of_peak(case: Case, stage: Stage, seconds: float) -> str:
    """What a step makes of a device whose peak is known, as a further cell."""
    peak = flops.peak(jax.devices()[0])
    if peak is None:
        return ""
    params = meta.unbox(abstract_params(case.config, Compute()))
    sizes, trained = flops.sizes_of(params), set(state.split(params, stage.trainable)[0])
    row = RowBudget(
        case.examples * case.tokens, case.examples * case.chunks, case.examples * case.codes
    )
    work = case.rows * flops.of_row(case.config, sizes, trained, row, stage.losses)
    rate = case.rows * row.tokens / seconds
    return f" {rate:,.0f} tokens/s, {work / seconds / peak / jax.device_count():.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs="+", default=list(_ON_A_CPU))
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--remat", default="none", choices=get_args(Remat))
    parser.add_argument("--method", default="adamw", choices=["adamw", "muon"])
    parser.add_argument("--peer", default="yes", choices=["yes", "no"], help="transformers too")
    args = parser.parse_args()
    if args.peer == "yes" and (args.method != "adamw" or any(CASES[n].codes for n in args.cases)):
        parser.error("transformers is measured with AdamW and without a talker; add --peer=no")
    print(
        f"{machine.describe()}, torch {torch.__version__}, transformers {transformers.__version__}"
        f"\n\nMedian of {args.rounds} ratios, the fastest step in seconds, {args.dtype}.\n"
    )
    both, alone = ["ours, s", "transformers, s", "theirs / ours"], ["ours, s"]
    columns = both if args.peer == "yes" else alone
    columns = ["", *columns, *(name.replace(", s", ", processor s") for name in columns)]
    columns.append("loss after the last step")
    if flops.peak(jax.devices()[0]):
        columns.append("rate, share of the bfloat16 peak (MFU)")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for number in args.cases:
        measure(CASES[number], args)


if __name__ == "__main__":
    main()
