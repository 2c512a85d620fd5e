/** Dark or light: as the system has it, until somebody chooses. Only that choice is kept. */

import { effect, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const KEPT = "raeth-theme";
const system = matchMedia("(prefers-color-scheme: light)");
const chosen = signal<Theme | null>(kept());
export const theme = signal<Theme>("dark");

function kept(): Theme | null {
  const value = localStorage.getItem(KEPT);
  return value === "dark" || value === "light" ? value : null;
}

export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEPT, chosen.value);
}

export function beginTheme(): void {
  const follow = () => {
    theme.value = chosen.value ?? (system.matches ? "light" : "dark");
  };
  system.addEventListener("change", follow);
  effect(follow);
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}
