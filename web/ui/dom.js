// Elements are made here, and only here: every text becomes a text node, so a
// name that looks like markup is shown as what it is.

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

// put makes children all that element has; those that are null are left out.
export function put(element, ...children) {
  element.replaceChildren(...present(children));
}

const present = (children) => children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...present(children));
  return element;
}

// link is an a to a page of the dashboard.
export function link(page, params, ...children) {
  const query = new URLSearchParams(params ?? {}).toString();
  return h('a', { href: `#/${page}${query ? '?' + query : ''}` }, ...children);
}

export const bare = (name) => (name && name !== '.' ? name.replace(/\.$/, '') : name || '');
export const nameLink = (name) => (name ? link('name', { n: bare(name) }, bare(name)) : '');
// isClient says whether a text is an address or a network, and no name.
export const isClient = (text) => /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)(\/\d+)?$/i.test(text);
export const clientLink = (client) => (client ? link('client', { c: client }, client) : '');

export const number = (n) => (n === null || n === undefined ? '–' : n.toLocaleString('en'));
export const percent = (part, all) => (all > 0 ? `${((100 * part) / all).toFixed(part / all < 0.1 ? 1 : 0)} %` : '–');
export const millis = (s) => (s === null || s === undefined ? '–' : s < 0.01 ? `${(s * 1000).toFixed(1)} ms` : `${Math.round(s * 1000)} ms`);
export const bytes = (n) => (n >= 1 << 20 ? `${(n / (1 << 20)).toFixed(1)} MiB` : `${Math.round(n / 1024)} KiB`);

const pad = (n) => String(n).padStart(2, '0');
// clock is the local time of a date, with the day where it is not today.
export function clock(at) {
  const d = typeof at === 'number' ? new Date(at * 1000) : new Date(at);
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  const day = `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
  return d.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

// when is a time element.
export function when(at) {
  if (at === null || at === undefined) return '–';
  const d = typeof at === 'number' ? new Date(at * 1000) : new Date(at);
  // Day and time may stand below each other, but not be broken.
  return h('time', { datetime: d.toISOString(), title: d.toISOString() }, clock(at).split(' ').map((part) => [h('span', { class: 'keep' }, part), ' ']));
}

// table makes a table of rows. A column is {label, cell(row), kind}; kind is a
// class of its cells: num, name, text, actions. Where there are no rows, the caption
// says what would be there, and empty why it is not.
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h('div', { class: 'empty' }, h('p', { class: 'caption' }, caption), h('p', {}, empty));
  const body = h('tbody', {}, rows.map((row) => rowOf(columns, row)));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h('table', {}, h('caption', {}, caption),
      h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: c.kind === 'num' ? 'num' : null }, c.label)))), body));
}

export function rowOf(columns, row) {
  return h('tr', {}, columns.map((c) => h('td', { class: c.kind }, c.cell(row))));
}

export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== '').map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));
}

export function card(title, ...children) {
  return h('section', { class: 'card' }, h('h2', {}, title), ...children);
}

export function figures(pairs) {
  return h('dl', { class: 'figures' }, pairs.map(([label, value, note]) => h('div', {}, h('dt', {}, label), h('dd', {}, value, note ? h('small', {}, note) : null))));
}

// verdict is what was done about a name, as a tag in words.
export function verdict(v) {
  if (!v || v.origin === 'none') return h('span', { class: 'tag' }, 'not judged');
  if (v.action === 'pass') return h('span', { class: 'tag pass' }, v.origin === 'allowlist' ? 'allowed' : 'pass');
  return h('span', { class: `tag ${v.enforced ? 'blocked' : 'watched'}` }, `${v.enforced ? 'blocked' : 'would be blocked'}: ${v.origin}`);
}

export const level = (l) => (l && l !== 'none' ? h('span', { class: `tag ${l}` }, l) : '');
export const score = (s) => (s === null || s === undefined ? '–' : s.toFixed(3));
