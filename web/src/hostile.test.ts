import { expect, test } from "vitest";
import { beginning, markOf, MARKS, nameOf, parts, pieces, plain, withoutColours } from "./hostile";

const marked = (text: string) => pieces(text).pieces.filter((piece) => piece.mark).map((piece) => piece.text);

test.each([
  ["right-to-left override", "gzip\u202e*", "\u202e"],
  ["isolate", "a\u2066b\u2069", "\u2066"],
  ["zero width space", "rm\u200b", "\u200b"],
  ["byte order mark", "\ufeffrm", "\ufeff"],
  ["soft hyphen", "r\u00adm", "\u00ad"],
  ["escape", "\u001b[31mred", "\u001b"],
  ["C1 control", "\u009b31m", "\u009b"],
  ["carriage return", "good\rbad", "\r"],
  ["backspace", "a\bb", "\b"],
  ["NUL", "a\0b", "\0"],
  ["tag", "a\u{e0041}b", "\u{e0041}"],
  ["line separator", "a\u2028b", "\u2028"],
  ["no-break space", "a\u00a0b", "\u00a0"],
  ["hangul filler", "a\u3164b", "\u3164"],
  ["private use", "a\ue000b", "\ue000"],
  ["lone surrogate", "a\ud800b", "\ud800"],
  ["variation selector", "a\ufe00b", "\ufe00"],
])("a %s is marked", (_, text, odd) => {
  expect(marked(text)).toContain(odd);
  expect(pieces(text).pieces.map((piece) => piece.text).join("")).toBe(text);
});

test.each(["plain", "Zürich, naïve, Ελλάδα, 東京, עברית", "a\tb\nc", "x → y — z… “q”", "👍🏽", "e\u0301"])("%s stays as it is", (text) => {
  expect(marked(text)).toEqual([]);
});

test("marks that pile up on a letter are shown from the fourth on", () => {
  expect(marked(`z${"\u0321".repeat(50)}`)).toEqual(["\u0321".repeat(47)]);
});

test("a mark has a name", () => {
  expect(nameOf("\u202e")).toBe("RIGHT-TO-LEFT OVERRIDE");
  expect(nameOf("\u001b")).toBe("ESCAPE");
  expect(nameOf("\u0001")).toBe("CONTROL ^A");
  expect(nameOf("\u{e0041}")).toBe("U+E0041");
});

test("a title is one line of plain characters", () => {
  expect(plain("a\nb\u202ec\u001b[0m")).toBe("a b<U+202E>c<U+001B>[0m");
  expect(plain("x".repeat(500))).toHaveLength(200);
});

test("colours go, other escapes stay to be marked", () => {
  expect(withoutColours("\u001b[1;31mred\u001b[0m \u001b]0;title\u0007\u001b[2J")).toBe("red \u001b]0;title\u0007\u001b[2J");
});

test("a long text begins at most so long, at a line's end where one is near, and through no character", () => {
  expect(beginning("short", 10)).toBe("short");
  expect(beginning("1234\n6789012345", 10)).toBe("1234\n67890");
  expect(beginning("1234567\n9012345", 10)).toBe("1234567");
  expect(beginning("123456789😀x", 10)).toBe("123456789");
});

test("a run of one character is one mark, which says how long it is", () => {
  expect(pieces(`a${"\u200b".repeat(4000)}b\u200b`).pieces.map((piece) => [piece.text.length, piece.mark])).toEqual([[1, false], [4000, true], [1, false], [1, true]]);
  expect([markOf("\u200b"), markOf("\u200b\u200b"), markOf("\u{e0041}".repeat(3))]).toEqual(["U+200B", "U+200B ×2", "U+E0041 ×3"]);
  expect(plain("a\u202e\u202eb")).toBe("a<U+202E ×2>b");
});

test("a text shows so many marks; the rest is counted, and none of it hides", () => {
  const { pieces: found, rest } = pieces("a\u200b\u200c".repeat(1000));
  expect(found.filter((piece) => piece.mark)).toHaveLength(MARKS);
  expect(rest).toBe(2000 - MARKS);
  expect(found.at(-1)).toEqual({ text: "a\ufffd".repeat(1000 - MARKS / 2), mark: false });
  expect(pieces("a\u200b\u200c".repeat(MARKS / 2)).rest).toBe(0);
  expect(pieces("\u200b\u200c".repeat(1000), Infinity)).toMatchObject({ rest: 0, pieces: { length: 2000 } });
  expect(pieces(`${"\u200b\u200c".repeat(MARKS / 2)}\u{e0041}\ud800z`).rest).toBe(2);
});

test.each(["a\u202e".repeat(500_000), "b".repeat(1_000_000), "\u200b".repeat(1_000_000), "\u200b\u200c".repeat(500_000), `z${"\u0321\u0322".repeat(500_000)}`])(
  "a line of a megabyte is no work and few elements (%#)",
  (text) => {
    const start = performance.now();
    expect(pieces(text).pieces.length).toBeLessThanOrEqual(2 * MARKS + 1);
    expect(performance.now() - start).toBeLessThan(1000);
  },
);

test("a long text is laid out in parts, cut at the ends of lines where they are near; none of it is lost, all share the marks", () => {
  expect(parts("short\n")).toHaveLength(1);
  expect(parts("")).toEqual([]);
  const lines = parts(`${"x".repeat(99)}\n`.repeat(1000));
  expect(lines.every((part) => !part.broken && part.pieces[0]!.text.length < 8000)).toBe(true);
  expect(lines.map((part) => part.pieces[0]!.text).join("\n")).toBe(`${"x".repeat(99)}\n`.repeat(1000));
  const line = parts("😀".repeat(50_000));
  expect(line.map((part) => part.pieces.map((piece) => piece.text).join("")).join("")).toBe("😀".repeat(50_000));
  expect([line.length, line.filter((part) => part.broken).length]).toEqual([13, 12]);
  const odd = parts("a\u202e".repeat(50_000));
  expect(odd.flatMap((part) => part.pieces).filter((piece) => piece.mark)).toHaveLength(MARKS);
  expect(odd.reduce((sum, part) => sum + part.rest, 0)).toBe(50_000 - MARKS);
});
