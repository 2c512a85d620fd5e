/** `#/proof`: the windows that are over; `#/proof/<id or symbol>`: one of them, worked out again by the reader. */

import type { JSX } from "preact";
import { route } from "../shell/route";
import { Windows } from "./list";
import { Proven } from "./proven";
import "./proof.css";

export default function Proof(): JSX.Element {
  const { rest } = route.value;
  return rest ? <Proven key={rest} name={rest} /> : <Windows />;
}
