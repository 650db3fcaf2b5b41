import { expect, test } from "vitest";
import { newestPage, NONE, olderPage, type Rows, withRow } from "./rows";

const rows = (...ids: number[]) => ids.map((id) => ({ id }));
const ids = (list: Rows<{ id: number }>) => list.rows.map((row) => row.id);

test("the newest page takes the place of what it covers, and older rows stay", () => {
  const old = { rows: rows(9, 8, 7, 6, 5), more: true };
  const after = newestPage(old, rows(11, 10, 9, 8), 4);
  expect(ids(after)).toEqual([11, 10, 9, 8, 7, 6, 5]);
  expect(after.more).toBe(true);
});

test("older rows go when there may be others between them and the newest page", () => {
  const after = newestPage({ rows: rows(3, 2, 1), more: false }, rows(20, 19, 18), 3);
  expect(ids(after)).toEqual([20, 19, 18]);
  expect(after.more).toBe(true);
});

test("a page that is not full is everything", () => {
  expect(newestPage({ rows: rows(9, 8, 7), more: true }, rows(9, 7), 3)).toEqual({ rows: rows(9, 7), more: false });
  expect(newestPage(null, [], 3)).toEqual(NONE);
});

test("an older page is put at the end, without a row twice", () => {
  const after = olderPage({ rows: rows(9, 8), more: true }, rows(8, 7), 2);
  expect(ids(after)).toEqual([9, 8, 7]);
  expect(after.more).toBe(true);
  expect(olderPage(after, rows(6), 2).more).toBe(false);
});

test("a new row has its place by its number, and a newer state of one replaces it", () => {
  const old: Rows<{ id: number; text?: string }> = { rows: rows(9, 7, 5), more: false };
  expect(withRow(old, { id: 10 }).rows.map((row) => row.id)).toEqual([10, 9, 7, 5]);
  expect(withRow(old, { id: 8 }).rows.map((row) => row.id)).toEqual([9, 8, 7, 5]);
  expect(withRow(old, { id: 7, text: "new" }).rows).toEqual([{ id: 9 }, { id: 7, text: "new" }, { id: 5 }]);
  expect(withRow(old, { id: 1 }).rows.map((row) => row.id)).toEqual([9, 7, 5, 1]);
});

test("a row of a page that is not loaded yet makes no gap, and a bound drops the oldest", () => {
  const old = { rows: rows(9, 8), more: true };
  expect(withRow(old, { id: 3 })).toBe(old);
  expect(withRow(old, { id: 10 }, 2)).toEqual({ rows: rows(10, 9), more: true });
});
