"""A message that somebody wants to send, and its place in the exchange that it belongs to."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from hyperhive.errors import BadInput, NotFound, TooLarge
from hyperhive.store import messages
from hyperhive.store.messages import Message, Question

OPERATOR = "operator"
SYSTEM = "system"


@dataclass(frozen=True)
class Draft:
    """A message that somebody wants to send, and what it answers."""

    sender: str
    to: str
    body: str
    reply_to: int | None
    kind: str
    chain: int = 0
    hops: int = 0
    question: Question | None = None


def check_body(body: str, most: int) -> None:
    """Raises BadInput (empty, characters that are no text), TooLarge over `most` bytes."""
    try:
        size = len(body.encode())
    except UnicodeEncodeError as error:
        raise BadInput("the body is not valid Unicode text (a lone surrogate); send UTF-8") from error
    if not body.strip():
        raise BadInput("the body is empty; say something")
    if "\0" in body:
        raise BadInput("the body holds a NUL character; send text")
    if size > most:
        raise TooLarge(f"the body is {size} bytes; a message holds {most}: put it in a file")


def placed(connection: sqlite3.Connection, draft: Draft) -> Draft:
    """The draft in its exchange: it answers `reply_to`, else the longest exchange that its sender works on.

    Whatever it answers, it is one step on from all that its sender works on. A word from the operator begins the
    count anew, also in what is said in the turn that handles it: a person is in the loop.
    """
    work = messages.in_work(connection, draft.sender)
    longest = max(work, key=lambda each: (each.hops, each.id), default=None)
    answered = longest
    if draft.reply_to is not None:
        message = messages.get(connection, draft.reply_to)
        if draft.sender not in (message.recipient, message.sender):
            raise NotFound(f"there is no message {draft.reply_to}")
        answered = messages.step(message)
    if answered is None:
        return draft
    hops = 1 + max(answered.hops, longest.hops if longest else 0)
    if any(each.sender == OPERATOR for each in work):
        hops = 1
    return replace(draft, chain=answered.chain, hops=0 if draft.sender == OPERATOR else hops)


def operators(connection: sqlite3.Connection, number: int) -> Message:
    """The message of the operator's inbox with that id. Raises NotFound."""
    message = messages.get(connection, number)
    if message.recipient != OPERATOR:
        raise NotFound(f"there is no message {number} in the operator's inbox")
    return message
