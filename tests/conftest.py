"""What all tests share: how Hypothesis searches.

`make test` searches the same examples every time, so that a red run means a change and not chance;
`make soak` searches at random, and longer.
"""

import os

from hypothesis import HealthCheck, settings

# How fast examples come says something of the machine, not of the code.
PATIENT = (HealthCheck.too_slow,)
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=PATIENT, print_blob=True
)
settings.register_profile(
    "search", deadline=None, max_examples=1000, suppress_health_check=PATIENT, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
