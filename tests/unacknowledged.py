"""A database whose n-th commit is not acknowledged."""

from syncd.store.database import Unacknowledged


class Failing:
    """A backend whose n-th commit is not acknowledged, though it may have been kept."""

    def __init__(self, backend, number: int, *, kept: bool) -> None:
        self._backend, self.dialect = backend, backend.dialect
        self._left, self._kept, self.failed = number, kept, 0

    async def read(self, operation):
        return await self._backend.read(operation)

    async def transact(self, operations):
        self._left -= 1
        if self._left:
            return await self._backend.transact(operations)
        if self._kept:
            await self._backend.transact(operations)
        self.failed += 1
        raise Unacknowledged("cut off in the commit")

    async def close(self) -> None:
        await self._backend.close()
