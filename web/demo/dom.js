// The few things every part of the page does with the document. What comes from
// outside becomes text, never markup.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** A copy of the one element inside a template of the page. */
export const copy = (template) => $(template).content.firstElementChild.cloneNode(true);

/** Makes the icon of an element be the named one of the sprite. */
export const setIcon = (element, name) => element.querySelector("use").setAttribute("href", `#i-${name}`);

/** Text for ears only. */
export function spoken(text) {
  const span = document.createElement("span");
  span.className = "sr-only";
  span.textContent = text;
  return span;
}

/** Sets text only if it differs, so that live regions are not made to repeat themselves. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function chip(icon, text) {
  const element = copy("t-chip");
  setIcon(element, icon);
  element.querySelector(".chip-text").textContent = text;
  return element;
}

/** Brings the children of a list into order. What is in its place is not touched, and keeps the focus. */
export function arrange(list, elements) {
  let next = list.firstElementChild;
  for (const element of elements) {
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
}

/** "1 event", "12 events". */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** A text that is read out must have an end. */
export const clip = (text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);
