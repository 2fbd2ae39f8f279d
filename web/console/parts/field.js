// <c-filters> is a form of filters. It writes nothing itself: on Enter or with
// its button it fires "change" with the values as detail, without the empty
// ones, ready for the hash. All values are texts: numbers as digits, boxes as
// "true", moments (datetime-local) as RFC 3339.
//
//   <c-filters .fields=${[{ name: "type", label: "Type" }, { name: "severity", label: "Severity", type: "select", options: ["", "info"] }]}
//     .values=${this.params} @change=${(e) => navigate("log", e.detail)}></c-filters>
//
// options are texts, or [value, label]; hint becomes the placeholder.

import { html, LitElement, nothing } from "lit";

class Filters extends LitElement {
  static properties = {
    fields: { attribute: false },
    values: { attribute: false },
    label: { attribute: false },
  };

  constructor() {
    super();
    this.fields = [];
    this.values = {};
    /** What the form is called for who cannot see it. */
    this.label = "Filters";
  }

  createRenderRoot() {
    return this;
  }

  /** An input is written when its value in the hash changes, so nothing that is being typed is lost. */
  render() {
    const filtered = this.fields.some(({ name }) => this.values[name]);
    return html`<form class="filters" role="search" aria-label=${this.label} @submit=${this.#submit} @change=${stay} novalidate>
      ${this.fields.map((field) => one(field, this.values[field.name] ?? ""))}
      <div class="tools">
        <button class="button" type="submit">Apply</button>
        ${filtered ? html`<button class="button quiet" type="button" @click=${this.#clear}>Clear</button>` : nothing}
      </div>
    </form>`;
  }

  #submit(event) {
    event.preventDefault();
    const form = event.target;
    this.#tell(read(this.fields, (name) => (form.elements[name].type === "checkbox" ? form.elements[name].checked : form.elements[name].value)));
  }

  /** What was typed and not yet applied goes, too. */
  #clear(event) {
    event.target.form.reset();
    this.#tell({});
  }

  #tell(detail) {
    this.dispatchEvent(new CustomEvent("change", { detail }));
  }
}

/** A change of one input is not yet one of the filters. */
const stay = (event) => event.stopPropagation();

/** The values of the fields that say something. */
export function read(fields, valueOf) {
  const values = fields.map(({ name, type }) => [name, text(type, valueOf(name))]);
  return Object.fromEntries(values.filter(([, value]) => value));
}

function text(type, value) {
  if (type === "checkbox") return value ? "true" : "";
  if (type === "datetime-local") return moment(value);
  return String(value).trim();
}

const moment = (local) => (Number.isNaN(Date.parse(local)) ? "" : new Date(local).toISOString());

/** What an input of type datetime-local shows of a moment: the time of this machine, to the minute. */
export function local(iso) {
  const time = Date.parse(iso);
  if (Number.isNaN(time)) return "";
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** A labelled input; act.js uses it too. */
export function one({ name, label, type = "text", options = [], hint = "", required = false, rows = 3, min, max, longest = 512 }, value) {
  switch (type) {
    case "checkbox":
      return html`<label class="check"><input type="checkbox" name=${name} .checked=${value === true || value === "true"}>${label}</label>`;
    case "select":
      return html`<label class="field">${label}<select name=${name}>${options.map((o) => option(o, value))}</select></label>`;
    case "textarea":
      return html`<label class="field">${label}<textarea class="mono" name=${name} rows=${rows} ?required=${required} placeholder=${hint} spellcheck="false" .value=${value}></textarea></label>`;
    default:
      return html`<label class="field">${label}<input type=${type} name=${name} ?required=${required} maxlength=${longest} placeholder=${hint} min=${min ?? nothing} max=${max ?? nothing}
        autocomplete="off" spellcheck="false" .value=${type === "datetime-local" ? local(value) : String(value)}></label>`;
  }
}

function option(choice, chosen) {
  const [value, label] = Array.isArray(choice) ? choice : [choice, choice || "Any"];
  return html`<option value=${value} .selected=${value === String(chosen)}>${label}</option>`;
}

customElements.define("c-filters", Filters);
