/** What went wrong, in words, with what an operator or a developer needs to look it up. */

import type { ComponentChildren, JSX } from "preact";
import { said } from "../venue/failure";
import "./trouble.css";

/** Nothing where there is no `error`. `words`: what a code means here. */
export function Trouble(props: {
  error: unknown;
  words?: Readonly<Record<string, string>>;
  children?: ComponentChildren;
}): JSX.Element | null {
  if (!props.error) return null;
  const { text, code, requestId } = said(props.error, props.words);
  return (
    <div class="trouble" role="alert">
      <p>{text}</p>
      {code && (
        <p class="trouble-code">
          {code}
          {requestId && ` · request ${requestId}`}
        </p>
      )}
      {props.children}
    </div>
  );
}
