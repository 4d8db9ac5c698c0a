"""The compiled machine is `text.schedule`'s, token by token, for every schedule and any reply."""

import functools
from unittest import mock

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoner_jax.generation import slots
from reasoner_jax.text import schedule as machine
from reasoner_jax.text.schedule import ControlIds, Schedule, Stream

IDS = ControlIds(speak=90, think=91, pad=92, wait=93, end_of_thought=94, end_of_response=95)
BATCH = 6
WIDTH = 7

schedules = st.builds(
    Schedule,
    response=st.integers(1, 3),
    reasoning=st.integers(1, 5),
    lead=st.sampled_from(["response", "reasoning"]),
    mode=st.sampled_from(["in_speaking", "before_speaking", "direct"]),
    control_tokens=st.booleans(),
)

next_runs = jax.jit(functools.partial(slots.next_runs, ids=IDS))
fill = jax.jit(slots.fill)


def compiled(function, platform):
    """The function in the form that a platform runs, on this one."""

    def choose(*args, **forms):
        return forms.get(platform, forms["default"])(*args)

    def call(*args, **kwargs):
        with mock.patch.object(jax.lax, "platform_dependent", choose):
            return function(*args, **kwargs)

    return jax.jit(call)


PENDING = functools.partial(slots.pending, ids=IDS, width=WIDTH)
FORMS = {name: (compiled(PENDING, name), compiled(slots.feed, name)) for name in ("cpu", "cuda")}


def random_token(state, run, rng):
    """A token for a free slot, and the state in which it is taken: sometimes a pause, or an end."""
    if run.stream == Stream.RESPONSE and not state.thought_ended:
        if rng.random() < 0.2:
            return IDS.wait, state.hold()
        return 7, state
    ends = IDS.end_of_response if run.stream == Stream.RESPONSE else IDS.end_of_thought
    return (ends if rng.random() < 0.2 else 8), state


def assert_same(rows, states):
    for name, expected in vars(slots.rows_of(states)).items():
        np.testing.assert_array_equal(getattr(rows, name), expected, err_msg=name)


def maybe_paced(state, rng, mode):
    """At times another reasoning length for the block, as pacing sets it."""
    if mode != "in_speaking" or state.response_ended or rng.random() > 0.2:
        return state
    return state.with_reasoning(int(rng.integers(0, 6)))


@settings(max_examples=60)
@given(st.lists(schedules, min_size=BATCH, max_size=BATCH), st.integers(0, 2**31))
def test_runs_and_states_equal_the_definition(chosen, seed):
    rng = np.random.default_rng(seed)
    layouts = slots.layouts_of(chosen)
    states = [machine.start(schedule) for schedule in chosen]
    for _ in range(40):
        states = [maybe_paced(state, rng, s.mode) for state, s in zip(states, chosen, strict=True)]
        rows = slots.rows_of(states)
        runs = next_runs(rows, layouts)
        ends = np.zeros((2, BATCH), bool)
        counts = np.zeros(BATCH, np.int32)
        for i, schedule in enumerate(chosen):
            run = machine.next_run(states[i], schedule, IDS)
            assert bool(runs.complete[i]) == (run is None)
            if run is None:
                continue
            assert int(runs.streams[i]) == run.stream
            assert int(runs.counts[i]) == (slots.UNTIL_END if run.count is None else run.count)
            assert bool(runs.forced[i]) == (run.token is not None)
            counts[i] = 1
            if run.token is not None:
                assert int(runs.tokens[i]) == run.token
                token = run.token
            else:
                token, states[i] = random_token(states[i], run, rng)
                ends[:, i] = token == IDS.end_of_response, token == IDS.end_of_thought
            states[i] = machine.advance(states[i], token, schedule, IDS)
        rows = rows.replace(held=rows.held | np.array([state.held for state in states]))
        rows = fill(rows, layouts, counts, ends[0], ends[1])
        # What is complete stays where it is.
        assert_same(rows, states)


@pytest.mark.parametrize("platform", FORMS)
@settings(max_examples=60)
@given(chosen=st.lists(schedules, min_size=BATCH, max_size=BATCH), seed=st.integers(0, 2**31))
def test_pending_tokens_are_the_forced_ones_in_order(platform, chosen, seed):
    pending, feed = FORMS[platform]
    rng = np.random.default_rng(seed)
    layouts = slots.layouts_of(chosen)
    states = [machine.start(schedule) for schedule in chosen]
    for _ in range(12):
        carry = (
            np.full(BATCH, 7, np.int32),
            np.full(BATCH, Stream.RESPONSE, np.int32),
            rng.random(BATCH) < 0.5,
        )
        limits = rng.integers(0, 9, BATCH).astype(np.int32)
        rows = slots.rows_of(states)
        waiting = pending(rows, layouts, carry=carry, limits=limits)
        fed = rng.integers(0, np.asarray(waiting.counts) + 1).astype(np.int32)
        after = feed(rows, layouts, waiting, fed)
        for i, schedule in enumerate(chosen):
            forced = machine.next_slots(states[i], schedule, IDS)
            known = [7] * int(carry[2][i]) + list(forced.forced)
            streams = [1] * int(carry[2][i]) + [int(s) for s in forced.forced_streams]
            count = int(waiting.counts[i])
            assert count <= min(limits[i], WIDTH)
            assert waiting.tokens[i, :count].tolist() == known[:count]
            assert waiting.streams[i, :count].tolist() == streams[:count]
            if limits[i]:
                assert count == min(len(known), limits[i], WIDTH) or count >= 4
            for token in known[int(carry[2][i]) : fed[i]]:
                states[i] = machine.advance(states[i], token, schedule, IDS)
        assert_same(after, states)
        for i, schedule in enumerate(chosen):  # then what the network samples
            run = machine.next_run(states[i], schedule, IDS)
            if run is not None and run.token is None:
                token, states[i] = random_token(states[i], run, rng)
                states[i] = machine.advance(states[i], token, schedule, IDS)
