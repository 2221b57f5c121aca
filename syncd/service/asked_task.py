"""Long work that was asked for, as a task beside a system's lane: one at a time, which goes on where it was."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from syncd.model.errors import StoreError
from syncd.store import requests
from syncd.store.requests import Request, RequestState
from syncd.sync.collect import System


class AskedTask(ABC):
    """Carries out requests of one kind; `word` is what they ask for."""

    word: ClassVar[str]

    def __init__(self, system: System) -> None:
        self.system = system
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Say whether one runs; another one waits for it."""
        return self._task is not None and not self._task.done()

    def begin(self, asked: Sequence[Request]) -> None:
        """Begin the first one that is asked for, or go on with it, unless one runs."""
        if asked and not self.is_running:
            self._task = asyncio.create_task(self._begin(asked[0].id), name=f"{self.word} {self.system.name}")

    async def wait(self) -> None:
        """Wait for the one that runs."""
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        """Stop the one that runs; it goes on where it was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _begin(self, request_id: int) -> None:
        """Look the request up as it is now: since a turn began, an earlier run of it may have gone on, or ended."""
        try:
            found = await self.system.database.read(lambda c: requests.find(c, request_id))
        except StoreError:  # the next turn begins it
            return
        if found is not None and found.state in requests.OPEN_STATES:
            await self.carry_out(found)

    @abstractmethod
    async def carry_out(self, request: Request) -> None:
        """Do what a request asks for; what fails in it is told in its result, and fails nothing else."""

    async def end_request(self, request: Request, state: RequestState, result: dict[str, object]) -> None:
        """Store that a request has ended, and with what."""
        now = self.system.clock.now()
        await self.system.database.write(lambda c: requests.end(c, request.id, state, result, now))

    async def fail_request(self, request: Request, error: Exception) -> None:
        """Store that a bug has ended a request; its text may quote what nobody may read, so its type is told."""
        with contextlib.suppress(StoreError):
            failure = f"{type(error).__name__}; see the log"
            await self.end_request(request, RequestState.FAILED, {"failure": failure})
