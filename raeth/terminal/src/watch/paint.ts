/** What is drawn with: the colours of the page as a canvas needs them, and two strokes. */

const TOKENS = [
  "text",
  "soft",
  "faint",
  "line",
  "line-strong",
  "panel",
  "raised",
  "up",
  "down",
  "up-ground",
  "down-ground",
  "strike",
  "fair",
  "link",
  "mono",
  "sans",
] as const;
/** The page's tokens, as they are in the theme that is on. */
export type Colours = Record<(typeof TOKENS)[number], string>;

export function tokens(): Colours {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(TOKENS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colours;
}

export function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

export function disc(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  colour: string,
  alpha: number,
): void {
  ctx.globalAlpha = alpha;
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
  ctx.globalAlpha = 1;
}
