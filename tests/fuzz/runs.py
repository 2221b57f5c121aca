"""How long the fuzzing goes on: a few fixed examples of everything in CI, other ones for as long as asked elsewhere.

`make fuzz` sets SYNCD_FUZZ_EXAMPLES and prints the seed; the same seed makes the same examples.
"""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("SYNCD_FUZZ_EXAMPLES", "0"))


def fuzz(examples: int) -> settings:
    """Return how a test is fuzzed: so many fixed examples in CI, SYNCD_FUZZ_EXAMPLES random ones if that is set."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink] if EXAMPLES else [Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        stateful_step_count=20,
    )
