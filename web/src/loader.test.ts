import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Loader } from "./loader";
import type { LiveEvent } from "./types";

type Answer = { resolve: (data: number[]) => void; reject: (failure: Error) => void };

const event = (id: number): LiveEvent => ({ kind: "message", data: { id } });
const old: LiveEvent = { kind: "agent", data: {} };

/** A loader of a list of numbers whose requests are answered by hand; an event adds its number, once. */
function loading() {
  const asked: Answer[] = [];
  const shown: number[][] = [];
  const failures: string[] = [];
  const loader = new Loader<number[]>({
    fetch: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
    outdated: ({ kind }) => kind === "agent",
    amend: (data, { kind, data: { id } }) => (kind === "message" && !data.includes(id as number) ? [...data, id as number] : data),
    show: (data) => shown.push(data),
    fail: (message) => failures.push(message),
  });
  return { loader, asked, shown, failures };
}

const settled = () => vi.advanceTimersByTimeAsync(500);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("an event that comes while the snapshot is on its way is in what is shown, once", async () => {
  const { loader, asked, shown } = loading();
  loader.load();
  loader.take([event(2), event(3)]);
  asked[0]!.resolve([1, 2]);
  await settled();
  expect(shown.at(-1)).toEqual([1, 2, 3]);
  loader.take([event(3), event(4)]);
  expect(shown.at(-1)).toEqual([1, 2, 3, 4]);
});

test("however many events make it out of date, there is one request at a time, and one after it", async () => {
  const { loader, asked } = loading();
  loader.load();
  for (let round = 0; round < 20; round++) {
    loader.take([old]);
    await vi.advanceTimersByTimeAsync(150);
  }
  expect(asked.length).toBe(1);
  asked[0]!.resolve([1]);
  await settled();
  expect(asked.length).toBe(2);
  asked[1]!.resolve([2]);
  await settled();
  expect(asked.length).toBe(2);
});

test("a failure is told, keeps what is shown, and the next event tries again", async () => {
  const { loader, asked, shown, failures } = loading();
  loader.load();
  asked[0]!.resolve([1]);
  await settled();
  loader.load();
  asked[1]!.reject(new Error("the core is away"));
  await settled();
  expect(failures).toEqual(["the core is away"]);
  expect(shown).toEqual([[1]]);
  loader.take([{ kind: "reset", data: {} }]);
  await settled();
  asked[2]!.resolve([1, 2]);
  await settled();
  expect(shown.at(-1)).toEqual([1, 2]);
});

test("after its end it shows nothing and asks for nothing", async () => {
  const { loader, asked, shown, failures } = loading();
  loader.load();
  loader.stop();
  asked[0]!.resolve([1]);
  await settled();
  loader.take([old]);
  await settled();
  expect([asked.length, shown, failures]).toEqual([1, [], []]);
});
