// The terminal, the notes and the end of an agent.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { go, shot, stage } from "./rig";

const hive = stage();
const rows = (page: Page) => page.locator(".xterm-rows");

async function open(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Open a terminal" }).click();
  await rows(page).getByText("worker:~/work$").first().waitFor();
}

test("one types into a shell of the agent's, reloads the page, and goes on where one was", async () => {
  const { page, sins } = await hive.operator("#/agents/worker/terminal");
  await open(page);
  await page.keyboard.type("here=fourty; id -un; echo gr''üße\n");
  await rows(page).getByText("grüße", { exact: true }).waitFor();
  await rows(page).getByText("agent", { exact: true }).first().waitFor();
  await page.keyboard.type(`sh -c 'echo sle""eping; sleep 1000'\n`);
  await rows(page).getByText("sleeping", { exact: true }).waitFor();
  await page.keyboard.press("Control+c");
  await page.keyboard.type("echo stop''ped\n");
  await rows(page).getByText("stopped", { exact: true }).waitFor();
  await shot(page, "terminal");
  await page.reload();
  await rows(page).getByText("stopped", { exact: true }).waitFor();
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("echo $here-two\n");
  await rows(page).getByText("fourty-two", { exact: true }).waitFor();
  expect(sins).toEqual([]);
});

test("ten megabytes do not freeze the page", async () => {
  const { page } = await hive.operator("#/agents/worker/terminal");
  await rows(page).first().waitFor();
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo fin''ished\n");
  const begin = Date.now();
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  expect(Date.now() - begin).toBeLessThan(1500);
  await rows(page).getByText("finished", { exact: true }).waitFor({ timeout: 40_000 });
});

test("a paste of several lines arrives, the size follows the window, and the end is told", async () => {
  const { page } = await hive.operator("#/agents/worker/terminal");
  await rows(page).first().waitFor();
  await page.locator(".xterm-helper-textarea").focus();
  await page.locator(".xterm-helper-textarea").evaluate((box) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", "cat <<'END'\nfirst line\nsecond line\nEND\n");
    box.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  });
  await page.keyboard.press("Enter");
  await expect.poll(async () => ((await rows(page).textContent()) ?? "").split("second line").length).toBe(3);
  await page.keyboard.type("clear; stty size\n");
  const size = async () => /(\d+) (\d+)/.exec((await rows(page).textContent()) ?? "")?.[2];
  await expect.poll(size).toBeDefined();
  const wide = Number(await size());
  await page.setViewportSize({ width: 600, height: 900 });
  await page.keyboard.type("clear; stty size\n");
  await expect.poll(async () => Number(await size())).toBeLessThan(wide);
  await page.getByRole("button", { name: "End it" }).click();
  await page.getByText("ended by operator:root").waitFor();
  await go(page, "#/audit");
  await page.getByText("terminal.opened").first().waitFor();
  await page.getByText("terminal.closed").first().waitFor();
});

test("notes are edited, and what came between is not written over unseen", async () => {
  const { page } = await hive.operator("#/agents/worker/notes");
  await page.getByText("There are no notes.").waitFor();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Notes of worker" }).fill("the operator was here");
  await page.reload();
  expect(await page.getByRole("textbox", { name: "Notes of worker" }).inputValue()).toBe("the operator was here");
  await hive.hive.ask("send", {
    to: "worker",
    steps: [{ tool: "mcp__hive__notes_append", input: { text: "so was I" } }, { text: "noted" }],
  });
  await hive.hive.ask("mail", { sender: "worker", body: "done" });
  const other = await hive.operator("#/agents/worker/notes");
  await other.page.getByText("so was I").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("worker wrote into its notes while you did.").waitFor();
  await page.getByText("so was I").waitFor();
  await page.getByRole("button", { name: "Put mine in their place" }).click();
  await page.getByRole("button", { name: "Edit" }).waitFor();
  await page.getByText("the operator was here").waitFor();
});

test("an agent's files go only when its name was typed", async () => {
  const { page } = await hive.operator();
  await page.getByRole("button", { name: "New agent" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill("short-lived");
  await page.getByRole("button", { name: "Create" }).click();
  const card = page.locator("li.agent", { hasText: "short-lived" });
  await card.getByText("running").waitFor();
  await page.getByRole("button", { name: "Destroy short-lived" }).click();
  await page.getByRole("button", { name: "Remove its files too…" }).click();
  const remove = page.getByRole("button", { name: "Remove everything" });
  expect(await remove.isDisabled()).toBe(true);
  await page.getByRole("textbox", { name: /Type short-lived/ }).fill("short-lived");
  await remove.click();
  await card.waitFor({ state: "detached" });
});
