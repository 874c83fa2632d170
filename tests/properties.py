"""Settings of the tests that try many inputs: the same ones at each run, few enough for seconds."""

from hypothesis import HealthCheck, settings

few = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
