"""The table of all calls."""

from . import (
    display_calls,
    estimator_calls,
    metric_calls,
    model_calls,
    network_calls,
    part_calls,
)

CALLS = [
    *metric_calls.CALLS,
    *part_calls.CALLS,
    *network_calls.CALLS,
    *estimator_calls.CALLS,
    *display_calls.CALLS,
    *model_calls.CALLS,
]
