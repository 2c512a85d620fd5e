/** Dollars as people type them, read as text into whole cents: no fraction is ever computed with. */

/** The venue takes no larger integer. */
const MOST_CENTS = Number.MAX_SAFE_INTEGER;

/** "12.34", "$1,234.5", "12" → cents; anything else, and anything not above zero, is the reason why not. */
export function centsOf(typed: string): { cents: number } | { fault: string } {
  const text = typed.trim().replace(/^\$\s*/, "");
  if (text === "") return { fault: "Type an amount in dollars, such as 25 or 12.50." };
  const match = /^(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d*))?$/.exec(text);
  if (!match) return { fault: "Only digits and one point, such as 12.50." };
  const [, whole = "", part = ""] = match;
  if (part.length > 2) return { fault: "Cents are the smallest unit: two digits after the point at most." };
  const digits = `${whole.replaceAll(",", "")}${part.padEnd(2, "0")}`.replace(/^0+/, "");
  if (digits === "") return { fault: "More than zero, please." };
  if (digits.length > 16 || Number(digits) > MOST_CENTS) return { fault: "That is more than the venue can hold." };
  return { cents: Number(digits) };
}
