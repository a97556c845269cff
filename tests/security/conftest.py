"""How Hypothesis searches: the same examples in every run; `tools/fuzz.py` looks for others."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lakebed",
    max_examples=100,
    # A busy machine is no fault of the code; what hangs is found by the whole run's end.
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lakebed")
