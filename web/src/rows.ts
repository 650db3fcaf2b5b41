// Long lists, newest first, that are loaded page by page and grow while they are looked at.

export interface Row {
  id: number;
}

export interface Rows<T> {
  rows: T[];
  /** Whether there may be older ones than those loaded. */
  more: boolean;
}

export const NONE: Rows<never> = { rows: [], more: false };

/** The newest page put in the place of what it covers; older rows stay, unless there may be a gap before them. */
export function newestPage<T extends Row>(old: Rows<T> | null, found: T[], page: number): Rows<T> {
  const rows = sorted(found);
  if (rows.length < page) return { rows, more: false };
  const lowest = rows.at(-1)!.id;
  const meets = (old?.rows ?? []).some((row) => row.id >= lowest);
  if (old === null || !meets) return { rows, more: true };
  const below = old.rows.filter((row) => row.id < lowest);
  return { rows: [...rows, ...below], more: below.length > 0 ? old.more : true };
}

/** The list with the page that follows its end. */
export function olderPage<T extends Row>(old: Rows<T>, found: T[], page: number): Rows<T> {
  const lowest = old.rows.at(-1)?.id ?? Infinity;
  return { rows: [...old.rows, ...sorted(found).filter((row) => row.id < lowest)], more: found.length === page };
}

/** The list with one row that is new, or a newer state of one that it has. At most `most` are kept, the newest. */
export function withRow<T extends Row>(old: Rows<T>, row: T, most = Infinity): Rows<T> {
  const place = old.rows.findIndex((each) => each.id <= row.id);
  if (place >= 0 && old.rows[place]!.id === row.id) {
    return { ...old, rows: old.rows.map((each, index) => (index === place ? row : each)) };
  }
  if (place < 0 && old.more) return old; // it belongs to a page that is not loaded yet
  const rows = [...old.rows];
  rows.splice(place < 0 ? rows.length : place, 0, row);
  return rows.length > most ? { rows: rows.slice(0, most), more: true } : { ...old, rows };
}

function sorted<T extends Row>(rows: T[]): T[] {
  return [...rows].sort((one, other) => other.id - one.id);
}
