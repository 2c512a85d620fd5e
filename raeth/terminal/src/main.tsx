import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import { Shell } from "./shell/shell";
import { beginTheme } from "./shell/theme";
import { begin } from "./venue/live";

beginTheme();
begin();
const root = document.getElementById("app");
if (root) render(<Shell />, root);
