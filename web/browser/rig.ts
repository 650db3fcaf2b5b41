// A hive (python/tests/browser_rig.py) and a browser for one test file.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

const ROOT = new URL("../..", import.meta.url).pathname;
const ARGUMENTS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

type Answer = Record<string, unknown>;

export class Hive {
  private waiting: ((answer: Answer) => void)[] = [];
  private early: Answer[] = [];

  constructor(
    private readonly program: ChildProcess,
    readonly directory: string,
  ) {
    createInterface({ input: program.stdout! }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      const next = this.waiting.shift();
      if (next) next(answer);
      else this.early.push(answer);
    });
  }

  answer(): Promise<Answer> {
    const early = this.early.shift();
    return early ? Promise.resolve(early) : new Promise((resolve) => this.waiting.push(resolve));
  }

  async ask<T = Answer>(what: string, given: Answer = {}): Promise<T> {
    this.program.stdin!.write(`${JSON.stringify({ do: what, ...given })}\n`);
    const answer = await this.answer();
    if (answer.error) throw new Error(String(answer.error));
    return answer as T;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.program.on("exit", resolve));
    this.program.stdin!.end();
    await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Stage {
  hive: Hive;
  browser: Browser;
  link: string;
  /** A browser that nobody has logged in; what it does that a page must not is in `sins`. */
  visitor: (options?: Parameters<Browser["newContext"]>[0]) => Promise<{ context: BrowserContext; page: Page; sins: string[] }>;
  /** One that the operator logged in, at that page. */
  operator: (hash?: string, options?: Parameters<Browser["newContext"]>[0]) => ReturnType<Stage["visitor"]>;
}

/** Start and end a hive and a browser around the tests of a file. */
export function stage(): Stage {
  const made = {} as Stage;
  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), "hive-"));
    const program = spawn(process.env.HYPERHIVE_PYTHON ?? "python3", [join(ROOT, "python/tests/browser_rig.py"), directory], {
      env: { ...process.env, PYTHONPATH: `${ROOT}/python:${ROOT}/python/tests` },
      stdio: ["pipe", "pipe", "inherit"],
    });
    made.hive = new Hive(program, directory);
    made.link = String((await made.hive.answer()).link);
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    made.browser = await chromium.launch({ executablePath, args: ARGUMENTS.split(" ") });
  });
  afterAll(async () => {
    await made.browser?.close();
    await made.hive?.end();
  });
  made.visitor = async (options) => {
    const context = await made.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const sins: string[] = [];
    page.on("dialog", (dialog) => (sins.push(`dialog ${dialog.message()}`), void dialog.dismiss()));
    page.on("pageerror", (error) => sins.push(`error ${error.message}`));
    page.on("console", (told) => {
      if (told.text().includes("Content Security Policy")) sins.push(told.text());
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== new URL(made.link).origin && protocol !== "data:") sins.push(`request ${request.url()}`);
    });
    return { context, page, sins };
  };
  made.operator = async (hash = "#/", options) => {
    const visitor = await made.visitor(options);
    const { link } = await made.hive.ask<{ link: string }>("link");
    await visitor.page.goto(link);
    await visitor.page.getByRole("navigation", { name: "Pages" }).waitFor();
    await go(visitor.page, hash);
    return visitor;
  };
  return made;
}

export async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((wanted) => {
    location.hash = wanted;
  }, hash);
  await page.locator("#content > *").first().waitFor();
}

/** A picture of the page for who asks for them (SHOTS=1). */
export async function shot(page: Page, name: string): Promise<void> {
  if (!process.env.SHOTS) return;
  mkdirSync(join(ROOT, "web/shots"), { recursive: true });
  await page.screenshot({ path: join(ROOT, "web/shots", `${name}.png`), fullPage: true });
}
