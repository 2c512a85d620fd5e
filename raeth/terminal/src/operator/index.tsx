import type { JSX } from "preact";
import { Panel } from "../parts/parts";

export default function Operator(): JSX.Element {
  return <Panel title="Operator">{null}</Panel>;
}
