#!/usr/bin/env bash
# From nothing to a model that thinks aloud, on two CPU cores and without any download at run time:
# speech is synthesised, the preset `tiny` goes through all five stages, answers held-out spoken
# problems in three modes, and speaks an answer into answer.wav.
#   bash launch/quickstart.sh
# Run again after an interruption, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
source launch/setup.sh speech

run=runs/quickstart
mkdir -p "$run"
export JAX_PLATFORMS=cpu
export JAX_COMPILATION_CACHE_DIR="$PWD/.jax_cache"
# NumPy's small products, beside them: a second thread only takes a core from the devices.
export OPENBLAS_NUM_THREADS=1

# part NAME COMMAND ..: runs the command unless it is done, and notes its seconds.
part() {
  local name=$1 since=$SECONDS status=0
  shift
  if [ -f "$run/$name.done" ]; then return; fi
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  echo "$name $((SECONDS - since))" >> "$run/seconds.txt"
  if [ "$status" != 0 ]; then exit "$status"; fi
  touch "$run/$name.done"
}
echo "environment $((SECONDS - started))" >> "$run/seconds.txt"

speak() { python launch/synthesize.py --config="configs/data.py:$1" --out="$run/data/$2"; }
part speech speak quickstart spoken
part written_problems speak quickstart_written written
part speech_held_out speak quickstart_held_out held_out

# Two simulated devices share a batch: on two cores faster than one device with two threads.
part training env XLA_FLAGS="--xla_force_host_platform_device_count=2 ${XLA_FLAGS:-}" \
  python launch/run.py --recipe=tiny --data="$run/data" --workdir="$run" --nooverview

part evaluation python launch/evaluate.py --checkpoint="$run/stage5/best" \
  --data="$run/data/held_out" --out="$run/evaluation" \
  --compare=in_speaking,before_speaking,direct --config.num_timed=0

part spoken_answers python launch/evaluate.py --checkpoint="$run/stage5/best" \
  --data="$run/data/held_out" --out="$run/speech" \
  --config.groups="('add','subtract')" --config.limit=64 --config.num_timed=50 \
  --config.listen=True --config.control=False

printf '\n== a question\n'
python launch/talk.py --checkpoint="$run/stage5/best" \
  "$run/data/held_out/samples/1.wav" --out="$run/answer.wav"
python launch/summary.py --run="$run"
cat <<'END'

Listen to runs/quickstart/answer.wav. What to try next:
  python launch/talk.py --checkpoint=runs/quickstart/stage5/best --text="what is twelve plus nine?"
  python launch/evaluate.py --checkpoint=runs/quickstart/stage5/best \
    --data=runs/quickstart/data/held_out --out=runs/quickstart/causality --causality
  tensorboard --logdir=runs/quickstart
  python launch/run.py --config=configs/stage4.py:tiny --workdir=runs/longer \
    --config.init_from=runs/quickstart/stage4/best --config.train.steps=5000
END
