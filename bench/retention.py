"""Mail without end: the file's size while messages go through a hive whose mailboxes keep 10,000 rows.

`python -m bench.retention 1000000` sends so many instead.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from mail_rig import FREE, Mail, mail

from bench.row import Row
from hyperhive.bounds import HistoryLimits
from hyperhive.retention import Retention

MESSAGES = 200_000
MAX_ROWS = 10_000
BATCH = 500
BODY = "the report is in /state/work/report.txt, as you asked; the second half needs another look " * 3


def measure(messages: int = MESSAGES) -> list[Row]:
    """Send, receive and acknowledge them by the broker; the file after each tenth (40 s for 200,000)."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as name:
        began = time.perf_counter()
        sizes = asyncio.run(_sizes(Path(name), messages))
        took = time.perf_counter() - began
    step = messages // len(sizes)
    grown = max(sizes[1:]) / sizes[1]
    return [
        *(Row(f"the files after {step * (n + 1):,} messages", size, "MB", "", True) for n, size in enumerate(sizes)),
        Row("the largest of them / the second", grown, "ratio", "≤ 1.1", grown <= 1.1),
        Row("messages sent, received and acknowledged", messages / took, "messages/s", "", True),
    ]


async def _sizes(root: Path, messages: int) -> list[float]:
    async with mail(root, max_rows=MAX_ROWS, **FREE) as hive:
        retention = Retention(hive.database, hive.broker, hive.limits, HistoryLimits())
        running = asyncio.create_task(retention.run())
        sizes = []
        for _ in range(10):
            for number in range(messages // 10 // BATCH):
                await _exchange(hive, ("alice", "bob") if number % 2 else ("bob", "alice"))
            sizes.append(_megabytes(root))
        running.cancel()
        return sizes


def _megabytes(root: Path) -> float:
    """The database with its write-ahead log."""
    return sum(path.stat().st_size for path in root.glob("hive.db*")) / 1e6


async def _exchange(hive: Mail, edge: tuple[str, str]) -> None:
    sender, recipient = edge
    await asyncio.gather(*(hive.broker.send(sender, recipient, BODY) for _ in range(BATCH)))
    received = await hive.broker.recv(recipient, max_messages=BATCH)
    acked = await hive.broker.ack(recipient, [message.id for message in received])
    assert acked == BATCH, acked


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES):
        print(f"{row.name:50} {row.value:10.2f} {row.unit:10} {row.target:8} {'ok' if row.ok else 'MISSED'}")
