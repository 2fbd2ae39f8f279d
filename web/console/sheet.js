// What all pages and parts have in common. The colours are variables of the
// document (palette.css), so they reach into shadow roots.

import { css } from "lit";

const ground = css`
  *, ::before, ::after { box-sizing: border-box; }
  :host { display: block; }
  h1, h2, h3, p, ul, ol, dl, dd, pre, fieldset, figure { margin: 0; padding: 0; }
  ul, ol { list-style: none; }
  fieldset { border: 0; min-width: 0; }
  button, input, select, textarea { font: inherit; color: inherit; }
  button, summary { cursor: pointer; }
  [hidden] { display: none !important; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
  h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 680; letter-spacing: -.02em; overflow-wrap: anywhere; }
  h2 { font-size: 1.0625rem; line-height: 1.4; font-weight: 650; letter-spacing: -.01em; }
  h3 { font-size: .9375rem; font-weight: 650; }
  a { color: var(--accent); text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); text-underline-offset: 3px; }
  a:hover { text-decoration-color: currentColor; }
  .sr-only { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  .icon { width: 1.125rem; height: 1.125rem; flex: none; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
  .muted { color: var(--soft); }
  .mono { font: .8125rem/1.5 var(--mono); overflow-wrap: anywhere; }
  .hint { font-size: .8125rem; color: var(--soft); font-variant-numeric: tabular-nums; }
  .error { padding: 10px 14px; border-radius: var(--radius-small); background: var(--critical-wash); color: var(--critical); font-size: .875rem; overflow-wrap: anywhere; }
  .error:empty { display: none; }
  .empty { padding: 28px 20px; text-align: center; color: var(--soft); font-size: .875rem; }
  .code-block { padding: 12px 14px; max-height: 32rem; overflow: auto; border-radius: var(--radius-small); background: var(--sunk); font: .7812rem/1.6 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; }
`;

/** How a page is put together: a head, cards one below the other, facts in two columns. */
const layout = css`
  .head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 8px 16px; margin-bottom: 16px; }
  .stack > .head { margin-bottom: 0; }
  .tools { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
  .stack { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }
  .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 16px; align-items: start; }
  .card { min-width: 0; padding: 16px 18px 18px; border: 1px solid var(--line); border-radius: var(--radius); background: var(--card); box-shadow: var(--shadow); }
  .card > h2 { margin-bottom: 10px; }
  .facts > div { display: flex; justify-content: space-between; gap: 16px; padding: 5px 0; border-top: 1px solid var(--line); }
  .facts > div:first-child { border-top: 0; }
  .facts dt { flex: none; color: var(--soft); font-size: .875rem; }
  .facts dd { min-width: 0; font-size: .875rem; text-align: end; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
  summary { width: fit-content; font-size: .875rem; font-weight: 550; color: var(--soft); }
  summary:hover { color: var(--ink); }
`;

const operated = css`
  .button { display: inline-flex; align-items: center; justify-content: center; gap: 6px; min-height: 34px; padding: 5px 14px; border: 1px solid var(--edge); border-radius: var(--radius-small); background: var(--card); color: var(--ink); font-size: .875rem; font-weight: 550; text-decoration: none; white-space: nowrap; }
  .button:hover { background: var(--sunk); }
  .button.primary { background: var(--accent-fill); border-color: transparent; color: var(--on-accent); }
  .button.primary:hover { background: var(--accent-strong); }
  .button.danger { background: var(--critical-fill); border-color: transparent; color: #fff; }
  .button.danger:hover { filter: brightness(.92); }
  .button.quiet { border-color: transparent; background: none; color: var(--accent); }
  .button.quiet:hover { background: var(--accent-wash); }
  .button.small { min-height: 26px; padding: 1px 10px; font-size: .8125rem; border-radius: 7px; }
  .button:disabled { color: var(--soft); cursor: default; background: none; border-color: var(--line); filter: none; }
  .icon-button { display: inline-grid; place-items: center; width: 36px; height: 36px; flex: none; border: 0; border-radius: 10px; background: none; color: var(--ink); }
  .icon-button:hover { background: var(--accent-wash); }
  input:not([type="checkbox"], [type="radio"]), select, textarea { width: 100%; min-height: 34px; padding: 5px 10px; border: 1px solid var(--edge); border-radius: var(--radius-small); background: var(--card); font-size: .875rem; }
  ::placeholder { color: var(--soft); opacity: 1; }
  [aria-invalid="true"] { border-color: var(--critical); box-shadow: 0 0 0 1px var(--critical); }
  textarea { display: block; resize: vertical; }
  label { font-size: .8125rem; font-weight: 600; }
  label > :is(input, select, textarea) { font-weight: 400; }
  .field { display: grid; gap: 4px; min-width: 0; }
  .check { display: inline-flex; align-items: center; gap: 8px; min-height: 34px; font-size: .875rem; font-weight: 400; cursor: pointer; }
  .check input { width: 17px; height: 17px; margin: 0; accent-color: var(--accent-fill); }
  .filters { display: flex; flex-wrap: wrap; align-items: end; gap: 10px; }
  .filters .field { flex: 1 1 8rem; max-width: 17rem; }
  @media (max-width: 34.9375em) {
    .filters .field { flex: 1 1 calc(50% - 10px); max-width: none; }
  }
`;

const chips = css`
  .chips { display: flex; flex-wrap: wrap; gap: 5px; }
  .chip { display: inline-flex; align-items: center; gap: 5px; max-width: 100%; min-height: 22px; padding: 0 9px; border-radius: 99px; background: var(--sunk); color: var(--soft); font-size: .7812rem; font-weight: 550; line-height: 1.35; overflow-wrap: anywhere; }
  .chip .icon { width: .875rem; height: .875rem; }
  .chip[data-tone="accent"] { background: var(--accent-wash); color: var(--accent); }
  .chip:is([data-tone="info"], [data-severity="info"]) { background: var(--info-wash); color: var(--info); }
  .chip:is([data-tone="success"], [data-severity="success"]) { background: var(--success-wash); color: var(--success); }
  .chip:is([data-tone="warning"], [data-severity="warning"]) { background: var(--warning-wash); color: var(--warning); }
  .chip:is([data-tone="critical"], [data-severity="critical"]) { background: var(--critical-wash); color: var(--critical); }
  a.chip { text-decoration: none; }
  a.chip:hover { text-decoration: underline; }
`;

const tables = css`
  c-table { display: block; min-width: 0; }
  .scroll { position: relative; overflow-x: auto; border: 1px solid var(--line); border-radius: var(--radius-small); background: var(--card); }
  .card .scroll { border: 0; border-radius: 0; margin-inline: -4px; background: none; }
  table { width: 100%; border-collapse: collapse; font-size: .8438rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
  th, td { padding: 5px 10px; text-align: start; vertical-align: top; white-space: nowrap; }
  th { padding-block: 7px; font-size: .7812rem; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line); }
  tbody tr + tr > td { border-top: 1px solid var(--line); }
  tbody tr:hover { background: var(--sunk); }
  th.end, td.end { text-align: end; }
  th.wide { width: 100%; }
  td.narrow { max-width: 7.5rem; overflow: hidden; text-overflow: ellipsis; }
  td.wide { min-width: 10rem; white-space: normal; overflow-wrap: anywhere; }
  td .button.small { margin-block: -3px; }
  td .chip { margin-block: -1px; white-space: nowrap; }
  td.wide .chip { white-space: normal; }
  .pager { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; min-height: 34px; padding-top: 10px; }
  dialog { width: min(34rem, calc(100vw - 24px)); max-height: calc(100dvh - 24px); padding: 22px 24px 24px; border: 1px solid var(--line); border-radius: var(--radius); background: var(--card); color: var(--ink); box-shadow: var(--shadow-high); overflow-y: auto; }
  dialog::backdrop { background: #0008; }
  dialog h2 { margin-bottom: 4px; }
  dialog form, dialog .stack { display: grid; gap: 14px; margin-top: 12px; }
  dialog .end { justify-content: flex-end; margin-top: 4px; }
  @media (prefers-reduced-motion: reduce) {
    *, ::before, ::after { animation: none !important; transition: none !important; }
  }
`;

/** One sheet, so that all shadow roots share it. */
export const sheet = css`${ground}${layout}${operated}${chips}${tables}`;
