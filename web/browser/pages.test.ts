// What each page is for, done as an operator does it: also by keyboard alone, in the light and in the dark.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { go, shot, stage } from "./rig";

const hive = stage();
const card = (page: Page, name: string) => page.locator("li.agent", { has: page.getByRole("link", { name, exact: true }) });

/** Press Tab until `wanted` has the focus. */
async function tabTo(page: Page, wanted: ReturnType<Page["locator"]>): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error("Tab does not lead there");
}

test("an agent is stopped, started and restarted on the overview", async () => {
  const { page, sins } = await hive.operator();
  const worker = card(page, "worker");
  const state = worker.locator(".facts .badge").first();
  await worker.getByRole("button", { name: "Stop" }).click();
  await expect.poll(() => state.textContent()).toBe("stopped");
  expect(await worker.getByRole("button", { name: "Restart" }).count()).toBe(0);
  await worker.getByRole("button", { name: "Start" }).click();
  await expect.poll(() => state.textContent(), { timeout: 30_000 }).toBe("running");
  await worker.getByRole("button", { name: "Restart" }).click();
  await expect.poll(() => worker.getByRole("button", { name: "Restart" }).isEnabled(), { timeout: 30_000 }).toBe(true);
  await expect.poll(() => state.textContent(), { timeout: 30_000 }).toBe("running");
  await hive.hive.ask("send", { to: "worker", steps: [{ tool: "mcp__hive__send", input: { to: "operator", body: "here again" } }, { text: "over" }] });
  await page.getByText("1 unread message").waitFor();
  await go(page, "#/audit");
  for (const action of ["agent.stop", "agent.start", "agent.restart"]) await page.getByText(action, { exact: true }).first().waitFor();
  expect(sins).toEqual([]);
});

test("who follows a link before the page's first frame is over gets there", async () => {
  const { page, sins } = await hive.operator();
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (document.querySelector("nav") === null) return;
      observer.disconnect();
      location.hash = "#/audit";
    }).observe(document, { childList: true, subtree: true });
  });
  await page.reload();
  await page.locator("#browsers tbody tr").first().waitFor();
  expect(sins).toEqual([]);
});

test("what is given the focus as a page appears keeps it", async () => {
  const { page } = await hive.operator("#/audit");
  const kept = await page.evaluate(async () => {
    const given = new Promise<Element>((resolve) => {
      new MutationObserver((_, observer) => {
        const select = document.querySelector<HTMLElement>(".filter select");
        if (select === null || location.hash !== "#/proposals") return;
        observer.disconnect();
        select.focus();
        resolve(select);
      }).observe(document.body, { childList: true, subtree: true });
    });
    location.hash = "#/proposals";
    const select = await given;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return document.activeElement === select;
  });
  expect(kept).toBe(true);
});

test("a mail is answered and a dialog is left with the keyboard alone", async () => {
  await hive.hive.ask("mail", { sender: "worker", body: "shall I go on?" });
  const { page } = await hive.operator();
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  const mail = page.locator("article.unread", { hasText: "shall I go on?" });
  await mail.waitFor();
  await page.keyboard.press("j");
  await tabTo(page, mail.getByRole("textbox"));
  await page.keyboard.type("do so");
  await page.keyboard.press("Control+Enter");
  await mail.waitFor({ state: "detached" });
  await page.locator("article.read", { hasText: "shall I go on?" }).getByText("answered").waitFor();
  await page.evaluate(() => document.getElementById("content")!.focus());
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  const button = page.getByRole("button", { name: "Destroy manager" });
  await button.waitFor();
  await page.keyboard.press("j");
  await tabTo(page, button);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Destroy manager?" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expect.poll(() => button.evaluate((each) => each === document.activeElement), { timeout: 5000 }).toBe(true);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Destroy manager?" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.reload();
  await card(page, "manager").waitFor();
});

test("the inbox is searched, in text and names, what was read too", async () => {
  const { page } = await hive.operator("#/inbox");
  await hive.hive.ask("mail", { sender: "manager", body: "the Grüne report is ready" });
  await page.locator("article.unread", { hasText: "Grüne report" }).waitFor();
  const search = page.getByRole("searchbox", { name: "Search" });
  await search.fill("grüne REPORT");
  await page.getByRole("heading", { name: "Found" }).waitFor();
  await page.locator("article", { hasText: "shall I go on?" }).waitFor({ state: "detached" });
  await expect.poll(() => page.locator("article").count()).toBe(1);
  await page.locator("article", { hasText: "Grüne report" }).waitFor();
  await search.fill("shall I");
  await page.locator("article.read", { hasText: "shall I go on?" }).waitFor();
  await page.locator("article", { hasText: "Grüne report" }).waitFor({ state: "detached" });
  await search.fill("manager");
  await page.locator("article.unread", { hasText: "Grüne report" }).waitFor();
  await search.fill("no such thing");
  await page.getByText("Nothing holds that.").waitFor();
});

test("mail is seen as it is sent, filtered by agent and text, and an exchange in its order", async () => {
  const { page, sins } = await hive.operator("#/mail");
  const articles = page.locator("article.message");
  await page.getByRole("combobox", { name: "Agent" }).selectOption("manager");
  await page.getByRole("searchbox", { name: "Search" }).fill("lemon");
  await page.getByText("No mail.").waitFor();
  await hive.hive.ask("mail", { sender: "worker", body: "lemons, but not of the manager's" });
  await hive.hive.ask("mail", { sender: "manager", body: "apples" });
  await hive.hive.ask("mail", { sender: "manager", body: "Lemons arrived" });
  await page.locator("article", { hasText: "Lemons arrived" }).waitFor();
  expect(await articles.allTextContents()).toHaveLength(1);
  await page.getByRole("searchbox", { name: "Search" }).fill("");
  await page.locator("article", { hasText: "apples" }).waitFor();
  expect(await page.locator("article", { hasText: "but not of" }).count()).toBe(0);
  const reply = await hive.operator("#/inbox");
  const open = reply.page.locator("article.unread", { hasText: "Lemons arrived" });
  await open.getByRole("textbox").fill("make lemonade");
  await open.getByRole("button", { name: "Reply" }).click();
  await page.locator("article", { hasText: "make lemonade" }).waitFor();
  await page.locator("article", { hasText: "Lemons arrived" }).getByRole("link", { name: /^#\d+$/ }).click();
  await page.getByRole("heading", { name: /The exchange that message \d+ began/ }).waitFor();
  const depth = (text: string) => page.locator(".nested", { hasText: text }).evaluate((box) => getComputedStyle(box).marginLeft);
  await page.locator(".nested", { hasText: "make lemonade" }).waitFor();
  expect(await depth("Lemons arrived")).toBe("0px");
  expect(parseFloat(await depth("make lemonade"))).toBeGreaterThan(5);
  expect((await articles.allTextContents()).map((text) => /Lemons|lemonade/.exec(text)?.[0]).slice(0, 2)).toEqual(["Lemons", "lemonade"]);
  expect(await page.locator("article", { hasText: "apples" }).count()).toBe(0);
  expect(sins).toEqual([]);
});

test("of each setting it is said where it comes from", async () => {
  const { page } = await hive.operator("#/agents/worker/settings");
  const from = (path: string) => page.locator("table.settings tr", { has: page.locator("td:first-child", { hasText: new RegExp(`^${path}$`) }) }).locator("td:last-child");
  await page.locator("table.settings").waitFor();
  expect(await from("bash\\.allow").textContent()).toBe("agent.nix");
  expect(await from("session\\.maxTurns").textContent()).toBe("default");
  expect(await from("name").textContent()).toBe("identity");
  await page.getByPlaceholder("haiku, sonnet").fill("opus");
  await page.getByRole("button", { name: "Override" }).click();
  await expect.poll(() => from("model").textContent(), { timeout: 30_000 }).toBe("override");
  await page.getByRole("button", { name: "Take the override away" }).click();
  await expect.poll(() => from("model").textContent(), { timeout: 30_000 }).not.toBe("override");
});

test("a card warns of patterns that give more than they seem to", async () => {
  const nix = '{ hyperhive.agent = { bash.allow = [ "ls *" "find *" "ssh *" ]; prompt = "You keep the report."; }; }';
  const { id } = await hive.hive.ask<{ id: number }>("propose", { agent: "worker", nix, reason: "looking for things" });
  const { page } = await hive.operator(`#/proposals/${id}`);
  const warnings = page.getByRole("list", { name: "Warnings" }).getByRole("listitem");
  await warnings.first().waitFor();
  const told = await warnings.allTextContents();
  expect(told.find((text) => text.includes("find *"))).toContain("-exec");
  expect(told.find((text) => text.includes("ssh *"))).toContain("any other command");
  expect(told.some((text) => text.includes("ls *"))).toBe(false);
});

/** WCAG's contrast between the colours of an element's text and of what is behind it. */
function contrast(page: Page, selector: string): Promise<number> {
  return page.locator(selector).first().evaluate((element) => {
    const channels = (colour: string) => (colour.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (colour: string) =>
      channels(colour).slice(0, 3).map((each) => each / 255).map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
        .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index]!, 0);
    let behind: Element | null = element;
    while (behind && channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [one, other] = [getComputedStyle(element).color, getComputedStyle(behind ?? document.documentElement).backgroundColor].map(luminance);
    return (Math.max(one!, other!) + 0.05) / (Math.min(one!, other!) + 0.05);
  });
}

const background = (page: Page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

test("light and dark differ, both can be read, and the operator's choice is kept", async () => {
  const backgrounds: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    const { page } = await hive.operator("#/", { colorScheme });
    await card(page, "worker").waitFor();
    backgrounds.push(await background(page));
    for (const selector of ["h2", "li.agent .name", "li.agent .facts", "li.agent .badge", "li.agent .last", ".bar nav a", ".todo strong", "button.quiet"]) {
      expect(await contrast(page, selector), `${colorScheme} ${selector}`).toBeGreaterThan(4.5);
    }
    await go(page, "#/inbox");
    await page.locator("article.message").first().waitFor();
    for (const selector of ["article .name", "article .text", "article time", "article button.primary", "article button.quiet"]) {
      if (selector.includes("primary")) await page.locator("article textarea").first().fill("x");
      expect(await contrast(page, selector), `${colorScheme} ${selector}`).toBeGreaterThan(4.5);
    }
    await shot(page, colorScheme);
  }
  expect(backgrounds).toEqual(["rgb(251, 251, 250)", "rgb(20, 23, 26)"]);
  const { page } = await hive.operator("#/", { colorScheme: "light" });
  await page.getByRole("button", { name: "Colours: auto" }).click();
  await page.getByRole("button", { name: "Colours: light" }).click();
  await page.getByRole("button", { name: "Colours: dark" }).waitFor();
  expect(await background(page)).toBe(backgrounds[1]);
  await page.reload();
  await page.getByRole("button", { name: "Colours: dark" }).waitFor();
  expect(await background(page)).toBe(backgrounds[1]);
});
