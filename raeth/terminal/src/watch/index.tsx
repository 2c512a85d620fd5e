import type { JSX } from "preact";
import { Panel } from "../parts/parts";

export default function Watch(): JSX.Element {
  return <Panel title="Watch">{null}</Panel>;
}
