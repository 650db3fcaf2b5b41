import { expect, test } from "vitest";
import { parseDiff, tokens } from "./diff";

const DIFF = `diff --git a/agent.nix b/agent.nix
--- a/agent.nix
+++ b/agent.nix
@@ -1,3 +1,4 @@
 {
-  model = "haiku";
+  model = "sonnet";
+  +++ b/looks/like/a/header
 }
\\ No newline at end of file
diff --git a/x b/x
@@ -1 +1 @@
-a
+b
`;

test("lines are of the kind that their hunk's counts say", () => {
  expect(parseDiff(DIFF).map((line) => line.kind)).toEqual([
    ..."file file file hunk same remove add add same".split(" "),
    "file",
    "file",
    ..."hunk remove add".split(" "),
  ]);
});

test("what looks like a header inside a hunk is text", () => {
  const lines = parseDiff("@@ -1,2 +1,3 @@\n--- a/old\n+++ b/new\n+@@ -1,9 +1,9 @@\n x\n");
  expect(lines.map((line) => line.kind)).toEqual(["hunk", "remove", "add", "add", "same"]);
});

test("no character of a line gets lost in its tokens", () => {
  for (const line of [`  bash.allow = [ "ls *" ''x'' ]; # why`, `"unclosed`, `'' open`, "", `a."b c" = 1.5;`, "/* x */ let"]) {
    expect(tokens(line).map((token) => token.text).join("")).toBe(line);
  }
});

test("strings, comments, names and words of the language have their colours", () => {
  const kinds = Object.fromEntries(tokens(`model = if true then "x # y" else 7; # z`).map((token) => [token.text, token.kind]));
  expect(kinds).toMatchObject({ model: "name", if: "keyword", '"x # y"': "string", "7": "number", "# z": "comment" });
});

test("a hostile line takes no time", () => {
  const start = performance.now();
  for (const size of [1000, 500_000]) {
    tokens(`${"a.".repeat(size)}b`);
    tokens(`"${"\\".repeat(2 * size)}`);
    tokens(`''${"'".repeat(2 * size)}`);
    tokens("/*".repeat(size));
  }
  expect(performance.now() - start).toBeLessThan(2000);
});
