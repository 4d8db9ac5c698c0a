"""Stage 5 on codes that a released talker has said: no recording, no encoder of a codec."""

import pytest

import reasoner_jax as rj
from reasoner_jax.core import params as trees
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.generation.distill import Distiller
from reasoner_jax.generation.distill_dataset import distill
from reasoner_jax.training import loop, series
from tests.generation.speakers import speaker
from tests.training import runs


@pytest.mark.slow
def test_a_talker_learns_from_codes_without_a_recording_or_an_encoder(tmp_path):
    network, data = tmp_path / "network", tmp_path / "codes"
    rj.save(network, speaker())
    spoken = SpokenDataset(runs.write_problems(tmp_path / "data", count=6))
    distiller = Distiller.of(rj.load(network), rows=6)
    distill(spoken, data, distiller, origin={"checkpoint": str(network)})
    assert SpokenDataset(data).outline(0).num_response_samples == 0
    stage = runs.stage(
        str(network),
        str(data),
        trainable=["talker/.*"],
        lessons=[{"data": str(data), "allow_wait": True, "codes": True}],
        losses={"response": 0.0, "reasoning": 0.0, "codes": 1.0},
        train__steps=6,
    )
    loop.train(stage, tmp_path / "run")
    losses = [figures["loss/codes"] for figures in series.read(tmp_path / "run").values()]
    # The codes are drawn from forty that are nearly as likely: there is little more to learn.
    assert len(losses) == 6 and losses[-1] < losses[0] - 0.1
    before, after = (trees.flatten(rj.load(p).params) for p in (network, tmp_path / "run" / "best"))
    changed = {path.split("/")[0] for path in before if (before[path] != after[path]).any()}
    assert changed == {"talker"}
