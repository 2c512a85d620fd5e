/** Which agents have which names, as far as the public interface tells: the leaderboard's, and the house. */

import { call } from "../venue/http";
import type { Page, Standing } from "../venue/wire";
import type { Known } from "./wording";

/** 1,000 names are enough to find somebody by; the rest go by id. */
const PAGES = 4;

export async function readDirectory(signal: AbortSignal): Promise<Known[]> {
  const found = new Map<string, string>();
  const house = await call<{ agent_id: string | null; agent_name: string | null }>("/liquidity", { signal });
  if (house.agent_id && house.agent_name) found.set(house.agent_id, house.agent_name);
  let cursor: string | null = null;
  for (let n = 0; n < PAGES; n++) {
    const page: Page<Standing> = await call<Page<Standing>>("/leaderboard", { query: { limit: 250, cursor }, signal });
    for (const { agent_id: id, name } of page.items) found.set(id, name);
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  return [...found].map(([id, name]) => ({ id, name }));
}
