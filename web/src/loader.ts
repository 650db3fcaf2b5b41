// What one view loads: a snapshot, and the events that come while it is on its way, so that none is lost or shown twice.
import type { LiveEvent } from "./types";

const SETTLE = 100;

export interface Wishes<T> {
  /** Load it; `old` is what is shown when the answer is here. */
  fetch: (old: () => T | null) => Promise<T>;
  /** Whether an event makes it out of date, so that it has to be loaded again. */
  outdated: (event: LiveEvent) => boolean;
  /** What it is after an event that says all: may be told of one that the snapshot holds already. */
  amend: (data: T, event: LiveEvent) => T;
  show: (data: T) => void;
  fail: (message: string) => void;
}

/** Loads one thing, at most one request at a time: a wish during a load is granted after it, so none starves. */
export class Loader<T> {
  private data: T | null = null;
  private busy = false;
  private again = false;
  private over = false;
  private missed: LiveEvent[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly wishes: Wishes<T>) {}

  load(): void {
    if (this.over) return;
    if (this.busy) this.again = true;
    else void this.once();
  }

  private async once(): Promise<void> {
    this.busy = true;
    this.missed = [];
    try {
      const found = await this.wishes.fetch(() => this.data);
      this.set(this.missed.reduce(this.wishes.amend, found));
    } catch (failure) {
      if (!this.over) this.wishes.fail(failure instanceof Error ? failure.message : String(failure));
    }
    this.busy = false;
    if (!this.again || this.over) return;
    this.again = false;
    this.soon();
  }

  take(events: LiveEvent[]): void {
    if (this.busy) this.missed.push(...events);
    if (this.data !== null) {
      const after = events.reduce(this.wishes.amend, this.data);
      if (after !== this.data) this.set(after);
    }
    if (events.some((event) => event.kind === "reset" || this.wishes.outdated(event))) this.soon();
  }

  set(data: T): void {
    if (this.over) return;
    this.data = data;
    this.wishes.show(data);
  }

  /** Change what is shown, if there is anything. */
  change(how: (data: T) => T): void {
    if (this.data !== null) this.set(how(this.data));
  }

  stop(): void {
    this.over = true;
    clearTimeout(this.timer);
  }

  private soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.load();
    }, SETTLE);
  }
}
