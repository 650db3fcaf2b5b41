// The way of a change through the operator's hands.
import { expect, test } from "vitest";
import { go, shot, stage } from "./rig";

const hive = stage();
const nix = (commands: string, more = "") =>
  `{ hyperhive.agent = { bash.allow = [ "ls *" "cat *" "sleep *" "echo *" ${commands} ]; prompt = "You keep the report."; ${more} }; }`;
const propose = (given: Record<string, unknown>) => hive.hive.ask<{ id: number; state: string }>("propose", { agent: "worker", ...given });

test("a new user logs in with the printed link, sees what waits, reads what it means, and applies it", async () => {
  const { id } = await propose({ nix: nix('"gzip *"'), reason: "the report must be compressed" });
  const { page, sins } = await hive.visitor();
  await page.goto(hive.link);
  const todo = page.getByRole("link", { name: `Decide proposal ${id} for worker` });
  await todo.waitFor();
  expect(page.url()).not.toContain("link=");
  expect(await page.title()).toBe("(1) hyperhive");
  await todo.click();
  await page.getByRole("heading", { name: `Proposal ${id} for worker` }).waitFor();
  await shot(page, "proposal");
  const headings = await page.getByRole("heading", { level: 2 }).allTextContents();
  expect(headings.slice(0, 2)).toEqual(["What it means", "Text"]);
  expect(await page.locator(".delta .widening").textContent()).toContain("may now run: gzip *");
  expect(await page.locator(".diff .add").textContent()).toContain('"gzip *"');
  await page.reload();
  await page.getByRole("button", { name: "Apply to worker" }).click();
  await page.locator("h1 .badge", { hasText: "applied" }).waitFor();
  await page.getByText("worker answers: generation 2 runs").waitFor();
  expect(await page.getByRole("button", { name: "Apply to worker" }).count()).toBe(0);
  await page.getByRole("button", { name: "Roll worker back to generation 1" }).click();
  await go(page, "#/agents/worker");
  await page.locator(".facts", { hasText: "generation 1" }).first().waitFor();
  expect(sins).toEqual([]);
  await page.goto(hive.link);
  await page.reload();
  expect(await page.getByText("Run hyperhive dashboard").count(), "the session lasts, the link does not matter").toBe(0);
});

test("a denial needs a reason, which survives a reload and reaches the requester", async () => {
  const { id } = await propose({ nix: nix('"rm *"'), reason: "cleaning" });
  const { page } = await hive.operator(`#/proposals/${id}`);
  const deny = page.getByRole("button", { name: "Deny" });
  await deny.waitFor();
  expect(await deny.isDisabled()).toBe(true);
  await page.getByPlaceholder("why not").fill("that is too much");
  await page.reload();
  expect(await page.getByPlaceholder("why not").inputValue()).toBe("that is too much");
  await page.getByPlaceholder("why not").press("Enter");
  expect(await page.locator("h1 .badge").textContent()).toBe("checked");
  await deny.click();
  await page.locator("h1 .badge", { hasText: "denied" }).waitFor();
  await page.getByText("that is too much").first().waitFor();
});

test("a card that gets out of date says so and cannot be applied", async () => {
  const { id } = await propose({ nix: nix('"wc *"'), reason: "counting" });
  const { page } = await hive.operator(`#/proposals/${id}`);
  const apply = page.getByRole("button", { name: "Apply to worker" });
  await apply.waitFor();
  const other = await hive.operator("#/agents/worker/settings");
  await other.page.getByPlaceholder("haiku, sonnet").fill("sonnet");
  await other.page.getByRole("button", { name: "Override" }).click();
  await other.page.getByText("run-time override").first().waitFor();
  await page.getByText("This card is out of date.").waitFor();
  await shot(page, "out-of-date");
  expect(await apply.isDisabled()).toBe(true);
  await page.getByRole("button", { name: "Check the same commit again" }).click();
  await page.getByRole("heading", { name: `Proposal ${id + 1} for worker` }).waitFor();
  await page.locator("h1 .badge", { hasText: "checked" }).waitFor();
  await apply.click();
  await page.locator("h1 .badge", { hasText: "applied" }).waitFor();
});

test("a proposal is applied with the keyboard alone", async () => {
  await propose({ nix: nix('"wc *" "head *"'), reason: "looking" });
  const { page } = await hive.operator();
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await page.getByRole("heading", { name: "Queue (1)" }).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  const apply = page.getByRole("button", { name: "Apply to worker" });
  await apply.waitFor();
  for (let presses = 0; presses < 40 && !(await apply.evaluate((button) => button === document.activeElement)); presses++) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.locator("h1 .badge", { hasText: "applied" }).waitFor();
});

test("a hundred agents and a thousand proposals are shown at once and scroll", async () => {
  await hive.hive.ask("fill", { agents: 98, proposals: 1000 });
  const { page, sins } = await hive.operator();
  await page.reload();
  await page.getByRole("heading", { name: "Agents (100)" }).waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]!.startTime);
  expect(paint).toBeLessThan(1500);
  await go(page, "#/proposals");
  for (let presses = 0; presses < 4; presses++) await page.getByRole("button", { name: "Load older ones" }).click();
  await page.getByText("reason 250", { exact: true }).waitFor();
  expect(sins).toEqual([]);
});
