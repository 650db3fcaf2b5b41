// An agent's durable notes: look, and edit; what the agent wrote meanwhile is not written over.
import { useState } from "preact/hooks";
import { ApiError, get, put, url } from "../api";
import { bytes } from "../format";
import { useDraft, useLoaded } from "../hooks";
import { Long } from "../hostile";
import type { Notes } from "../types";
import { Empty, Failure, Section, When } from "../ui";

export function NotesTab({ name }: { name: string }) {
  const path = url`/v1/agents/${name}/notes`;
  const found = useLoaded<Notes>(
    path,
    ({ kind, data }) => (kind === "turn" && data.agent === name) || (kind === "agent" && data.name === name && data.event === "idle"),
  );
  const [draft, setDraft] = useDraft(`notes-${name}`);
  const [base, setBase] = useDraft(`notes-version-${name}`);
  const [editing, setEditing] = useState(base !== "");
  const [theirs, setTheirs] = useState<Notes | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const notes = found.data;
  const begin = () => {
    setDraft(notes!.text);
    setBase(notes!.version);
    setEditing(true);
  };
  const end = () => {
    setDraft("");
    setBase("");
    setEditing(false);
    setTheirs(null);
    setError(null);
  };
  const save = async (version: string) => {
    setBusy(true);
    try {
      found.set(await put<Notes>(path, { text: draft, version }));
      end();
    } catch (failure) {
      setError((failure as ApiError).message);
      if ((failure as ApiError).status === 409 && (failure as ApiError).code === "conflict") {
        setTheirs(await get<Notes>(path).catch(() => null));
      }
    } finally {
      setBusy(false);
    }
  };
  const size = new TextEncoder().encode(draft).length;
  return (
    <Section
      title="notes.md"
      actions={
        notes !== null &&
        !editing && (
          <span class="facts">
            <span>
              {bytes(notes.bytes)} of {bytes(notes.max_bytes)}
              {notes.modified !== null && (
                <>
                  , changed <When at={notes.modified} />
                </>
              )}
            </span>
            <button type="button" onClick={begin}>
              Edit
            </button>
          </span>
        )
      }
    >
      <Failure error={found.error ?? error} />
      {notes !== null && !notes.enabled && <p class="hint">Notes are switched off for this agent: they stand in no prompt.</p>}
      {!editing && notes !== null && (notes.text === "" ? <Empty>There are no notes.</Empty> : <Long text={notes.text} code longest={65536} tallest={2000} />)}
      {editing && (
        <>
          <textarea
            class="code notes"
            rows={24}
            aria-label={`Notes of ${name}`}
            value={draft}
            spellcheck={false}
            onInput={(event) => setDraft(event.currentTarget.value)}
          />
          {theirs !== null && (
            <div class="notice" role="alert">
              <strong>{name} wrote into its notes while you did.</strong> They are now:
              <Long text={theirs.text} code longest={20_000} tallest={400} />
              <button type="button" class="danger" disabled={busy} onClick={() => void save(theirs.version)}>
                Put mine in their place
              </button>
            </div>
          )}
          <p class="buttons">
            <span class="hint">
              {bytes(size)}
              {notes !== null && size > notes.max_bytes && `, more than the ${bytes(notes.max_bytes)} that it may have`}
            </span>
            <button type="button" onClick={end}>
              Cancel
            </button>
            <button type="button" class="primary" disabled={busy} onClick={() => void save(base)}>
              {busy ? "…" : "Save"}
            </button>
          </p>
        </>
      )}
    </Section>
  );
}
