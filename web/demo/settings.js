// Settings of alerts: what is muted, and the quiet hours. What is wrong with a
// field is said beside it, as the server says it.

import { $, copy, say, setIcon } from "./dom.js";
import { muteName } from "./preferences.js";
import { span, SPANS } from "./spans.js";
import { fault, words } from "./words.js";

const DAYS = [["mon", "Mon"], ["tue", "Tue"], ["wed", "Wed"], ["thu", "Thu"], ["fri", "Fri"], ["sat", "Sat"], ["sun", "Sun"]];
const DEFAULT = { from: "22:00", to: "07:00" };
const STALE = /changed this meanwhile/;
const AGAIN = "This was changed on another device meanwhile. Save again to keep what you have here.";

const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function offerSettings(preferences) {
  const button = $("settings-button");
  const reveal = (open) => {
    $("settings").hidden = !open;
    $("inbox").hidden = open;
    button.setAttribute("aria-expanded", String(open));
    say($("feed-said"), ""); // it may not hold any more
    (open ? $("settings-title") : button).focus();
  };
  button.addEventListener("click", () => reveal($("settings").hidden));
  $("settings-close").addEventListener("click", () => reveal(false));
  $("settings").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // it closes this, not the feed
    reveal(false);
  });
  listMutes(preferences);
  offerMute(preferences);
  offerQuietHours(preferences);
}

function listMutes(preferences) {
  const show = () => {
    $("mutes-none").hidden = preferences.mutes.length > 0;
    $("mutes").replaceChildren(...preferences.mutes.map((mute) => {
      const element = copy("t-mute");
      setIcon(element, mute.type ? "mute" : "group");
      element.querySelector(".mute-name").textContent = muteName(mute);
      element.querySelector(".mute-until").textContent = span(Date.parse(mute.until));
      const unmute = element.querySelector("button");
      unmute.setAttribute("aria-label", `Unmute ${muteName(mute)}`);
      unmute.addEventListener("click", async () => {
        const said = await attempt($("mutes-form"), () => preferences.unmute(mute), "unmute this", () => null);
        if (said) $("mutes-title").focus(); // the button is gone
      });
      return element;
    }));
  };
  preferences.addEventListener("change", show);
  show();
}

function offerMute(preferences) {
  const form = $("mutes-form");
  form.elements.span.replaceChildren(...SPANS.map(({ key, label }) => new Option(label, key)));
  const fieldOf = (name) => (/until$/.test(name) ? "span" : /^mutes|^type|^group/.test(name) ? "name" : null);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { kind, name, span: chosen } = form.elements;
    clear(form);
    if (!name.value.trim()) return problem(form, "name", `Say which ${kind.value}.`);
    const { until } = SPANS.find(({ key }) => key === chosen.value);
    const done = await attempt(form, () => preferences.mute({ [kind.value]: name.value.trim() }, until()), "mute this", fieldOf);
    if (done) name.value = "";
  });
}

function offerQuietHours(preferences) {
  const form = $("quiet");
  let touched = false; // by somebody who has not saved it yet
  let base = ""; // what it was made from
  $("quiet-days").append(...DAYS.map(([value, label]) => {
    const day = copy("t-day");
    day.querySelector("input").value = value;
    day.querySelector("span").textContent = label;
    return day;
  }));
  $("zones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => new Option("", zone)));
  const days = [...form.querySelectorAll("[name=day]")];
  const showOn = () => { $("quiet-fields").hidden = !form.elements.on.checked; };
  const fill = () => {
    if (touched) return; // what somebody is about to say is theirs
    const { from, to, zone, days: some } = { ...DEFAULT, zone: ownZone(), ...preferences.quietHours };
    base = JSON.stringify(preferences.quietHours);
    form.elements.on.checked = preferences.quietHours !== null;
    for (const [name, value] of Object.entries({ from, to, zone })) form.elements[name].value = value;
    for (const day of days) day.checked = !some?.length || some.includes(day.value);
    showOn();
  };
  const read = () => {
    if (!form.elements.on.checked) return null;
    const [from, to, zone] = ["from", "to", "zone"].map((name) => form.elements[name].value.trim());
    const some = days.filter(({ checked }) => checked).map(({ value }) => value);
    return { from, to, zone, ...(some.length < DAYS.length && { days: some }) };
  };
  form.addEventListener("input", () => {
    touched = true;
    say($("quiet-answer"), "");
    showOn();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form);
    const hours = read();
    if (hours?.days?.length === 0) return problem(form, "day", "Choose a day at least, or turn them off.");
    const made = base;
    base = JSON.stringify(preferences.quietHours);
    if (made !== base) return say(form.querySelector(".problem.box"), AGAIN);
    const fieldOf = (name) => /^quietHours\.(from|to|zone|day)/.exec(name)?.[1];
    if (!await attempt(form, () => preferences.setQuietHours(hours), "set quiet hours", fieldOf)) return;
    touched = false;
    fill();
    say($("quiet-answer"), hours ? `Saved. It is quiet from ${hours.from} to ${hours.to}.` : "Saved. There are no quiet hours.");
  });
  preferences.addEventListener("change", fill);
  fill();
}

/** False if it failed; why is said beside the field that the error names, if the form has it. */
async function attempt(form, act, may, fieldOf) {
  clear(form);
  try {
    await act();
    return true;
  } catch (error) {
    const wrong = fault(error);
    const name = wrong && fieldOf(wrong.field);
    if (name) problem(form, name, wrong.reason);
    else say(form.querySelector(".problem.box"), STALE.test(error.message) ? AGAIN : words(error, may));
    return false;
  }
}

function problem(form, name, text) {
  const field = form.elements[name];
  const control = field instanceof RadioNodeList ? field[0] : field;
  control.setAttribute("aria-invalid", "true");
  say($(control.getAttribute("aria-describedby")), text);
  control.focus();
}

function clear(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const element of form.querySelectorAll(".problem, .answer")) element.textContent = "";
}
