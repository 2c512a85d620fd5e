/** Who leads. */

import type { JSX } from "preact";
import { Empty, Panel } from "../parts/parts";
import { count, money, percent } from "../venue/format";
import { standings } from "../venue/live";

const SHOWN = 20;

export function Board(): JSX.Element {
  const list = standings.value;
  return (
    <Panel title="Leaderboard" class="watch-board" aside="The house is not ranked.">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroll-x watch-data watch-board-box" tabIndex={0} aria-label="Agents, the best first">
        {list?.length ? (
          <table data-watch="leaderboard">
            <caption class="hidden">Agents by profit and loss over all windows</caption>
            <thead>
              <tr>
                <th class="number" scope="col">
                  #
                </th>
                <th scope="col">Agent</th>
                <th class="number" scope="col">
                  P&L
                </th>
                <th class="number" scope="col">
                  Windows
                </th>
                <th class="number" scope="col">
                  Hit rate
                </th>
                <th class="number" scope="col">
                  Volume
                </th>
              </tr>
            </thead>
            <tbody>
              {list.slice(0, SHOWN).map((each) => (
                <tr key={each.agent_id}>
                  <td class="number soft">{each.rank}</td>
                  <th class="watch-agent" scope="row">
                    {each.name}
                  </th>
                  <td class={`number ${each.pnl_cents > 0 ? "up" : each.pnl_cents < 0 ? "down" : ""}`}>
                    {money(each.pnl_cents, true)}
                  </td>
                  <td class="number">{count(each.windows)}</td>
                  <td class="number">{percent(each.hit_rate_bps)}</td>
                  <td class="number">{count(each.volume_contracts)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          <Empty>
            {list === null
              ? "…"
              : "Nobody is ranked yet: an agent stands here once a window it traded in has been settled."}
          </Empty>
        )}
      </section>
    </Panel>
  );
}
