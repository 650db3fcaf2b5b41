// A unified diff with colours: what is added and removed, and the words of Nix in it.
import { useState } from "preact/hooks";
import { Text } from "./hostile";

export type LineKind = "file" | "hunk" | "add" | "remove" | "same";

export interface DiffLine {
  kind: LineKind;
  text: string;
}

/** The lines of a diff by kind; inside a hunk only its counts say where it ends, since its text may look like anything. */
export function parseDiff(diff: string): DiffLine[] {
  const lines = diff.split("\n");
  if (lines.at(-1) === "") lines.pop();
  let before = 0;
  let after = 0;
  return lines.map((text) => {
    if (before > 0 || after > 0) {
      const sign = text[0];
      if (sign === "+") return after--, { kind: "add", text };
      if (sign === "-") return before--, { kind: "remove", text };
      if (sign === "\\") return { kind: "same", text };
      before--;
      after--;
      return { kind: "same", text };
    }
    const hunk = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(text);
    if (!hunk) return { kind: "file", text };
    before = Number(hunk[1] ?? 1);
    after = Number(hunk[2] ?? 1);
    return { kind: "hunk", text };
  });
}

export interface Token {
  kind: "comment" | "string" | "keyword" | "number" | "name" | "plain";
  text: string;
}

const NIX =
  /(#.*$|\/\*.*?(?:\*\/|$))|("(?:\\.|[^"\\])*"?|''.*?(?:''|$))|\b(let|in|with|rec|inherit|if|then|else|assert|or|true|false|null|import)\b|(\b\d+(?:\.\d+)?\b)|([A-Za-z_][\w'-]*(?:\.[A-Za-z_][\w'-]*)*(?=\s*=[^=]))/g;
const KINDS: Token["kind"][] = ["comment", "string", "keyword", "number", "name"];

const COLOURED = 2000;

/** The tokens of one line of Nix: for colour only, a line is looked at by itself. A long one gets none: it could be made
 * to take a regular expression's worst case. */
export function tokens(line: string): Token[] {
  if (line.length > COLOURED) return [{ kind: "plain", text: line }];
  const found: Token[] = [];
  let last = 0;
  for (const match of line.matchAll(NIX)) {
    if (match.index > last) found.push({ kind: "plain", text: line.slice(last, match.index) });
    const kind = KINDS[match.slice(1).findIndex((group) => group !== undefined)] ?? "plain";
    found.push({ kind, text: match[0] });
    last = match.index + match[0].length;
  }
  if (last < line.length) found.push({ kind: "plain", text: line.slice(last) });
  return found;
}

const SHOWN = 500;

export function Diff({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  const lines = parseDiff(text);
  const shown = whole ? lines : lines.slice(0, SHOWN);
  return (
    <div class="diff code" role="figure" aria-label="text diff" tabIndex={0}>
      {shown.map((line, index) => (
        <Row key={index} line={line} />
      ))}
      {shown.length < lines.length && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … show all {lines.length} lines
        </button>
      )}
    </div>
  );
}

function Row({ line }: { line: DiffLine }) {
  const [whole, setWhole] = useState(false);
  const text = whole ? line.text : line.text.slice(0, COLOURED);
  const code = line.kind === "add" || line.kind === "remove" || line.kind === "same";
  return (
    <div class={`row ${line.kind}`}>
      {code ? (
        <>
          <span class="sign">{text.slice(0, 1) || " "}</span>
          {tokens(text.slice(1)).map((token) => (
            <span class={token.kind === "plain" ? undefined : `tok-${token.kind}`}>
              <Text text={token.text} />
            </span>
          ))}
        </>
      ) : (
        <Text text={text} />
      )}
      {text.length < line.text.length && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … {Math.ceil(line.text.length / 1000)} k characters
        </button>
      )}
    </div>
  );
}
