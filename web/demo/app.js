// The demo page of a development server. Everything is started here:
//
//   sign in ─ Session ─┬─ Connection /hubs/notifications ─┬─ Inbox ─ bell, feed
//                      │                                  ├─ Preferences ─ mute menu, settings
//                      │                                  ├─ toasts
//                      │                                  └─ Acks, under the hood
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
import { Emitted } from "./emitted.js";
import { showFeed } from "./feed.js";
import { offerFilters } from "./filterbar.js";
import { Groups } from "./groups.js";
import { Heard } from "./heard.js";
import { hood } from "./hood.js";
import { Inbox, readChanged } from "./inbox.js";
import { showMetrics } from "./metrics.js";
import { MuteMenu } from "./mutemenu.js";
import { read } from "./notification.js";
import { Preferences } from "./preferences.js";
import { showScheduled } from "./scheduled.js";
import { people, Session } from "./session.js";
import { offerSettings } from "./settings.js";
import { showState } from "./state.js";
import { tab } from "./storage.js";
import { takeBack, whyNot } from "./takeback.js";
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
  const ask = (method, ...args) => notifications.connection.invoke(method, ...args);
  const [inbox, preferences, emitted] = [new Inbox(ask), new Preferences(ask), new Emitted(user.id)];
  $("sign-in").hidden = true;
  $("hub").hidden = false;
  greet(user);

  const notifications = listen(session, { inbox, preferences, heard: new Heard(user.id), emitted }, here);
  const groups = new Groups(notifications.connection, user);
  const metrics = showMetrics(session);
  showState(notifications.connection);
  showInbox(inbox, { preferences, emitted, session });
  offerForm(notifications.connection, user, { people: all, groups: groups.names, emitted });
  showScheduled(emitted, session);
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

function showInbox(inbox, { preferences, emitted, session }) {
  const menu = new MuteMenu(preferences);
  // Others may take things back, too, but the page does not know what they emitted.
  const mayRecall = (item) => emitted.has(item) || session.user.roles.includes("admin");
  const recall = ({ id }) => takeBack(session, id).catch((error) => say($("feed-problem"), whyNot(error)));
  showFeed(inbox, { mark: (kind, item) => inbox.mark(kind, item), mute: (item, element) => menu.toggle(item, element), recall }, mayRecall);
  offerFilters(inbox);
  offerSettings(preferences);
}

function greet(user) {
  $("hello-title").textContent = `Hello, ${user.name.split(" ")[0]}`;
  $("me-name").textContent = user.name;
  $("me-avatar").textContent = initials(user.name);
}

const initials = (name) => name.split(/\s+/).map((part) => part[0]).join("").slice(0, 2);

/**
 * The connection of the inbox. What comes is shown at once, and acknowledged a
 * moment later. Whatever happens in between is replayed.
 */
function listen(session, { inbox, preferences, heard, emitted }, { id }) {
  const acks = new Acks((cursor) => connection.invoke("Ack", cursor));
  let toasts;
  let drop;
  let replayed = 0;
  let newest = "";
  let timer = 0;

  const keep = () => {
    clearTimeout(timer);
    timer = 0;
    if (!newest) return;
    heard.keep();
    acks.push(newest).then(() => hood.acked(acks.acked));
    newest = "";
  };
  const took = (item) => {
    if (item.replayed) hood.replayed(++replayed);
    hood.heard(item);
    drop.heard(item);
    newest = item.cursor;
    timer ||= setTimeout(keep, KEEP_AFTER_MS);
  };
  const receive = (n) => {
    const item = read(n ?? {});
    inbox.hear(item);
    if (heard.add(item)) toasts.add(item);
    emitted.over(item.id);
    took(item);
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
    NotificationRecalled: (n) => {
      const item = read(n ?? {});
      inbox.recalled(item.recalls);
      toasts.recalled(item.recalls);
      took(item);
    },
    InboxChanged: (message) => {
      const changed = readChanged(message);
      inbox.changed(changed);
      if (changed.changes.some(({ kind }) => kind === "preferences" || kind === "reload")) preferences.load();
    },
  });

  connection.addEventListener("state", () => {
    if (connection.state.name !== "live") return;
    inbox.connected();
    preferences.connected();
  });
  hood.device(id);
  inbox.addEventListener("change", () => hood.inbox(inbox.version));
  window.addEventListener("pagehide", keep);
  return {
    connection,
    keep,
    tell(...listeners) {
      [toasts, drop] = listeners;
    },
  };
}
