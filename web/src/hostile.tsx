// Every string that an agent wrote is shown through here: no character in it may hide, reorder or pose as anything.
import { useMemo, useState } from "preact/hooks";

export interface Piece {
  text: string;
  mark: boolean;
}

const NAMES: Record<number, string> = {
  0x00ad: "SOFT HYPHEN",
  0x061c: "ARABIC LETTER MARK",
  0x180e: "MONGOLIAN VOWEL SEPARATOR",
  0x200b: "ZERO WIDTH SPACE",
  0x200c: "ZERO WIDTH NON-JOINER",
  0x200d: "ZERO WIDTH JOINER",
  0x200e: "LEFT-TO-RIGHT MARK",
  0x200f: "RIGHT-TO-LEFT MARK",
  0x202a: "LEFT-TO-RIGHT EMBEDDING",
  0x202b: "RIGHT-TO-LEFT EMBEDDING",
  0x202c: "POP DIRECTIONAL FORMATTING",
  0x202d: "LEFT-TO-RIGHT OVERRIDE",
  0x202e: "RIGHT-TO-LEFT OVERRIDE",
  0x2060: "WORD JOINER",
  0x2066: "LEFT-TO-RIGHT ISOLATE",
  0x2067: "RIGHT-TO-LEFT ISOLATE",
  0x2068: "FIRST STRONG ISOLATE",
  0x2069: "POP DIRECTIONAL ISOLATE",
  0xfeff: "ZERO WIDTH NO-BREAK SPACE",
};

// Controls but tab and newline, everything of the categories format, private use, surrogate and unassigned, line and
// paragraph separators, spaces that are not U+0020, blank letters, variation selectors, and marks piled on marks.
const ODD =
  /(?![\t\n])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0\u2800\ufe00-\ufe0f\u{e0100}-\u{e01ef}]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/gu;

/** The text in pieces: plain ones, and marked ones that stand for a character that would not show, or mislead. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let last = 0;
  for (const match of text.matchAll(ODD)) {
    if (match.index > last) found.push({ text: text.slice(last, match.index), mark: false });
    found.push({ text: match[0], mark: true });
    last = match.index + match[0].length;
  }
  if (last < text.length) found.push({ text: text.slice(last), mark: false });
  return found;
}

export function codePoint(character: string): string {
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

export function nameOf(character: string): string {
  const point = character.codePointAt(0)!;
  if (point === 0x1b) return "ESCAPE";
  return NAMES[point] ?? (point < 0x20 ? `CONTROL ^${String.fromCharCode(point + 64)}` : codePoint(character));
}

/** The text as one line of plain characters, for places without markup: titles, labels, questions. */
export function plain(text: string, longest = 200): string {
  const shown = pieces(text.replace(/[\t\n]+/g, " "))
    .map((piece) => (piece.mark ? `<${codePoint(piece.text)}>` : piece.text))
    .join("");
  return shown.length <= longest ? shown : `${shown.slice(0, longest - 1)}…`;
}

/** Take the colours out of a program's output: the only escape sequences that logs have a good reason for. */
export function withoutColours(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[0-9;:]*m/g, "");
}

/** Marked-up text, in its own direction: what it holds cannot reorder what is around it. */
export function Text({ text }: { text: string }) {
  return useMemo(() => marked(text), [text]);
}

function marked(text: string) {
  return (
    <bdi class="hostile">
      {pieces(text).map((piece) =>
        piece.mark ? (
          <span class="odd" title={nameOf(piece.text)}>
            {codePoint(piece.text)}
          </span>
        ) : (
          piece.text
        ),
      )}
    </bdi>
  );
}

const LONG = 4000;
const TALL = 60;

/** The beginning of a text: at most `longest` characters, cut at the end of a line where one is near, and `tallest`
 * lines: empty ones could push what stands below out of sight. */
export function beginning(text: string, longest: number, tallest = Infinity): string {
  const low = upToLine(text, tallest);
  if (low.length <= longest) return low;
  const cut = low.lastIndexOf("\n", longest);
  const end = cut > longest / 2 ? cut : longest;
  const last = low.charCodeAt(end - 1);
  return low.slice(0, last >= 0xd800 && last < 0xdc00 ? end - 1 : end); // not through a surrogate pair
}

function upToLine(text: string, lines: number): string {
  let end = -1;
  for (let line = 0; line < lines; line++) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) return text;
  }
  return text.slice(0, end);
}

/** How much text there is, for the button that shows it. */
export function amount(text: string): string {
  const lines = text.split("\n").length;
  return `${text.length < 1000 ? `${text.length}` : `${Math.ceil(text.length / 1000)} k`} characters${lines > TALL ? `, ${lines} lines` : ""}`;
}

interface LongText {
  text: string;
  code?: boolean;
  longest?: number;
  tallest?: number;
}

/** A block of text; a long one begins cut. `code`: laid out strictly from left to right, in a fixed-width font. */
export function Long({ text, code = false, longest = LONG, tallest = TALL }: LongText) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? text : beginning(text, longest, tallest);
  return (
    <div class={code ? "text code" : "text"}>
      <Text text={shown} />
      {shown.length < text.length && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … show all {amount(text)}
        </button>
      )}
    </div>
  );
}

/** A text in one line, cut. */
export function Line({ text, longest = 200 }: { text: string; longest?: number }) {
  const first = text.trim().replace(/\s*\n\s*/g, " ⏎ ");
  return (
    <>
      <Text text={beginning(first, longest)} />
      {first.length > longest && "…"}
    </>
  );
}
