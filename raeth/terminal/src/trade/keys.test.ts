import { expect, test } from "vitest";
import { type Place, type Pressed, shortcut } from "./keys";

const page: Place = { tag: "BODY", type: "", editable: false, dialog: false };
const press = (key: string, more: Partial<Pressed> = {}): Pressed => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  repeat: false,
  ...more,
});

test("every key does its work on the page", () => {
  const found = ["b", "s", "y", "n", "/", "?", "Escape", "Enter"].map((key) => shortcut(press(key), page)?.do);
  expect(found).toEqual(["action", "action", "framing", "framing", "quantity", "help", "clear", "enter"]);
  expect(shortcut(press("X", { shiftKey: true }), page)).toEqual({ do: "cancel-all" });
  expect(shortcut(press("x"), page)).toBeNull();
});

test("none fires where somebody types, in a dialog, or with a browser's shortcut", () => {
  for (const key of ["b", "s", "y", "n", "/", "?", "Escape", "Enter", "X"]) {
    for (const place of [
      { ...page, tag: "INPUT", type: "text" },
      { ...page, tag: "INPUT", type: "password" },
      { ...page, tag: "TEXTAREA" },
      { ...page, tag: "SELECT" },
      { ...page, editable: true },
      { ...page, dialog: true },
    ])
      expect(shortcut(press(key, { shiftKey: key === "X" }), place)).toBeNull();
    expect(shortcut(press(key, { ctrlKey: true }), page)).toBeNull();
    expect(shortcut(press(key, { metaKey: true }), page)).toBeNull();
    expect(shortcut(press(key, { repeat: true }), page)).toBeNull();
  }
});

test("a chosen radio button is no typing; Enter on a button is the button's", () => {
  expect(shortcut(press("b"), { ...page, tag: "INPUT", type: "radio" })?.do).toBe("action");
  expect(shortcut(press("Enter"), { ...page, tag: "BUTTON", type: "button" })).toBeNull();
});
