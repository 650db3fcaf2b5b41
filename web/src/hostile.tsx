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

const ODD_RUN = new RegExp(`(?:${ODD.source})+`, "gu");

/** So many marks a text shows; an agent could send a hundred thousand, and each is an element of the page. */
export const MARKS = 200;
const STAND_IN = "\ufffd";

export interface Pieces {
  pieces: Piece[];
  /** How many odd characters have no mark of their own any more: a run of them is one U+FFFD in the last piece. */
  rest: number;
}

/** The text in pieces: plain ones, and marked ones that stand for a run of one character that would not show, or mislead. */
export function pieces(text: string, most = MARKS): Pieces {
  const found: Piece[] = [];
  let last = 0;
  for (let marks = 0; marks < most; marks++) {
    ODD.lastIndex = last;
    const match = ODD.exec(text);
    if (match === null) return { pieces: withPlain(found, text.slice(last)), rest: 0 };
    const end = endOfRun(text, match.index, match[0]);
    withPlain(found, text.slice(last, match.index)).push({ text: text.slice(match.index, end), mark: true });
    last = end;
  }
  let rest = 0;
  const tail = text.slice(last).replace(ODD_RUN, (run) => {
    rest += length(run);
    return STAND_IN;
  });
  return { pieces: withPlain(found, tail), rest };
}

function withPlain(found: Piece[], text: string): Piece[] {
  if (text !== "") found.push({ text, mark: false });
  return found;
}

function endOfRun(text: string, start: number, character: string): number {
  let end = start + character.length;
  while (text.startsWith(character, end)) end += character.length;
  return end;
}

function length(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** A mark's own words: which character, and how often in a row. */
export function markOf(run: string): string {
  const times = length(run);
  return times === 1 ? codePoint(run) : `${codePoint(run)} ×${times}`;
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
    .pieces.map((piece) => (piece.mark ? `<${markOf(piece.text)}>` : piece.text))
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
  return useMemo(() => marked(pieces(text)), [text]);
}

/** `told`: how many characters without a mark of their own it says that there are from here on. */
function marked({ pieces: found, rest }: Pieces, told = rest) {
  return (
    <bdi class="hostile">
      {found.map((piece, index) => {
        if (piece.mark) return <Mark run={piece.text} />;
        return told > 0 && index === found.length - 1 ? [<Rest count={told} />, piece.text] : piece.text;
      })}
    </bdi>
  );
}

function Mark({ run }: { run: string }) {
  return (
    <span class="odd" title={nameOf(run)}>
      {markOf(run)}
    </span>
  );
}

function Rest({ count }: { count: number }) {
  return (
    <span class="odd" title={`each run of them is shown as ${STAND_IN}`}>
      from here on {count} odd characters as {STAND_IN}
    </span>
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
export function amount(text: string, missing = 0): string {
  const size = text.length + missing;
  const lines = missing > 0 ? 0 : text.split("\n").length; // how many there are in all is not known then
  return `${size < 1000 ? `${size}` : `${Math.ceil(size / 1000)} k`} characters${lines > TALL ? `, ${lines} lines` : ""}`;
}

interface LongText {
  text: string;
  code?: boolean;
  longest?: number;
  tallest?: number;
  /** How much of it the page does not have yet; `onAll` gets it. */
  missing?: number;
  onAll?: () => void;
}

/** A block of text; a long one begins cut. `code`: laid out strictly from left to right, in a fixed-width font. */
export function Long({ text, code = false, longest = LONG, tallest = TALL, missing = 0, onAll }: LongText) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? text : beginning(text, longest, tallest);
  const all = () => {
    setWhole(true);
    if (missing > 0) onAll?.();
  };
  return (
    <div class={code ? "text code" : "text"}>
      <Marked text={shown} />
      {(shown.length < text.length || missing > 0) && (
        <button type="button" class="more" onClick={all}>
          … show all {amount(text, missing)}
        </button>
      )}
    </div>
  );
}

/** A text whose marks are more than MARKS shows ten times as many on demand. */
function Marked({ text }: { text: string }) {
  const [marks, setMarks] = useState(MARKS);
  const found = useMemo(() => parts(text, marks), [text, marks]);
  const drawn = useMemo(() => found.map(drawnPart), [found]);
  const rest = restOf(found);
  return (
    <>
      {drawn}
      {rest > 0 && (
        <button type="button" class="more" onClick={() => setMarks(marks * 10)}>
          … mark more of {rest} odd characters
        </button>
      )}
    </>
  );
}

const PART = 8000;

export interface Part extends Pieces {
  /** It ends within a line. */
  broken: boolean;
}

/** A long text in parts: to lay out one line of a megabyte takes a browser minutes if its letters are of several fonts. */
export function parts(text: string, most = MARKS): Part[] {
  const found: Part[] = [];
  let left = most;
  for (let start = 0; start < text.length; ) {
    const part = beginning(text.slice(start, start + PART + 1), PART);
    const made = pieces(part, left);
    left -= made.pieces.filter((piece) => piece.mark).length;
    start += part.length;
    found.push({ ...made, broken: start < text.length && text[start] !== "\n" });
    if (text[start] === "\n") start++;
  }
  return found;
}

function restOf(found: Part[]): number {
  return found.reduce((sum, { rest }) => sum + rest, 0);
}

function drawnPart(part: Part, index: number, all: Part[]) {
  const first = part.rest > 0 && all.findIndex((each) => each.rest > 0) === index;
  const drawn = marked(part, first ? restOf(all) : 0);
  return all.length === 1 ? drawn : <div class={part.broken ? "part broken" : "part"}>{drawn}</div>;
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
