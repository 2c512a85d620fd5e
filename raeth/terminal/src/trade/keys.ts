/** Which key does what on the page. Never while somebody types, and never with a browser's own shortcut. */

import type { Side } from "../venue/wire";
import type { Framing } from "./frame";

export type Shortcut =
  | { do: "action"; action: Side }
  | { do: "framing"; framing: Framing }
  | { do: "quantity" | "enter" | "clear" | "cancel-all" | "help" };

export interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  repeat: boolean;
}

/** Where the key was pressed. */
export interface Place {
  /** "INPUT", "BUTTON", … */
  tag: string;
  /** Of an input: "text", "radio", … */
  type: string;
  editable: boolean;
  /** A dialog is open: its keys are its own. */
  dialog: boolean;
}

export const SHORTCUTS: readonly (readonly [keys: string, what: string])[] = [
  ["B / S", "Buy or sell"],
  ["Y / N", "The YES or the NO contract"],
  ["/", "To the quantity"],
  ["↑ ↓", "In price and quantity: one step; with Shift ten"],
  ["Enter", "Preview; once that is there, send"],
  ["Esc", "Clear the ticket"],
  ["Shift+X", "Cancel all resting orders (asks first)"],
  ["?", "This list"],
];

/** Somebody may be typing here. */
export function types(place: Place): boolean {
  if (place.editable || place.tag === "TEXTAREA" || place.tag === "SELECT") return true;
  return place.tag === "INPUT" && !["radio", "checkbox", "button"].includes(place.type);
}

export function shortcut(event: Pressed, place: Place): Shortcut | null {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || place.dialog || types(place)) return null;
  if (event.key === "X" && event.shiftKey) return { do: "cancel-all" };
  switch (event.key) {
    case "b":
    case "B":
      return { do: "action", action: "BUY" };
    case "s":
    case "S":
      return { do: "action", action: "SELL" };
    case "y":
    case "Y":
      return { do: "framing", framing: "YES" };
    case "n":
    case "N":
      return { do: "framing", framing: "NO" };
    case "/":
      return { do: "quantity" };
    case "?":
      return { do: "help" };
    case "Escape":
      return { do: "clear" };
    case "Enter":
      // On a button, a link or a box that has the focus the key is that one's own.
      return place.tag === "BUTTON" || place.tag === "A" || place.tag === "SUMMARY" || place.type === "checkbox"
        ? null
        : { do: "enter" };
    default:
      return null;
  }
}
