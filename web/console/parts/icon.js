// The icons. They are drawn in place, for a sprite cannot be seen from within
// shadow roots. Always beside a text or inside of what has a name.

import { html, svg } from "lit";

const SHAPES = {
  logo: svg`<path d="M3.5 12.5 20.5 4l-4.2 16-4.8-5.2L8 18.5v-5z"/>`,
  overview: svg`<path d="M3.5 12.5h4l3-7.5 4 14 2.5-6.5h3.5"/>`,
  plug: svg`<path d="M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4"/>`,
  user: svg`<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c.6-4 3.6-6 7.5-6s6.9 2 7.5 6"/>`,
  group: svg`<circle cx="9" cy="9" r="3.5"/><path d="M2.5 19.5c.4-3.5 3-5.2 6.5-5.2s6.1 1.7 6.5 5.2M15.5 5.8a3.4 3.4 0 0 1 0 6.4M18 14.8c2 .7 3.2 2.3 3.5 4.7"/>`,
  role: svg`<path d="M12 3 4.5 6v5.5c0 4.5 3 7.8 7.5 9.5 4.5-1.7 7.5-5 7.5-9.5V6z"/>`,
  log: svg`<path d="M8 6h12M8 12h12M8 18h12M4 6h.1M4 12h.1M4 18h.1"/>`,
  rejected: svg`<circle cx="12" cy="12" r="9"/><path d="m5.7 5.7 12.6 12.6"/>`,
  traces: svg`<path d="M3.5 5.5h10M7.5 12h9M12.5 18.5h8"/>`,
  nodes: svg`<path d="M4 4.5h16v6H4zM4 13.5h16v6H4zM7.5 7.5h.1M7.5 16.5h.1"/>`,
  logs: svg`<path d="M6 3.5h9l3.5 3.5v13.5H6zM9 11h6.5M9 14.5h6.5M9 18h4"/>`,
  info: svg`<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6v.1"/>`,
  success: svg`<circle cx="12" cy="12" r="9"/><path d="m8 12.4 2.8 2.8L16.2 9.6"/>`,
  warning: svg`<path d="M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.1"/>`,
  critical: svg`<path d="M8.3 3h7.4L21 8.3v7.4L15.7 21H8.3L3 15.7V8.3zM12 7.8v5M12 16.2v.1"/>`,
  live: svg`<circle cx="12" cy="12" r="2.5" fill="currentColor"/><path d="M7.4 16.6a6.5 6.5 0 0 1 0-9.2M16.6 7.4a6.5 6.5 0 0 1 0 9.2M4.2 19.8a11 11 0 0 1 0-15.6M19.8 4.2a11 11 0 0 1 0 15.6"/>`,
  connecting: svg`<path d="M12 3a9 9 0 1 1-9 9"/>`,
  offline: svg`<path d="M3 3l18 18M8.5 8.3a6.5 6.5 0 0 0-1.1 8.3M16.6 7.4a6.5 6.5 0 0 1 1.2 7.4M5 5a11 11 0 0 0-.8 14.8M19.8 4.2a11 11 0 0 1 1.6 13.3"/>`,
  theme: svg`<circle cx="12" cy="12" r="9"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor"/>`,
  close: svg`<path d="m6 6 12 12M18 6 6 18"/>`,
  chevron: svg`<path d="m9 6 6 6-6 6"/>`,
  refresh: svg`<path d="M20 12a8 8 0 1 1-2.6-5.9L20 8.5M20 3.5v5h-5"/>`,
  link: svg`<path d="M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5"/>`,
};

export const icon = (name) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${SHAPES[name]}</svg>`;
