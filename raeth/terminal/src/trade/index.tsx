import type { JSX } from "preact";
import { Panel } from "../parts/parts";

export default function Trade(): JSX.Element {
  return <Panel title="Trade">{null}</Panel>;
}
