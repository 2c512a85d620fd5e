import { afterEach, beforeEach, expect, test, vi } from "vitest";

const KEY = "rk_live_0123456789abcdef_abcdefghijklmnopqrstuvwxyz012345";

class Storage {
  readonly held = new Map<string, string>();
  getItem = (name: string) => this.held.get(name) ?? null;
  setItem = (name: string, value: string) => void this.held.set(name, value);
  removeItem = (name: string) => void this.held.delete(name);
}

let tab: Storage;
let device: Storage;

/** The page loaded anew over what the two storages hold. */
async function load() {
  vi.resetModules();
  return import("./session");
}

beforeEach(() => {
  tab = new Storage();
  device = new Storage();
  vi.stubGlobal("sessionStorage", tab);
  vi.stubGlobal("localStorage", device);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function answers(...list: [status: number, body: unknown][]) {
  const fetched = vi.fn(async (_url: string, _init: RequestInit) => {
    const [status, body] = list.shift() ?? [500, null];
    return new Response(JSON.stringify(body), { status });
  });
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

const refused = { code: "AUTH_MISSING", message: "No credential", request_id: "1" };
const account = {
  account_id: "a",
  email: "ada@example.org",
  created_at: "",
  master: { cash_cents: 0 },
  agents: [],
  seq: 1,
};

test("a key stays for a reload of the tab, and no longer unless asked", async () => {
  (await load()).useKey(` ${KEY}\n`, false);
  expect(device.held.size).toBe(0);
  expect((await load()).agentKey.value).toBe(KEY);
  tab.held.clear(); // the tab was closed
  expect((await load()).agentKey.value).toBeNull();
});

test("a remembered key outlives the tab; forgetting it clears all", async () => {
  (await load()).useKey(KEY, true);
  tab.held.clear();
  const session = await load();
  expect(session.agentKey.value).toBe(KEY);
  session.forgetKey("revoked");
  expect([tab.held.size, device.held.size, session.agentKey.value]).toEqual([0, 0, null]);
  expect(session.dropped.value).toBe("revoked");
});

test("a key not to be remembered replaces one that was", async () => {
  const session = await load();
  session.useKey(KEY, true);
  session.useKey(KEY, false);
  expect(device.held.size).toBe(0);
});

test("what is no key is not taken from a storage", async () => {
  tab.setItem("raeth-agent-key", "<script>");
  expect((await load()).agentKey.value).toBeNull();
});

test("storage that is switched off is no failure", async () => {
  const off = () => {
    throw new Error("denied");
  };
  vi.stubGlobal("sessionStorage", { getItem: off, setItem: off, removeItem: off });
  vi.stubGlobal("localStorage", undefined);
  const session = await load();
  session.useKey(KEY, true);
  expect(session.agentKey.value).toBe(KEY);
});

test("signing in stores no token of the session", async () => {
  const session = await load();
  const fetched = answers([200, { account_id: "a", session_token: "rs_secret", expires_at: "" }], [200, account]);
  await session.signIn("ada@example.org ", "correct horse battery");
  expect(session.owner.value).toEqual(account);
  expect([...tab.held.values(), ...device.held.values()].join()).not.toContain("rs_secret");
  const init = fetched.mock.calls[1]?.[1];
  expect(init?.credentials).toBe("same-origin");
  expect(init?.headers).toEqual({});
});

test("without a session nobody is signed in, and it is asked once", async () => {
  const session = await load();
  const fetched = answers([401, refused]);
  expect(await session.ownerReady()).toBeNull();
  expect(await session.ownerReady()).toBeNull();
  expect(fetched).toHaveBeenCalledTimes(1);
});

test("no answer is not the same as nobody: it is asked again", async () => {
  const session = await load();
  answers([503, { ...refused, code: "SERVICE_DEGRADED" }], [200, account]);
  expect(await session.ownerReady()).toBeNull();
  expect(await session.ownerReady()).toEqual(account);
});

test("signing out of a session that is over is no failure", async () => {
  const session = await load();
  session.owner.value = account;
  answers([401, refused]);
  await session.signOut();
  expect(session.owner.value).toBeNull();
});
