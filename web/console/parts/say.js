// What was done, for eyes and ears: a line at the bottom of the window that is
// read out politely, and goes.

const SHOWN_FOR_MS = 8000;
const AFTER_MS = 100; // a dialog that closes silences what is behind it

let timer = 0;
let count = 0;

export function say(text) {
  const line = document.getElementById("said");
  const put = (words) => { line.textContent = words; };
  count++;
  clearTimeout(timer);
  timer = setTimeout(() => {
    put(text);
    timer = setTimeout(() => put(""), SHOWN_FOR_MS);
  }, AFTER_MS);
}

/** How much has been said. */
export const said = () => count;
