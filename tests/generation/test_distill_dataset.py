"""A data set of codes: whole after any kill, and of one origin."""

import functools

import numpy as np
import pytest

from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.generation import distill_dataset
from reasoner_jax.generation.distill import Distiller
from reasoner_jax.generation.distill_dataset import distill
from reasoner_jax.generation.sampling import Draw
from tests.data.problems import spoken_problem, waveform, write_dataset
from tests.generation.speakers import speaker

ORIGIN = {"checkpoint": "somewhere", "voice": None}


@functools.cache
def distiller() -> Distiller:
    return Distiller.of(speaker(), rows=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    texts = ["Well, two.", "", "Let me think.", "It is four.", "Well, well."]
    problems = [
        spoken_problem(number, response=text, response_waveform=waveform(800, number))
        for number, text in enumerate(texts)
    ]
    return SpokenDataset(write_dataset(tmp_path_factory.mktemp("spoken") / "data", problems))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    directory = tmp_path_factory.mktemp("codes") / "data"
    return directory, distill(dataset, directory, distiller(), origin=ORIGIN)


def files(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_the_same_problems_are_there_with_codes_in_place_of_recordings(dataset, whole):
    directory, counts = whole
    assert counts == {"": 4, "nothing to say": 1}
    made = SpokenDataset(directory)
    for place, record in enumerate([0, 2, 3, 4]):
        old, new = dataset[record], made[place]
        assert new.problem == old.problem and new.response == old.response
        np.testing.assert_array_equal(new.waveform, old.waveform)
        assert new.response_waveform is None
        assert made.outline(place).num_codes == len(new.response_codes) > 2


@pytest.mark.parametrize("num_done", [1, 3])
def test_a_killed_run_goes_on_to_the_same_bytes(dataset, whole, tmp_path, num_done):
    reasons = []

    def stop(reason):
        reasons.append(reason)
        if len(reasons) == num_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(dataset, tmp_path, distiller(), origin=ORIGIN, progress=stop)
    rest = []
    counts = distill(dataset, tmp_path, distiller(), origin=ORIGIN, progress=rest.append)
    assert len(rest) == 5 - num_done
    assert counts == whole[1]
    assert files(tmp_path) == files(whole[0])
    assert distill(dataset, tmp_path, distiller(), origin=ORIGIN) == counts


def test_codes_of_another_origin_are_refused(dataset, whole):
    other = {**ORIGIN, "checkpoint": "elsewhere"}
    with pytest.raises(ValueError, match=r"checkpoint \('somewhere', now 'elsewhere'\)"):
        distill(dataset, whole[0], distiller(), origin=other)
    with pytest.raises(ValueError, match=r"seed \(0, now 1\)"):
        distill(dataset, whole[0], distiller(), origin=ORIGIN, seed=1)


def test_the_data_set_to_be_spoken_is_not_overwritten(dataset):
    with pytest.raises(ValueError, match="holds the data set to be spoken"):
        distill(dataset, dataset.directory, distiller(), origin=ORIGIN)


def test_where_nothing_can_be_said_the_counts_are_told(dataset, tmp_path):
    babbler = Distiller.of(speaker(ends=0.0), draw=Draw(), rows=5)
    expected = f"'{distill_dataset.SPEECH_DOES_NOT_END}': 4, '{distill_dataset.NOTHING_TO_SAY}': 1"
    with pytest.raises(ValueError, match=f"5 problems were dropped: .*{expected}"):
        distill(dataset, tmp_path, babbler, origin=ORIGIN)
