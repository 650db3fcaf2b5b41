// Who is logged in: what a reload and a new tab keep, what a stolen cookie is worth, and who ends whom.
import { expect, test } from "vitest";
import { go, shot, stage } from "./rig";

const hive = stage();
const login = "It works once.";

test("a reload and a new tab stay logged in, and a page that lost its key asks for a link", async () => {
  const { context, page, sins } = await hive.operator();
  await page.reload();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  const tab = await context.newPage();
  await tab.goto(new URL(hive.link).origin);
  await tab.getByRole("navigation", { name: "Pages" }).waitFor();
  await page.evaluate(() => localStorage.removeItem("hyperhive-key"));
  await page.reload();
  await page.getByText(login).waitFor();
  const { link } = await hive.hive.ask<{ link: string }>("link");
  await page.getByLabel("Or paste it here").fill(link);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  await go(page, "#/agents/worker/terminal");
  await page.getByRole("button", { name: "Open a terminal" }).click();
  await page.locator(".xterm-rows").getByText("worker:~/work$").first().waitFor();
  expect(sins).toEqual([]);
});

test("the cookie alone, which pages on other ports of this host get, opens nothing", async () => {
  const { context } = await hive.operator();
  const origin = new URL(hive.link).origin;
  const [cookie] = await context.cookies(origin);
  const headers = { cookie: `${cookie!.name}=${cookie!.value}` };
  for (const path of ["/v1/agents", "/v1/session", "/v1/events", "/v1/openapi.json"]) {
    expect((await fetch(origin + path, { headers })).status, path).toBe(401);
  }
});

test("browsers are listed with this one marked, and one that is ended is asked for a link at once", async () => {
  const one = await hive.operator("#/audit");
  const other = await hive.operator("#/audit");
  const rows = one.page.locator("#browsers tbody tr");
  await other.page.locator("#browsers tr", { hasText: "this one" }).waitFor();
  const before = await other.page.locator("#browsers tbody tr").count();
  await expect.poll(() => rows.count()).toBe(before);
  expect(await one.page.locator("#browsers tr", { hasText: "this one" }).count()).toBe(1);
  await shot(one.page, "browsers");
  await rows.filter({ hasNotText: "this one" }).first().getByRole("button").click(); // the last used first
  await other.page.getByText(login).waitFor({ timeout: 8000 });
  await expect.poll(() => rows.count()).toBe(before - 1);
  await one.page.locator(".audit tr", { hasText: "dashboard.logout" }).first().waitFor();
  await rows.filter({ hasText: "this one" }).getByRole("button").click();
  await one.page.getByText(login).waitFor({ timeout: 8000 });
  expect([...one.sins, ...other.sins]).toEqual([]);
});

test("who came by a proxy is offered no way out that the page does not have", async () => {
  const { page } = await hive.operator();
  await page.getByRole("button", { name: "Log out" }).waitFor();
  await page.route("**/v1/session", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), by: "proxy" } });
  });
  await page.reload();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  expect(await page.getByRole("button", { name: "Log out" }).count()).toBe(0);
});
