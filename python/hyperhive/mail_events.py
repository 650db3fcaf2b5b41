"""What the hive itself says in mail about mail: JSON bodies of the kind `event`."""

from __future__ import annotations

import json
import sqlite3

from hyperhive.exchange import OPERATOR, SYSTEM
from hyperhive.store import messages
from hyperhive.store.messages import Message


def expired(question: Message) -> str:
    reason = "the operator gave no answer in the time that you set; decide without it, or leave it"
    return json.dumps({"event": "question_expired", "question": question.id, "reason": reason})


def tired(message: Message) -> str:
    return f"delivered {message.attempts} times without an answer"


def parked(connection: sqlite3.Connection, event: str, message: Message, reason: str) -> Message:
    """Tell the operator, in the same transaction, that a message became a dead letter."""
    told = {
        "event": event,
        "from": message.sender,
        "to": message.recipient,
        "message": message.id,
        "reason": f"{reason}; see `hyperhive debug dead-letters`",
    }
    return messages.insert(connection, sender=SYSTEM, recipient=OPERATOR, kind="event", body=json.dumps(told))
