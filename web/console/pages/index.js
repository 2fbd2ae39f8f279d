// All pages. Importing one defines its element.

import "./audit.js";
import "./connection.js";
import "./connections.js";
import "./event.js";
import "./group.js";
import "./groups.js";
import "./log.js";
import "./logs.js";
import "./nodes.js";
import "./overview.js";
import "./reject.js";
import "./rejected.js";
import "./trace.js";
import "./traces.js";
import "./user.js";
import "./users.js";
