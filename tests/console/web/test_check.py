"""`syncd check` tells a worker of ours from anything else that listens."""

from syncd.console.check_console import console_findings
from syncd.console.findings import Verdict


async def test_a_worker_that_answers(served):
    """Where a worker listens, the check finds it by what it says of itself, without a token."""
    await served.start()
    port = served.address.rpartition(":")[2]
    (found, *_) = await console_findings(served.load(listen=f"127.0.0.1:{port}"))
    assert (found.verdict, found.found) == (Verdict.GOOD, f"a worker answers at 127.0.0.1:{port}")
