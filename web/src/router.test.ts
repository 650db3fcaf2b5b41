import { expect, test } from "vitest";
import { linkIn, parse, to } from "./router";

test.each([
  ["", { page: "overview" }],
  ["#/", { page: "overview" }],
  ["#/proposals", { page: "proposals" }],
  ["#/proposals/7", { page: "proposals", id: 7 }],
  ["#/proposals/x", { page: "nowhere" }],
  ["#/dead-letters", { page: "dead-letters" }],
  ["#/mail/3", { page: "mail", id: 3 }],
  ["#/agents/worker", { page: "agent", name: "worker", tab: "turns", id: undefined }],
  ["#/agents/worker/turns/5", { page: "agent", name: "worker", tab: "turns", id: 5 }],
  ["#/agents/worker/odd", { page: "nowhere" }],
  ["#/agents/%E0%A4%A", { page: "agent", name: "%E0%A4%A", tab: "turns", id: undefined }],
  ["#/elsewhere", { page: "nowhere" }],
])("%s", (hash, route) => expect(parse(hash)).toEqual(route));

test("addresses lead where they say", () => {
  expect(parse(to.agent("worker", "turns", 5))).toMatchObject({ name: "worker", id: 5 });
  expect(parse(to.agent("a/b"))).toMatchObject({ name: "a/b" });
  expect(parse(to.chain(9))).toEqual({ page: "mail", id: 9 });
});

test("a link is found in an address, or alone", () => {
  const link = "abcdefgh12345678.ABCDEFGHIJKLMNOP_-12345678";
  expect(linkIn(`http://127.0.0.1:8420/#link=${link}`)).toBe(link);
  expect(linkIn(`  ${link}\n`)).toBe(link);
  for (const wrong of ["", "x", "javascript:alert(1)", `${link} x`, "http://127.0.0.1:8420/"]) expect(linkIn(wrong)).toBe(null);
});
