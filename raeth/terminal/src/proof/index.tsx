import type { JSX } from "preact";
import { Panel } from "../parts/parts";

export default function Proof(): JSX.Element {
  return <Panel title="Proof">{null}</Panel>;
}
