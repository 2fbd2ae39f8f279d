// The console of a server, for those who run it. Everything is started here:
//
//   hub ─┬─ bar: the server, the state of the connection, who is looking
//        └─ pages: each asks for what it shows
//   hash ─┬─ navigation
//         └─ view: the page that is meant
//
// A page is an element (base.js) in a file of its own, named in router.js.

import { adoptStyles } from "lit";
import { hub } from "./hub.js";
import "./pages/index.js";
import "./parts/chart.js";
import "./parts/field.js";
import "./parts/pager.js";
import "./parts/table.js";
import { sheet } from "./sheet.js";
import { showBar } from "./shell/bar.js";
import { showNavigation } from "./shell/navigation.js";
import { speakState } from "./shell/spoken.js";
import { restoreTheme } from "./shell/theme.js";
import { showView } from "./shell/view.js";

adoptStyles(document, [sheet]);
restoreTheme();
showBar();
showNavigation();
showView();
speakState();
hub.start();
