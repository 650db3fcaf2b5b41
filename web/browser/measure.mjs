// The dashboard's figures, as one line of JSON: node measure.mjs DIRECTORY PAGES SECONDS (see bench/dashboard.py).
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [directory, pages, seconds] = process.argv.slice(2);
const root = new URL("../..", import.meta.url).pathname;
const SAMPLES = 100;

const rig = spawn(process.env.HYPERHIVE_PYTHON, [`${root}python/tests/browser_rig.py`, directory], {
  env: { ...process.env, PYTHONPATH: `${root}python:${root}python/tests` },
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: rig.stdout })[Symbol.asyncIterator]();
const answer = async () => JSON.parse((await lines.next()).value);
const ask = (what, given = {}) => (rig.stdin.write(`${JSON.stringify({ do: what, ...given })}\n`), answer());
const middle = (values, share = 0.5) => [...values].sort((a, b) => a - b)[Math.floor(values.length * share)];
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function harness(path, body) {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: `${directory}/run/agents/worker/harness.sock`, method: "POST", path }, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve(JSON.parse(text)));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

// CPU seconds that a process has used.
function used(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function paint(page) {
  const found = [];
  for (let round = 0; round < 7; round++) {
    await page.reload();
    await page.waitForFunction(() => window.shown !== undefined);
    found.push(
      await page.evaluate(() => ({ paint: performance.getEntriesByName("first-contentful-paint")[0].startTime, shown: window.shown })),
    );
  }
  return { paint: middle(found.map((each) => each.paint)), shown: middle(found.map((each) => each.shown)) };
}

async function pixel(page) {
  const { turn } = await harness("/v1/turns", JSON.stringify({ message_ids: [], session_id: "s", model: "haiku", generation: 1 }));
  await page.evaluate(() => (location.hash = "#/agents/worker"));
  await page.getByText("the turn goes on").waitFor();
  const took = [];
  for (let number = 0; number < SAMPLES; number++) {
    const text = `sample ${number}.`;
    const seen = page.evaluate(
      (wanted) =>
        new Promise((resolve) => {
          const look = () => document.body.innerText.includes(wanted) && (observer.disconnect(), requestAnimationFrame(() => resolve(Date.now())));
          const observer = new MutationObserver(look);
          observer.observe(document.body, { subtree: true, childList: true, characterData: true });
          look();
        }),
      text,
    );
    await pause(20);
    const begin = Date.now();
    await harness(`/v1/turns/${turn}/events`, JSON.stringify({ type: "assistant", message: { content: [{ type: "text", text }] } }));
    took.push((await seen) - begin);
  }
  await harness(`/v1/turns/${turn}/end`, JSON.stringify({ outcome: "completed" }));
  return middle(took, 0.95);
}

// Pages that only listen: what fifty of them cost the core, without what they cost this machine's browser.
async function idle(origin, headers) {
  const listening = Array.from({ length: Number(pages) }, () => {
    const asked = request(`${origin}/v1/events?turns=`, { headers }, (response) => {
      if (response.statusCode !== 200) throw new Error(`no stream: ${response.statusCode}`);
      response.resume();
    });
    asked.on("error", () => undefined);
    asked.end();
    return asked;
  });
  await pause(2000);
  const before = used(rig.pid);
  await pause(Number(seconds) * 1000);
  const share = ((used(rig.pid) - before) / Number(seconds)) * 100;
  listening.forEach((each) => each.destroy());
  return share;
}

const { link } = await answer();
await ask("fill", { agents: 98, proposals: 1000 });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext();
await context.addInitScript(() => {
  new MutationObserver((_, observer) => {
    if (document.querySelectorAll(".agents > li").length < 100) return;
    observer.disconnect();
    requestAnimationFrame(() => (window.shown = performance.now()));
  }).observe(document, { subtree: true, childList: true });
});
const page = await context.newPage();
await page.goto(link);
await page.waitForFunction(() => window.shown !== undefined);
const painted = await paint(page);
const delay = await pixel(page);
const [cookie] = await context.cookies();
const key = await page.evaluate(() => localStorage.getItem("hyperhive-key"));
await browser.close();
const cost = await idle(new URL(link).origin, { cookie: `${cookie.name}=${cookie.value}`, "x-hyperhive-key": key });
rig.stdin.end();
console.log(JSON.stringify({ ...painted, pixel: delay, idle: cost }));
process.exit(0);
