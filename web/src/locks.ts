// Who is still there: a page or a worker holds a lock for as long as it lives, however it ends, and others wait for it.

/** Hold a lock from now on; its name. */
export async function hold(): Promise<string> {
  const name = crypto.randomUUID();
  await new Promise<void>((held) => {
    void navigator.locks.request(name, () => {
      held();
      return new Promise<never>(() => undefined);
    });
  });
  return name;
}

/** Resolves when who holds that lock is gone. */
export async function gone(name: string): Promise<void> {
  await navigator.locks.request(name, { mode: "shared" }, () => undefined);
}
