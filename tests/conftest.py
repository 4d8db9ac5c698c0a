"""Eight simulated devices for every test, set before JAX looks; no deadlines for hypothesis."""

import os

import hypothesis

# A shared machine may stall any single example; what a test may cost is measured as a whole.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
# Small networks compile longer than they run: optimise nothing, the arithmetic stays the same. Of
# the two generators of code for fused loops the older one takes half as long then.
os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
