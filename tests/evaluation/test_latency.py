"""Questions by the clock: what only compiled is asked again."""

import jax
import jax.numpy as jnp

from reasoner_jax.evaluation.condition import spoken
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.latency import time_alone
from reasoner_jax.text.schedule import Schedule
from tests.evaluation.replies import ScriptedEngine, item


class CompilingEngine(ScriptedEngine):
    """Compiles for each length of question that it has not met, as a real one does."""

    def __init__(self):
        super().__init__()
        self.double = jax.jit(lambda waveform: 2 * waveform)

    def generate(self, questions, schedule=None, **options):
        for question in questions:
            self.double(jnp.asarray(question.waveform))
        return super().generate(questions, schedule, **options)


def test_a_question_is_asked_again_if_it_made_something_compile():
    engine = CompilingEngine()
    asked = [item(n, 3 * n, num_samples=length) for n, length in enumerate([50, 50, 60, 50, 60])]
    replies = time_alone([spoken("aloud", Schedule())], asked, judge_number, engine)
    assert len(engine.calls) == len(asked) + 2
    assert [reply.item_id for reply in replies] == [question.question_id for question in asked]
    assert all(reply.total_s is not None for reply in replies)
