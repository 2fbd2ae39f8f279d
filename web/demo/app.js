// The demo page of a development server. Everything is started here:
//
//   sign in ─ Session ─┬─ Connection /hubs/notifications ─ Inbox ─┬─ bell, feed
//                      │                                          ├─ toasts
//                      │                                          └─ Acks, under the hood
//                      └─ Connection /hubs/analytics ─ metric cards
//
// Whoever switches the user gets a new page: nothing of the last one is left.

import { Acks } from "./acks.js";
import { hangBell } from "./bell.js";
import { Connection } from "./connection.js";
import { device } from "./device.js";
import { $, copy, say } from "./dom.js";
import { offerDrop } from "./drop.js";
import { offerForm } from "./emit.js";
import { showFeed } from "./feed.js";
import { Groups } from "./groups.js";
import { hood } from "./hood.js";
import { Inbox } from "./inbox.js";
import { showMetrics } from "./metrics.js";
import { read } from "./notification.js";
import { people, Session } from "./session.js";
import { showState } from "./state.js";
import { tab } from "./storage.js";
import { offerThemes } from "./theme.js";
import { Toasts } from "./toasts.js";

/** How long what has come is collected before it is kept and acknowledged. */
const KEEP_AFTER_MS = 50;
const RETRY_MS = 2000;

offerThemes();
begin();

async function begin() {
  const all = await everybody();
  const me = all.find(({ id }) => id === tab.read("user"));
  if (me) await signedIn(me, all);
  else askWho(all);
}

/** The people of the server, once it is there. */
async function everybody() {
  for (;;) {
    try {
      return await people();
    } catch (error) {
      $("sign-in").hidden = false;
      const away = error instanceof TypeError; // of fetch, when nobody answers
      say($("sign-in-problem"), away ? "The server cannot be reached. Trying again." : error.message);
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

function askWho(all) {
  $("sign-in").hidden = false;
  say($("sign-in-problem"), tab.read("problem") ?? "");
  $("people").replaceChildren(...all.map((person) => {
    const item = copy("t-person");
    item.querySelector(".avatar").textContent = initials(person.name);
    item.querySelector(".person-name").textContent = person.name;
    item.querySelector(".person-mail").textContent = person.email;
    item.querySelector(".person-roles").textContent = person.roles.join(", ");
    item.querySelector("button").addEventListener("click", async () => {
      tab.write("user", person.id);
      tab.write("problem", "");
      await signedIn(person, all);
      $("hello-title").focus();
    });
    return item;
  }));
}

/** Makes a new page, for somebody else to sign in. */
function leave(problem = "") {
  tab.write("user", "");
  tab.write("problem", problem);
  window.location.reload();
}

async function signedIn(user, all) {
  const here = await device();
  const session = new Session(user);
  const inbox = new Inbox(user.id);
  $("sign-in").hidden = true;
  $("hub").hidden = false;
  greet(user);

  const notifications = listen(session, inbox, here);
  const groups = new Groups(notifications.connection, user);
  const metrics = showMetrics(session);
  showState(notifications.connection);
  showFeed(inbox);
  offerForm(notifications.connection, all, groups.names);
  notifications.tell(new Toasts(hangBell(inbox)), offerDrop([notifications.connection, metrics]));

  $("sign-out").addEventListener("click", async () => {
    notifications.keep();
    await Promise.allSettled([notifications.connection.stop(), metrics.stop()]);
    leave();
  });
  notifications.connection.addEventListener("state", () => {
    if (session.refused) leave(`${user.name} cannot sign in: ${session.refused}`);
  });
  notifications.connection.start();
  metrics.start();
}

function greet(user) {
  $("hello-title").textContent = `Hello, ${user.name.split(" ")[0]}`;
  $("me-name").textContent = user.name;
  $("me-avatar").textContent = initials(user.name);
}

const initials = (name) => name.split(/\s+/).map((part) => part[0]).join("").slice(0, 2);

/**
 * The connection of the inbox. What comes is shown at once; kept over a reload
 * and then acknowledged a moment later. Whatever happens in between is replayed.
 */
function listen(session, inbox, { id }) {
  const acks = new Acks((cursor) => connection.invoke("Ack", cursor));
  let toasts;
  let drop;
  let replayed = 0;
  let newest = "";
  let timer = 0;

  const keep = () => {
    clearTimeout(timer);
    timer = 0;
    inbox.keep();
    if (!newest) return;
    acks.push(newest).then(() => hood.acked(acks.acked));
    newest = "";
  };
  const receive = (n) => {
    const item = read(n ?? {});
    if (inbox.add(item)) toasts.add(item);
    if (item.replayed) hood.replayed(++replayed);
    hood.heard(item);
    drop.heard(item);
    newest = item.cursor;
    timer ||= setTimeout(keep, KEEP_AFTER_MS);
  };
  const connection = new Connection(`/hubs/notifications?device=${encodeURIComponent(id)}`, session, {
    Connected: (connectionId) => hood.connection(String(connectionId)),
    Resumed: ({ cursor, truncated, first }) => {
      replayed = 0;
      hood.replayed(0);
      hood.cursor(String(cursor));
      drop.resumed();
      if (truncated) {
        say($("gone"), `Some of what you missed is gone for good: the log goes back to position ${first} only. What is left of it follows.`);
      }
    },
    ReceiveNotification: receive,
  });

  hood.device(id);
  inbox.addEventListener("change", () => { timer ||= setTimeout(keep, KEEP_AFTER_MS); });
  window.addEventListener("pagehide", keep);
  return {
    connection,
    keep,
    tell(...listeners) {
      [toasts, drop] = listeners;
    },
  };
}
