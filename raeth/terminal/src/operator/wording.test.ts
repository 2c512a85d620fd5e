import { expect, test } from "vitest";
import type { AdminAction } from "../venue/wire";
import { actionWords, find, keyIdOf, lastFreeze, suspendedBy } from "./wording";

const base: AdminAction = {
  seq: 9,
  ts: "2026-11-20T10:30:00.000Z",
  action: "FREEZE",
  actor: "operator",
  reason: "drill",
  target: null,
  key_id: null,
  amount_cents: null,
  refused: null,
};
const row = (change: Partial<AdminAction>): AdminAction => ({ ...base, ...change });
const id = "01a200a4-a8af-8000-8000-000103800001";
const named = (wanted: string) => (wanted === id ? "ada-1" : null);

test.each([
  [{ action: "FREEZE" }, "Froze the venue"],
  [{ action: "UNFREEZE" }, "Lifted the freeze"],
  [{ action: "GRANT", target: id, amount_cents: 123456 }, "Granted $1,234.56 to ada-1"],
  [{ action: "VOID", target: "BTC-1M-X" }, "Voided BTC-1M-X"],
  [{ action: "SUSPEND", target: id }, "Suspended ada-1"],
  [{ action: "REVOKE_KEY", key_id: "0123456789abcdef" }, "Revoked key 0123456789abcdef"],
  [{ action: "VOID", target: id, refused: "MARKET_FINAL" }, "Tried to void ada-1: refused, MARKET_FINAL"],
  [{ action: "REVOKE_KEY", key_id: "0123", refused: "NOT_FOUND" }, "Tried to revoke key 0123: refused, NOT_FOUND"],
  [{ action: "SOMETHING_NEW", target: id }, "SOMETHING_NEW ada-1"],
])("%j", (change, words) => {
  expect(actionWords(row(change), named)).toBe(words);
});

test("a target without a name is told by the ends of its id", () => {
  expect(actionWords(row({ action: "HALT", target: id }), () => null)).toBe("Halted 01a2…0103800001");
});

test("the freeze that holds is the last one that was not lifted or refused", () => {
  const freeze = row({ seq: 5 });
  expect(lastFreeze([row({ seq: 7, action: "UNFREEZE", refused: "X" }), row({ seq: 6, action: "HALT" }), freeze])).toBe(
    freeze,
  );
  expect(lastFreeze([row({ action: "UNFREEZE" }), freeze])).toBeNull();
  expect(lastFreeze([])).toBeNull();
});

test("an agent's standing is its last one, or unknown", () => {
  const rows = [row({ action: "REINSTATE", target: id }), row({ action: "SUSPEND", target: id })];
  expect(suspendedBy(rows, id)).toBe(false);
  expect(suspendedBy(rows.slice(1), id)).toBe(true);
  expect(suspendedBy(rows, "other")).toBeNull();
});

test("a key's id is taken from the key, and nothing else is", () => {
  expect(keyIdOf(" 0123456789abcdef ")).toBe("0123456789abcdef");
  expect(keyIdOf("rk_live_0123456789abcdef_secret-Secret")).toBe("0123456789abcdef");
  for (const text of ["", "0123456789abcde", "rk_admin_0123456789abcdef", "0123456789ABCDEF", "x0123456789abcdef"]) {
    expect(keyIdOf(text)).toBeNull();
  }
});

test("exact names before beginnings before middles before ids", () => {
  const agents = [
    { id: "a1", name: "beta-ada" },
    { id: "ada9", name: "zeta" },
    { id: "a2", name: "ada-2" },
    { id: "a3", name: "Ada" },
    { id: "a4", name: "other" },
  ];
  expect(find(agents, "ADA").map(({ id }) => id)).toEqual(["a3", "a2", "a1", "ada9"]);
  expect(find(agents, "  ")).toEqual([]);
  expect(find(agents, id)).toEqual([{ id, name: "" }]);
  expect(find(agents, "a", 2)).toHaveLength(2);
});
