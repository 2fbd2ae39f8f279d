// What this person hears: their roles, and the groups they join and leave.

import { $, chip, copy, say } from "./dom.js";
import { tab } from "./storage.js";
import { words } from "./words.js";

export class Groups {
  #connection;
  #user;
  #key;
  #names;

  constructor(connection, user) {
    this.#connection = connection;
    this.#user = user;
    this.#key = `groups/${user.id}`;
    const kept = tab.read(this.#key);
    this.#names = new Set(Array.isArray(kept) ? kept : []);
    $("join").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#join($("join-name").value.trim());
    });
    connection.addEventListener("state", () => connection.state.name === "live" && this.#again());
    this.#show();
  }

  names = () => [...this.#names];

  async #join(name) {
    if (!name || !await this.#ask("JoinGroup", name, `join the group ${name}`)) return;
    this.#names.add(name);
    $("join-name").value = "";
    this.#keep();
  }

  async #leave(name) {
    if (!await this.#ask("LeaveGroup", name, `leave the group ${name}`)) return;
    this.#names.delete(name);
    this.#keep();
    $("join-name").focus();
  }

  async #ask(method, name, may) {
    say($("join-problem"), "");
    try {
      await this.#connection.invoke(method, name);
      return true;
    } catch (error) {
      say($("join-problem"), words(error, may));
      return false;
    }
  }

  /** The server knows the groups of a device, but not those of a tab that was duplicated, or from before its data was removed. */
  #again() {
    for (const name of this.#names) this.#connection.invoke("JoinGroup", name).catch(() => {}); // gone again: the next time
  }

  #keep() {
    tab.write(this.#key, this.names());
    this.#show();
  }

  #show() {
    $("hears").replaceChildren(
      chip("user", this.#user.id),
      ...this.#user.roles.map((role) => chip("role", role)),
      chip("everyone", "everyone"),
      ...this.names().map((name) => this.#member(name)),
    );
  }

  #member(name) {
    const element = chip("group", name);
    const leave = copy("t-leave");
    leave.setAttribute("aria-label", `Leave the group ${name}`);
    leave.title = "Leave";
    leave.addEventListener("click", () => this.#leave(name));
    element.append(leave);
    return element;
  }
}
