// What is made to freeze, break or deceive the page.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { oddEvents } from "./odd";
import { go, shot, stage } from "./rig";

const hive = stage();
const fill = (mails: number, body: string, sender = "worker") => hive.hive.ask("fill", { mails, body, sender });
const turn = async (events: unknown[]) =>
  (await hive.hive.ask<{ id: number }>("turn", { agent: "worker", events: events.map((each) => JSON.stringify(each)) })).id;
const frame = (page: Page) => page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 0))));

test("a mail that is long is there in part, is found by its end, and comes whole on demand", async () => {
  const log = `${"line\n".repeat(1500)}the last line`;
  await fill(1, `${"word ".repeat(1000)}the needle`);
  await fill(1, JSON.stringify({ event: "container_crash", agent: "worker", ending: "killed", log, exit_code: 9 }), "system");
  const { page, sins } = await hive.operator("#/inbox");
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname + new URL(request.url()).search));
  const mail = page.locator("article", { hasText: "word word" });
  await mail.waitFor();
  expect(await mail.getByText("the needle").count()).toBe(0);
  await mail.getByRole("button", { name: "show all 6 k characters" }).click();
  await mail.getByText("the needle").waitFor();
  expect(await mail.getByRole("button", { name: /show all/ }).count()).toBe(0);
  const event = page.locator("article", { hasText: "worker crashed (killed, exit 9)" });
  expect(await event.getByText("the last line").count()).toBe(0);
  await event.getByRole("button", { name: /show all/ }).click();
  await event.getByText("the last line").waitFor();
  await page.getByRole("searchbox", { name: "Search" }).fill("THE NEEDLE");
  await page.getByRole("heading", { name: "Found" }).waitFor();
  await page.locator("article", { hasText: "crashed" }).waitFor({ state: "detached" });
  await expect.poll(() => page.locator("article.message").count()).toBe(1);
  await mail.waitFor();
  await page.getByRole("searchbox", { name: "Search" }).fill("nowhere at all");
  await page.getByText("Nothing holds that.").waitFor();
  await page.getByRole("searchbox", { name: "Search" }).fill("");
  await page.getByRole("heading", { name: "Unread (2)" }).waitFor();
  asked.length = 0;
  await mail.getByRole("button", { name: "Mark as read" }).click();
  await page.getByRole("heading", { name: "Unread (1)" }).waitFor();
  await page.locator("article.read", { hasText: "word word" }).waitFor();
  expect(asked.filter((each) => each.includes("limit=1000"))).toEqual([]);
  await go(page, "#/mail");
  await page.locator("article", { hasText: "worker → operator" }).getByRole("button", { name: "show all 6 k characters" }).click();
  await page.getByText("the needle").waitFor();
  const lists = asked.filter((each) => /^\/v1\/(inbox|messages)\?/.test(each));
  expect(lists.some((each) => each.startsWith("/v1/messages?"))).toBe(true);
  expect(lists.filter((each) => !each.includes("brief=1"))).toEqual([]);
  expect(sins).toEqual([]);
});

test("two hundred mails of nothing but characters that do not show are there within three seconds", async () => {
  await fill(100, "\u200b".repeat(4000));
  await fill(100, "\u200b\u200c".repeat(2000));
  const { page, sins } = await hive.operator("#/inbox");
  const begin = Date.now();
  await page.reload();
  await page.locator("article.unread").nth(200).waitFor({ state: "attached" });
  await frame(page);
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await frame(page);
  expect(Date.now() - begin).toBeLessThan(3000);
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator("article", { hasText: "from here on 1800 odd characters" }).first().waitFor();
  await shot(page, "odd-mail");
  const same = page.locator("article", { hasText: "U+200B ×2000" }).first();
  await same.getByRole("button", { name: /show all/ }).click();
  await page.getByText("U+200B ×4000", { exact: true }).waitFor();
  expect(sins).toEqual([]);
});

test("lines of a megabyte are shown whole without a freeze, and marks ten times as many on demand", async () => {
  const lines = ["x", "word ", "\u200b", "a\u202e", "\u200b\u200c", "z\u0321\u0322", "אב ", "a東", "👍🏽", "\t", "x\n"];
  const { page } = await hive.operator("#/agents/worker");
  for (const line of lines) {
    const text = line.repeat(1_000_000 / line.length);
    const id = await turn([{ type: "assistant", message: { content: [{ type: "text", text }] } }]);
    await go(page, `#/agents/worker/turns/${id}`);
    await page.getByRole("heading", { name: `Turn ${id}` }).waitFor();
    const step = page.locator(".text-step");
    await step.getByRole("button", { name: /show all/ }).waitFor();
    const took = await step.evaluate(async (box) => {
      const begin = performance.now();
      box.querySelector<HTMLButtonElement>("button.more:last-child")!.click();
      await new Promise((drawn) => setTimeout(drawn, 0));
      box.getBoundingClientRect();
      await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 0)));
      return performance.now() - begin;
    });
    if (process.env.SHOTS) console.log(JSON.stringify(line), Math.round(took));
    expect(took, JSON.stringify(line)).toBeLessThan(3000);
    if (line !== "a\u202e") continue;
    expect(await step.locator(".odd").count()).toBe(201);
    await step.getByRole("button", { name: /mark more of 499800/ }).click();
    await step.getByRole("button", { name: /mark more of 498000/ }).waitFor();
    expect(await step.locator(".odd").count()).toBe(2001);
  }
});

test("a tool's name is a line, however long an agent makes it", async () => {
  const name = `mcp__hive__${"東a".repeat(100_000)}`;
  const id = await turn([{ type: "assistant", message: { content: [{ type: "tool_use", id: "a", name, input: {} }] } }]);
  const { page } = await hive.operator(`#/agents/worker/turns/${id}`);
  const shown = await page.locator(".called strong").textContent();
  expect(shown).toBe(`${"東a".repeat(50)}…`);
});

test("a turn whose events have every field of every wrong kind is shown", async () => {
  const events = oddEvents().filter((event) => typeof event === "object" && event !== null && !Array.isArray(event));
  const id = await turn(events);
  const { page, sins } = await hive.operator(`#/agents/worker/turns/${id}`);
  await page.getByRole("heading", { name: `Turn ${id}` }).waitFor();
  await page.getByRole("button", { name: /earlier steps/ }).click();
  await frame(page);
  expect(await page.locator(".step").count()).toBeGreaterThan(300);
  expect(await page.getByText("could not be shown").count()).toBe(0);
  expect(await page.locator(".steps").textContent()).not.toContain("[object Object]");
  expect(sins).toEqual([]);
});

test("what cannot be shown says so and takes nothing else with it", async () => {
  const { page, sins } = await hive.operator("#/audit");
  await fill(1, "this one is fine");
  await page.route("**/v1/inbox?limit=1000*", async (route) => {
    const response = await route.fetch();
    const told = (await response.json()) as { messages: { body: unknown }[] };
    await route.fulfill({ response, json: { messages: told.messages.slice(0, 3).map((each, index) => (index === 1 ? { ...each, body: 5 } : each)) } });
  });
  await page.route("**/v1/agents/worker/turns/*", (route) => route.fulfill({ json: { turn: 5, events: 7, messages: null } }));
  await page.route("**/v1/agents/worker/notes", (route) => route.fulfill({ json: { text: 5 } }));
  await page.reload();
  await go(page, "#/inbox");
  await page.locator("section", { hasText: "Unread" }).getByText(/^Message \d+ could not be shown\.$/).waitFor();
  await page.getByText("this one is fine").waitFor();
  await go(page, "#/agents/worker");
  await page.getByText("This tab could not be shown.").waitFor();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("heading", { name: "Generations" }).waitFor();
  expect(await page.getByText("could not be shown").count()).toBe(0);
  await page.getByRole("link", { name: "Notes" }).click();
  await page.getByText("This tab could not be shown.").waitFor();
  await page.route("**/v1/audit*", (route) => route.fulfill({ json: { entries: [5] } }));
  await go(page, "#/audit");
  await page.getByText("This page could not be shown.").waitFor();
  await go(page, "#/");
  await page.getByRole("heading", { name: "Agents (2)" }).waitFor();
  expect(sins.filter((each) => !each.includes("could not"))).toEqual([]);
});

test("the words with which a terminal ends are a stranger's", async () => {
  const { page } = await hive.operator("#/");
  await page.routeWebSocket(/\/terminal\?/, (socket) => socket.send(JSON.stringify({ end: "ended\u202ecod<b>exe" })));
  await go(page, "#/agents/worker/terminal");
  await page.getByRole("button", { name: "Open a terminal" }).click();
  const said = page.locator(".notice");
  await said.getByTitle("RIGHT-TO-LEFT OVERRIDE").waitFor();
  expect(await said.textContent()).toBe("endedU+202Ecod<b>exe");
});
