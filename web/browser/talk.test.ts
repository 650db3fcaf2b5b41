// Mail, questions, live turns, and what hostile agents write.
import { expect, test } from "vitest";
import { go, shot, stage } from "./rig";

const hive = stage();
const send = (steps: unknown[]) => hive.hive.ask("send", { to: "worker", steps });

test("a question is answered by one of its options, another in words that a reload does not lose", async () => {
  const { page, sins } = await hive.operator("#/inbox");
  const ask = (question: string, more = {}) => ({ tool: "mcp__hive__ask_operator", input: { question, ...more } });
  await send([ask("Which colour?", { options: ["red", "green"], time_limit_minutes: 30 }), ask("And why?"), { text: "asked" }]);
  await page.getByText("Which colour?").waitFor();
  await page.getByText("And why?").waitFor();
  await page.getByText(/(29|30) min left/).waitFor();
  expect(await page.title()).toBe("(2) hyperhive");
  await shot(page, "inbox");
  const answer = page.getByRole("textbox", { name: /Answer to message/ });
  await answer.first().fill("because it is so");
  await page.reload();
  await page.getByText("And why?").waitFor();
  expect(await answer.first().inputValue()).toBe("because it is so");
  await page.getByRole("button", { name: "green", exact: true }).click();
  await page.locator("article.unread", { hasText: "Which colour?" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Reply" }).first().click();
  await page.locator("article.read", { hasText: "And why?" }).waitFor();
  await go(page, "#/mail");
  await page.locator("article", { hasText: "because it is so" }).first().waitFor();
  await page.locator("article", { hasText: "green" }).first().waitFor();
  expect(sins).toEqual([]);
});

test("a turn is seen as it happens, a reload in its middle loses nothing, and a denial is marked", async () => {
  const { page } = await hive.operator("#/agents/worker");
  await send([
    { text: "First I look." },
    { tool: "Bash", input: { command: "echo looked" } },
    { tool: "Bash", input: { command: "curl example.org" } },
    { tool: "Bash", input: { command: "sleep 3" } },
    { text: "That was all." },
  ].map((step, index) => (index === 0 ? { ...step, tool: "Bash", input: { command: "echo begun" } } : step)));
  await page.getByText("First I look.").waitFor();
  await page.locator(".call.done", { hasText: "echo looked" }).waitFor();
  const denied = page.locator(".call.denied", { hasText: "curl example.org" });
  await denied.getByText("denied", { exact: true }).waitFor();
  await page.locator(".call.open", { hasText: "sleep 3" }).waitFor();
  await shot(page, "turn");
  await page.reload();
  await page.getByText("First I look.").waitFor();
  await page.getByText("That was all.").waitFor();
  expect(await page.locator(".step.call").count()).toBe(4);
  await page.locator("h2 .badge", { hasText: "completed" }).waitFor();
  await page.locator(".timing dt", { hasText: "tools" }).waitFor();
});

test("what an agent writes is seen while it writes it", async () => {
  const { page } = await hive.operator("#/agents/worker");
  await send([{ text: "It begins with a word and goes on for quite a while until <b>all</b> is said.", pace: 0.25 }]);
  const written = page.locator(".step.text-step").last();
  await written.getByText("It begins with a word", { exact: false }).waitFor();
  expect(await written.textContent()).not.toContain("is said");
  await written.getByText("goes on for quite a while until <b>all</b> is said.", { exact: false }).waitFor();
  await page.locator("h2 .badge", { hasText: "completed" }).waitFor();
  expect(await page.locator(".step.text-step", { hasText: "It begins with a word" }).count()).toBe(1);
});

const EVIL = [
  '<img src=x onerror="alert(1)"><script>alert(2)</script>',
  "javascript:alert(3) http://evil.example/",
  "\u001b[31mred\u001b]0;title\u0007",
  "good\u202egzip\u202c\u200b",
  `${"x".repeat(60_000)}END`,
].join("\n");

test("what an agent writes shows as text, marked where it would mislead, and runs nothing", async () => {
  const { page, sins } = await hive.operator("#/inbox");
  await hive.hive.ask("mail", { sender: "worker", body: EVIL });
  await page.getByText("<script>alert(2)</script>").first().waitFor();
  const card = page.locator("article", { hasText: "onerror" }).first();
  for (const name of ["ESCAPE", "RIGHT-TO-LEFT OVERRIDE", "ZERO WIDTH SPACE"]) await card.getByTitle(name).first().waitFor();
  expect(await card.getByText("END").count()).toBe(0);
  await card.getByRole("button", { name: /show all/ }).click();
  await card.getByText("END").waitFor();
  expect(await card.locator("a[href*='evil'], a[href^='javascript'], img, script").count()).toBe(0);
  await shot(page, "hostile");
  await send([{ text: `turn ${EVIL.slice(0, 120)}`, tool: "Bash", input: { command: `echo '${EVIL.slice(0, 90)}'` } }, { text: "over" }]);
  await go(page, "#/agents/worker");
  await page.getByText("over", { exact: true }).waitFor();
  const reason = EVIL.slice(0, 150);
  const nix = `{ hyperhive.agent = { prompt = "<script>alert(4)</script>"; }; } # \u202e evil`;
  const { id, state } = await hive.hive.ask<{ id: number; state: string }>("propose", { agent: "worker", nix, reason });
  expect(state).toBe("checked");
  await go(page, `#/proposals/${id}`);
  await page.locator(".diff").waitFor();
  await shot(page, "hostile-diff");
  expect(await page.locator(".diff .add").textContent(), "the core writes such characters out").toContain("# \\u202e evil");
  await page.locator("blockquote").getByTitle("RIGHT-TO-LEFT OVERRIDE").first().waitFor();
  expect(await page.title()).not.toContain("<");
  expect(sins).toEqual([]);
});

test("a pause of the hive and what was given up are seen at once, and the operator ends both", async () => {
  const { page, sins } = await hive.operator("#/");
  await hive.hive.ask("pause");
  await page.getByText("The hive is paused until").waitFor();
  await hive.hive.ask("park", { body: "too often <i>delivered</i>" });
  await shot(page, "paused");
  await page.getByRole("button", { name: "Try now" }).click();
  await page.getByText("The hive is paused until").waitFor({ state: "detached" });
  await page.getByText("1 message was given up").click();
  const letter = page.locator("article", { hasText: "too often <i>delivered</i>" });
  await letter.waitFor();
  await shot(page, "dead-letters");
  await letter.getByRole("button", { name: "Drop…" }).click();
  await page.getByRole("button", { name: "Drop it" }).click();
  await page.getByText("No message was given up.").waitFor();
  expect(sins).toEqual([]);
});

test("the page comes back when the core does, and has missed nothing", async () => {
  const { page } = await hive.operator("#/inbox");
  await page.locator(".connection.live").waitFor();
  await hive.hive.ask("restart");
  await hive.hive.ask("mail", { sender: "worker", body: "written while you were away" });
  await page.getByText("written while you were away").waitFor();
  await page.locator(".connection.live").waitFor();
});

test("without a session there is nothing to see", async () => {
  const { page } = await hive.visitor();
  await page.goto(`${new URL(hive.link).origin}/#/inbox`);
  await page.getByText("Run hyperhive dashboard").waitFor();
  expect(await page.locator("article").count()).toBe(0);
  await page.getByRole("textbox").fill("nonsense");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  const { link } = await hive.hive.ask<{ link: string }>("link");
  await page.getByRole("textbox").fill(link);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: /Unread/ }).waitFor();
});

test("on a phone nothing is wider than the screen", async () => {
  const { page } = await hive.operator("#/", { viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  await page.addInitScript(() => Reflect.deleteProperty(window, "SharedWorker")); // as in Chrome on Android
  await page.reload();
  await hive.hive.ask("park", { body: `given up ${"w".repeat(300)}` });
  const seen: Record<string, string> = { "#/dead-letters": "given up", "#/agents/worker/terminal": "A shell in worker's container" };
  const pages = ["#/", "#/proposals", "#/proposals/1", "#/inbox", "#/mail", "#/audit", "#/agents/worker", "#/agents/worker/settings", "#/agents/worker/notes", "#/agents/worker/logs", ...Object.keys(seen)];
  for (const each of pages) {
    await go(page, each);
    if (seen[each]) await page.getByText(seen[each]).first().waitFor();
    if (each.endsWith("/terminal")) {
      await page.getByRole("button", { name: "Open a terminal" }).click();
      await page.locator(".xterm-rows").getByText("worker:~/work$").first().waitFor();
    }
    await page.waitForLoadState("networkidle").catch(() => undefined);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    await shot(page, `phone${each.replace(/[^a-z0-9]+/g, "-")}`);
    expect(wide, each).toBeLessThanOrEqual(390);
  }
});
