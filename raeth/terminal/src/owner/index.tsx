import type { JSX } from "preact";
import { Panel } from "../parts/parts";

export default function Owner(): JSX.Element {
  return <Panel title="Owner">{null}</Panel>;
}
