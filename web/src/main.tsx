// The page's beginning.
import { render } from "preact";
import { App } from "./app";
import { chosenTheme, setTheme } from "./theme";
import "./style.css";

setTheme(chosenTheme());
render(<App />, document.getElementById("app")!);
