"""The core's end of an agent's control.sock, without the rest of a core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hyperhive.controls import Controls
from hyperhive.store.database import Database


@asynccontextmanager
async def listening(root: Path) -> AsyncIterator[tuple[Controls, Database]]:
    """It listens on `root`/control.sock, for worker."""
    database = await Database.open(root / "hive.db")
    controls = Controls(database)
    await controls.listener.listen(root / "control.sock", "worker")
    try:
        yield controls, database
    finally:
        await controls.listener.close_all()
        await database.close()
