"""What the hive itself says in mail about mail: JSON bodies of the kind `event`."""

from __future__ import annotations

import json

from hyperhive.store.messages import Message


def expired(question: Message) -> str:
    reason = "the operator gave no answer in the time that you set; decide without it, or leave it"
    return json.dumps({"event": "question_expired", "question": question.id, "reason": reason})


def tired(message: Message) -> str:
    return f"delivered {message.attempts} times without an answer"


def parked(event: str, message: Message, reason: str) -> str:
    """For the operator: a message became a dead letter."""
    told = {
        "event": event,
        "from": message.sender,
        "to": message.recipient,
        "message": message.id,
        "reason": f"{reason}; see `hyperhive debug dead-letters`",
    }
    return json.dumps(told)
