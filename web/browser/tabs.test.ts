// Many tabs of one browser: they share one stream of events, and none is left behind.
import type { BrowserContext, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { go, stage } from "./rig";

const hive = stage();
afterEach(async () => {
  await Promise.all(hive.browser.contexts().map((context) => context.close()));
  await soon(async () => (await streams()) === 0);
});
const nix = (command: string) => `{ hyperhive.agent = { bash.allow = [ "ls *" "cat *" "sleep *" "echo *" "${command} *" ]; prompt = "You keep the report."; }; }`;
const propose = (command: string) => hive.hive.ask<{ id: number }>("propose", { agent: "worker", nix: nix(command), reason: "needed" });
const write = (body: string) => hive.hive.ask("mail", { sender: "worker", body });
const send = (steps: unknown[]) => hive.hive.ask("send", { to: "worker", steps });
const turns = async () => (await hive.hive.ask<{ turns: string[] }>("streams")).turns.join();
const streams = async () => (await hive.hive.ask<{ streams: number }>("streams")).streams;
const login = (page: Page) => page.getByText("Run hyperhive dashboard").waitFor();

async function soon(what: () => Promise<boolean>): Promise<void> {
  await expect.poll(what, { timeout: 15_000 }).toBe(true);
}

/** Tabs beside the first, each live. */
async function tabs(context: BrowserContext, number: number, hash = "#/inbox"): Promise<Page[]> {
  const pages: Page[] = [];
  for (let made = 0; made < number; made++) {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    await page.goto(`${new URL(hive.link).origin}/${hash}`);
    await page.locator(".connection.live").waitFor();
    pages.push(page);
  }
  return pages;
}

/** The tab goes to the background, or comes back: a browser without a window shows all of them. */
async function show(page: Page, visible: boolean): Promise<void> {
  await page.evaluate((seen) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: !seen });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visible);
}

test("ten tabs share one stream, and in the tenth a proposal is applied", async () => {
  const { context, page, sins } = await hive.operator("#/audit");
  const pages = [page, ...(await tabs(context, 9))];
  expect(await streams()).toBe(1);
  const { id } = await propose("wc");
  const tenth = pages[9]!;
  await go(tenth, `#/proposals/${id}`);
  await tenth.getByRole("button", { name: "Apply to worker" }).click();
  await tenth.locator("h1 .badge", { hasText: "applied" }).waitFor();
  await go(page, "#/audit");
  await page.getByText("proposal.applied").first().waitFor();
  await write("to all of them");
  for (const each of pages.slice(1, 9)) await each.getByText("to all of them").waitFor();
  expect(await streams()).toBe(1);
  expect(sins).toEqual([]);
});

test("each tab sees the turn that it watches, through the one stream", async () => {
  const { context, page } = await hive.operator("#/agents/worker");
  const [other, aside] = await tabs(context, 2);
  await send([{ text: "I look.", tool: "Bash", input: { command: "sleep 2" } }, { text: "That was all." }]);
  await page.getByText("I look.").waitFor();
  await go(other!, "#/agents/worker");
  await other!.getByText("I look.").waitFor();
  await go(aside!, "#/agents/manager");
  for (const each of [page, other!]) await each.getByText("That was all.").waitFor();
  expect([await streams(), await turns()]).toEqual([1, "manager,worker"]);
  await aside!.goto("chrome://crash").catch(() => undefined);
  await soon(async () => (await turns()) === "worker");
  await page.close();
  await send([{ text: "Again." }]);
  await other!.getByText("Again.").waitFor();
  expect([await streams(), await turns()]).toEqual([1, "worker"]);
});

test("a tab in the background shows what waits, however long it is there", async () => {
  const { context, page } = await hive.operator("#/");
  const [other] = await tabs(context, 1);
  await other!.clock.install();
  await other!.reload();
  await other!.locator(".connection.live").waitFor();
  await write("before it");
  await other!.getByText("before it").waitFor();
  const before = Number(/\d+/.exec((await other!.getByText(/things? waits? for you/).textContent())!)![0]);
  await show(other!, false);
  await other!.clock.fastForward(300_000);
  await write("while you were elsewhere");
  await soon(async () => (await other!.title()) === `(${before + 1}) hyperhive`);
  await propose("tr");
  await other!.clock.runFor(5000);
  await soon(async () => (await other!.title()) === `(${before + 2}) hyperhive`);
  await soon(async () => (await page.title()) === `(${before + 2}) hyperhive`);
  expect(await streams()).toBe(1);
});

test("the core restarts: all tabs come back and have missed nothing", async () => {
  const { context, page } = await hive.operator("#/inbox");
  const pages = [page, ...(await tabs(context, 4))];
  await hive.hive.ask("restart");
  await write("written while the tabs were away");
  for (const each of pages) {
    await each.getByText("written while the tabs were away").waitFor();
    await each.locator(".connection.live").waitFor();
  }
  await write("and this after it");
  for (const each of pages) await each.getByText("and this after it").waitFor();
  await soon(async () => (await streams()) === 1);
});

test("a tab that crashes takes nobody with it, not even when the stream lived in it", async () => {
  const { context, page } = await hive.operator("#/inbox");
  const [other] = await tabs(context, 1);
  const crashed = page.waitForEvent("crash");
  await page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await write("after the crash");
  await other!.getByText("after the crash").waitFor();
  await other!.locator(".connection.live").waitFor();
  await soon(async () => (await streams()) === 1);
});

test("who logs out in one tab is logged out in all", async () => {
  const { context, page } = await hive.operator("#/inbox");
  const pages = [page, ...(await tabs(context, 3))];
  await pages[2]!.getByRole("button", { name: "Log out" }).click();
  for (const each of pages) await login(each);
  await soon(async () => (await streams()) === 0);
  const { link } = await hive.hive.ask<{ link: string }>("link");
  await page.getByRole("textbox").fill(link);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator(".connection.live").waitFor();
});

test("a session that ended while the core was away is over in all tabs, without a reload", async () => {
  const { context, page } = await hive.operator("#/inbox");
  const pages = [page, ...(await tabs(context, 2))];
  await hive.hive.ask("restart", { forget: true });
  for (const each of pages) await login(each);
});

test("where tabs cannot share a worker each has a stream, and one in the background gives it back", async () => {
  const { context, page } = await hive.operator("#/inbox");
  await context.addInitScript(() => Reflect.deleteProperty(window, "SharedWorker"));
  const [other] = await tabs(context, 1);
  expect(await streams()).toBe(2);
  await other!.clock.install();
  await other!.reload();
  await other!.locator(".connection.live").waitFor();
  await show(other!, false);
  await other!.clock.fastForward(90_000);
  await soon(async () => (await streams()) === 1);
  await write("seen when it is looked at");
  await page.getByText("seen when it is looked at").waitFor();
  await show(other!, true);
  await other!.getByText("seen when it is looked at").waitFor();
  expect(await streams()).toBe(2);
});

test("a worker that cannot be had, by a browser's rule or since its file is another version's, is done without", async () => {
  for (const how of ["forbidden", "missing"]) {
    const { page } = await hive.operator("#/inbox");
    await page.addInitScript((reason) => {
      const Real = SharedWorker;
      const Broken = function () {
        if (reason === "forbidden") throw new DOMException("no", "SecurityError");
        return new Real("/assets/worker-gone.js", { type: "module" });
      };
      Object.assign(window, { SharedWorker: Broken });
    }, how);
    await page.reload();
    await page.locator(".connection.live").waitFor();
    await write(`told without a worker: ${how}`);
    await page.getByText(`told without a worker: ${how}`).waitFor();
  }
});

test("who asked for notifications gets one while no tab is seen, in plain words", async () => {
  const { context, page } = await hive.visitor();
  await context.addInitScript(() => {
    class Shown {
      static permission = sessionStorage.getItem("permission") ?? "default";
      static asked = 0;
      static shown: string[] = [];
      static async requestPermission() {
        Shown.asked++;
        Shown.permission = "granted";
        return Shown.permission;
      }
      constructor(title: string, { body }: { body: string }) {
        Shown.shown.push(`${title}: ${body}`);
      }
      close() {}
    }
    Object.assign(window, { Notification: Shown });
  });
  await page.goto((await hive.hive.ask<{ link: string }>("link")).link);
  const shown = () => page.evaluate(() => (window.Notification as unknown as { shown: string[]; asked: number }).shown);
  const asked = () => page.evaluate(() => (window.Notification as unknown as { asked: number }).asked);
  await page.locator(".connection.live").waitFor();
  await write("nobody has asked yet");
  expect([await asked(), await shown()]).toEqual([0, []]);
  await page.getByRole("button", { name: "Notify me" }).click();
  await page.getByRole("button", { name: "Notify me" }).waitFor({ state: "detached" });
  expect(await asked()).toBe(1);
  const [other] = await tabs(context, 1);
  await show(page, false);
  await write("one tab is seen");
  await other!.getByText("one tab is seen").waitFor();
  expect(await shown()).toEqual([]);
  await show(other!, false);
  await write("<b>evil</b> text");
  await soon(async () => (await shown()).length > 0);
  expect(await shown()).toEqual(["hyperhive: worker wrote to you"]);
});
