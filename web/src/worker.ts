// What all pages of this browser share: the stream.
import { hold } from "./locks";
import { Stream, type Told, WORLD } from "./stream";

const stream = new Stream(WORLD);
const lock = hold();

addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0]!;
  stream.attach(port);
  void lock.then((name) => port.postMessage({ told: "alive", lock: name } satisfies Told));
});
