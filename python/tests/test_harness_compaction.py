"""What becomes of a session that grows too long: real broker, harness and cage, Claude Code played."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.turn_rig import Rig, rig
from harness_rig import DONE, INIT, LACKING, SKIP_REASON, STORE, prints, result, runs, stand_in, state_of

from hyperhive.harness import compaction, transcript

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

OVERFLOW = result(terminal_reason="blocking_limit", result="Prompt is too long")
AWAY = result(result="API Error: 502 the model API cannot be reached")
OLD = "- 2026-01-01 09:00 the cellar key hangs behind the door\n"


def works(*events: dict[str, Any], said: str = "I have read two of the five files.", more: str = "") -> str:
    """Shell of a run that keeps a transcript of what was said, and ends with these events."""
    lines = [
        {"type": "user", "message": {"content": "[from operator, message 1]\nread five files"}},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": said}]}},
    ]
    text = "\n".join(map(json.dumps, lines))
    kept = f"cat >> /state/.claude/projects/-state-work/$session.jsonl <<'LINES'\n{text}\nLINES\n"
    return STORE + kept + more + prints(INIT, *events)


def writes(text: str, more: str = "") -> str:
    """Shell of the run that answers with new notes."""
    return more + prints({**INIT, "mcp_servers": []}, result(is_error=False, result=text))


def play(root: Path, scene: Callable[[Rig], Awaitable[None]], *scripts: str, **changes: Any) -> None:
    """A scene with a worker whose runs are these scripts, and which has notes."""

    async def go() -> None:
        program = stand_in(root, *scripts)
        (state_of(root) / "notes.md").write_text(OLD)
        async with rig(root, claude=program, **changes) as made:
            await scene(made)

    asyncio.run(go())


def notes_of(root: Path) -> str:
    return (state_of(root) / "notes.md").read_text()


async def told(made: Rig) -> list[str]:
    return [mail.body for mail in await made.broker.inbox(all_=True, limit=100)]


def test_an_overflow_becomes_notes_and_its_mail_is_handled_once_in_a_fresh_session(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        done = await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert await made.outcomes() == ["context_overflow", "completed", "completed"]
        compacted = await made.database.read(
            lambda c: c.execute("SELECT purpose, message_ids, detail FROM turns WHERE id = 2").fetchone()
        )
        assert compacted == ("compaction", "[]", f"notes.md: {len(OLD)} → 29 bytes")
        (_, first), (asked, second), (prompt, third) = runs(tmp_path)
        assert (
            OLD in asked
            and "[you]\nI have read two of the five files." in asked
            and "--no-session-persistence" in second
        )
        assert prompt.startswith("[your notes") and "# two of five files are read" in prompt
        assert "grew too long while you worked" in prompt and "read five files" in prompt
        assert "--session-id" in third and third[third.index("--session-id") + 1] not in first
        assert notes_of(tmp_path) == "# two of five files are read\n"
        assert (state_of(tmp_path) / "notes.backup/1.md").read_text() == OLD
        assert (done["outcome"], done["notes"]) == (
            "completed",
            hashlib.sha256(b"# two of five files are read\n").hexdigest(),
        )
        assert await told(made) == []

    play(tmp_path, scene, works(OVERFLOW), writes("# two of five files are read"), works(DONE))


def test_a_session_over_compact_at_is_compacted_after_its_turn(tmp_path: Path) -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 149_000, "output_tokens": 1000}
    full = {"type": "assistant", "message": {"content": [], "usage": usage}}

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "one"))
        await made.turn_done(await made.broker.send("operator", "worker", "two"))
        assert await made.outcomes() == ["completed", "completed", "completed"]
        (_, _), (_, _), (prompt, arguments) = runs(tmp_path)
        assert "--session-id" in arguments and "# short" in prompt and "grew too long" not in prompt

    play(tmp_path, scene, works(full, DONE), writes("# short"), works(DONE))


def test_notes_that_cannot_be_stored_after_a_turn_are_told_once_and_stand_in_the_next_prompt(tmp_path: Path) -> None:
    full = {"type": "assistant", "message": {"content": [], "usage": {"input_tokens": 150_000}}}

    async def scene(made: Rig) -> None:
        for body in ("one", "two", "three"):
            await made.turn_done(await made.broker.send("operator", "worker", body))
        assert await made.outcomes() == ["completed", "claude_crashed", "completed", "completed"]
        prompt, arguments = runs(tmp_path)[2]
        assert "--session-id" in arguments and "# short" in prompt
        (word,) = await told(made)
        assert "My notes cannot be written" in word

    link = "ln -sf /gone /state/notes.md\n"
    play(tmp_path, scene, works(full, DONE, more=link), writes("# short"), works(DONE))


def test_without_the_model_a_session_that_can_go_on_goes_on(tmp_path: Path) -> None:
    full = {"type": "assistant", "message": {"content": [], "usage": {"input_tokens": 150_000}}}

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "one"))
        await made.turn_done(await made.broker.send("operator", "worker", "two"))
        assert await made.outcomes() == ["completed", "model_unreachable", "completed"]
        assert "--resume" in runs(tmp_path)[2][1] and notes_of(tmp_path) == OLD

    play(tmp_path, scene, works(full, DONE), prints(INIT, AWAY), works(DONE))


def test_without_the_model_the_last_words_stand_below_the_old_notes(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert await made.outcomes() == ["context_overflow", "model_unreachable", "completed"]
        notes, prompt = notes_of(tmp_path), runs(tmp_path)[2][0]
        assert notes.startswith(OLD.strip()) and "I have read two of the five files." in notes
        assert "\n> [from operator, message 1]\nread five files\n" in prompt, "what was mail once is none again"
        assert prompt.count("\n[from operator, message 1]\nread five files") == 1

    play(tmp_path, scene, works(OVERFLOW), prints(INIT, AWAY), works(DONE))


def test_a_transcript_that_is_too_long_for_the_compaction_is_cut(tmp_path: Path) -> None:
    long = "early " * 20_000 + "the end of it"

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        asked = [prompt for prompt, _ in runs(tmp_path)[1:4]]
        assert len(asked[0]) > 1.8 * len(asked[1]) > 3 * len(asked[2]) and "characters cut here" in asked[2]
        assert all("the end of it" in prompt for prompt in asked)
        assert notes_of(tmp_path) == "# cut\n"

    changes = {"session": {"turnTimeout": 60, "maxTurns": 80, "compactAt": 50_000}}
    scripts = works(OVERFLOW, said=long), prints(INIT, OVERFLOW), prints(INIT, OVERFLOW), writes("# cut"), works(DONE)
    play(tmp_path, scene, *scripts, **changes)


def test_what_is_written_during_a_compaction_is_kept(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert notes_of(tmp_path) == "# short\n\n- an operator's line\n"

    added = 'echo "- an operator\'s line" >> /state/notes.md\n'
    play(tmp_path, scene, works(OVERFLOW), writes("# short", added), works(DONE))


def test_too_much_mail_for_one_turn_is_halved_until_each_is_handled_once(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.backend.stop("worker")
        ids = [await made.broker.send("operator", "worker", f"mail {number}") for number in range(3)]
        await made.start()
        for number in ids:
            await made.turn_done(number)
        prompts = [prompt for prompt, arguments in runs(tmp_path) if "--no-session-persistence" not in arguments]
        assert [sum(f"mail {number}" in prompt for number in range(3)) for prompt in prompts] == [3, 1, 2]
        assert await told(made) == []

    play(tmp_path, scene, works(OVERFLOW), writes("# short"), works(DONE))


def test_mail_that_overflows_fresh_sessions_is_given_up_with_word_to_the_operator(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        letter = await made.broker.send("operator", "worker", "endless")
        await made.until(
            lambda c: c.execute("SELECT 1 FROM messages WHERE id = ? AND dead_at > 0", (letter,)).fetchone()
        )
        assert await made.outcomes() == ["context_overflow", "completed"] * 3
        (word,) = await told(made)
        assert "turn 5 ended with context_overflow: Prompt is too long" in json.loads(word)["reason"]
        await made.turn_done(await made.broker.send("operator", "worker", "short"))

    scripts = [works(OVERFLOW), writes("# short")] * 3
    play(tmp_path, scene, *scripts, works(DONE))


def test_a_stop_during_a_compaction_keeps_the_session_for_the_next_one(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "read five files")
        await made.until(lambda _: (state_of(tmp_path) / "ready").exists())
        await made.backend.stop("worker")
        assert await made.outcomes() == ["context_overflow", "interrupted"]
        await made.start()
        await made.turn_done(message)
        assert await made.outcomes() == [
            "context_overflow",
            "interrupted",
            "context_overflow",
            "completed",
            "completed",
        ]
        first, _, second, *_ = [arguments for _, arguments in runs(tmp_path)]
        assert first[first.index("--session-id") + 1] == second[second.index("--resume") + 1]
        assert notes_of(tmp_path) == "# short\n"

    endless = "trap 'exit 1' INT\ntouch /state/ready\nwhile :; do sleep 0.05; done\n"
    scripts = works(OVERFLOW), endless, works(OVERFLOW), writes("# short"), works(DONE)
    play(tmp_path, scene, *scripts, drain=0.5)


def test_without_notes_a_long_session_is_just_left(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        done = await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert await made.outcomes() == ["context_overflow", "completed"]
        assert notes_of(tmp_path) == OLD
        assert runs(tmp_path)[1][0].startswith("[the session before grew too long"), "it may have done part of it"
        assert done["notes"] is None

    play(tmp_path, scene, works(OVERFLOW), works(DONE), notes={"enable": False, "maxBytes": 1024})


def test_notes_that_cannot_be_written_are_no_dead_end(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert await made.outcomes() == ["context_overflow", "claude_crashed", "completed"]
        assert "--session-id" in runs(tmp_path)[2][1]
        unwritten = "[your notes of the session before, which could not be written to /state/notes.md]\n# short\n"
        assert unwritten in runs(tmp_path)[2][0]
        (word,) = await told(made)
        assert word.startswith("My notes cannot be written (the notes are as they were: ")

    linked = "rm /state/notes.md; ln -s /etc/hostname /state/notes.md\n"
    play(tmp_path, scene, works(OVERFLOW), writes("# short", linked), works(DONE))


def test_five_backups_are_kept(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        for number in range(7):
            await made.turn_done(await made.broker.send("operator", "worker", f"mail {number}"))
        await made.until(lambda _: notes_of(tmp_path).startswith("# 13"))
        kept = {path.name: path.read_text() for path in (state_of(tmp_path) / "notes.backup").iterdir()}
        assert kept == {"1.md": "# 11\n", "2.md": "# 9\n", "3.md": "# 7\n", "4.md": "# 5\n", "5.md": "# 3\n"}

    full = {"type": "assistant", "message": {"content": [], "usage": {"input_tokens": 150_000}}}
    scripts = [works(full, DONE) if number % 2 == 0 else writes(f"# {number}") for number in range(14)]
    play(tmp_path, scene, *scripts)


def test_a_hostile_transcript_is_only_text() -> None:
    lines: list[object] = [3, None, "x", {"type": "user"}, {"type": "user", "message": {"content": [{"type": "text"}]}}]
    lines += [{"type": "assistant", "message": {"content": [{"type": "tool_use", "name": 3, "input": {}}]}}]
    lines += [
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": [{"text": 1}, 7, {"text": "r"}]}]}}
    ]
    lines += [{"type": "user", "isMeta": True, "message": {"content": "hidden"}}]
    data = b"\n".join([b"{broken", b"[" * 5000, *(json.dumps(line).encode() for line in lines)])
    assert [block for line in data.splitlines() for block in transcript._blocks(line)] == ["[result]\nr"]


@pytest.mark.parametrize("away", [True, False])
def test_notes_that_could_not_be_written_go_into_the_next_ones(tmp_path: Path, away: bool) -> None:
    """Also where the session began without them, as one does whose notes the model refuses."""

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert notes_of(tmp_path).count("the key hangs elsewhere") == 1
        assert "could not be written" not in runs(tmp_path)[-1][0]

    linked = "rm /state/notes.md; ln -s /etc/hostname /state/notes.md\n"
    mended = "rm /state/notes.md; echo '# old' > /state/notes.md\n"
    merged = "# the key hangs elsewhere"
    merges = f"grep -q '{merged}' /state/runs/$number/prompt || exit 1\n{writes(merged)}"
    scripts = works(OVERFLOW), writes(merged, linked), works(OVERFLOW, more=mended)
    play(tmp_path, scene, *scripts, prints(INIT, AWAY) if away else merges, works(DONE))


def test_long_last_words_beside_long_notes_are_cut_and_not_left_out() -> None:
    blocks = ["[mail]\nread five files", "[you]\n" + "I have read two of them. " * 100]
    made = compaction._extract(b"- a line of old notes\n" * 1000, blocks, 4096).decode()
    assert "I have read two of them." in made and len(made) < 4096
