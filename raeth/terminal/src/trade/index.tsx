/** Trading by hand: for one agent, with its own key, over the same public interface that every agent uses. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { agentKey } from "../venue/session";
import { askingCancelAll, enter, showingKeys } from "./act";
import { AskDialog, KeysDialog } from "./dialogs";
import { History } from "./history";
import { type Place, shortcut } from "./keys";
import { Ladder } from "./ladder";
import { CancelAllDialog, OpenOrders } from "./orders";
import { Positions } from "./positions";
import { keepPreview } from "./preview";
import { answer, busy, resume } from "./send";
import { Start } from "./start";
import { change, clear, turn } from "./state";
import { qtyInput } from "./ticket-fields";
import { TicketPanel } from "./ticket-panel";
import { Wallet } from "./wallet";
import "./trade.css";
import "./ticket.css";

export default function Trade(): JSX.Element {
  return agentKey.value ? <Desk /> : <Start />;
}

function Desk(): JSX.Element {
  useEffect(() => {
    window.scrollTo(0, 0); // whoever pasted a key on a phone stood further down
    resume();
    document.addEventListener("keydown", pressed);
    const end = keepPreview();
    return () => {
      end();
      document.removeEventListener("keydown", pressed);
    };
  }, []);
  return (
    <div class="trade">
      <h1 class="hidden">Trade</h1>
      <TicketPanel />
      <Ladder />
      <Wallet />
      <div class="trade-mine-column">
        <Positions />
        <OpenOrders />
        <History />
      </div>
      <AskDialog />
      <CancelAllDialog />
      <KeysDialog />
    </div>
  );
}

function pressed(event: KeyboardEvent): void {
  const found = shortcut(event, placeOf(event.target));
  if (!found) return;
  event.preventDefault();
  switch (found.do) {
    case "action":
      change({ action: found.action });
      break;
    case "framing":
      turn(found.framing);
      break;
    case "quantity":
      qtyInput.peek()?.focus();
      qtyInput.peek()?.select();
      break;
    case "enter":
      enter();
      break;
    case "clear":
      if (!busy()) answer.value = null;
      clear();
      break;
    case "cancel-all":
      askingCancelAll.value = true;
      break;
    case "help":
      showingKeys.value = true;
  }
}

function placeOf(target: EventTarget | null): Place {
  const element = target instanceof HTMLElement ? target : document.body;
  return {
    tag: element.tagName,
    type: element instanceof HTMLInputElement || element instanceof HTMLButtonElement ? element.type : "",
    editable: element.isContentEditable,
    dialog: document.querySelector("dialog[open]") !== null,
  };
}
