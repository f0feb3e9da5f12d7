// Incident records: events that belong together, with notes, to export.
import { h, put, table, card, facts, nameLink, clientLink, when, number, link } from '../dom.js';
import { get, text, post, query } from '../api.js';

const verdictText = (d) => `${d.enforced ? 'blocked' : 'would be blocked'} by ${d.origin}${d.score === null ? '' : `, score ${d.score.toFixed(3)}`}${d.lists?.length ? `, lists ${d.lists.join(', ')}` : ''}, ${d.count} queries`;

// candidates are events that may belong to an incident about a name or client.
async function candidates({ n, c, q }, { signal, can }) {
  const [found, findings, seen] = await Promise.all([
    can('GET /api/v1/detections') ? get(query('/api/v1/detections', { since: '7d', limit: 200, q: q || n }), signal).catch(() => null) : null,
    can('GET /api/v1/findings') ? get('/api/v1/findings', signal).catch(() => []) : [],
    c && can('GET /api/v1/investigate') ? get(query('/api/v1/investigate', { client: c }), signal).catch(() => null) : null,
  ]);
  const asked = seen && new Set(seen.names.map((x) => x.name.replace(/\.$/, '')));
  return [
    ...findings.filter((f) => (!c || f.client === c) && (!n || f.name === n) && (!q || `${f.name} ${f.client} ${f.kind}`.includes(q)))
      .map((f) => ({ time: f.time, kind: f.kind, name: f.name ?? '', client: f.client ?? '', text: Object.entries(f.evidence).map(([k, v]) => `${k}=${v}`).join(', ') })),
    ...(found?.rows ?? []).filter((d) => !asked || asked.has(d.name))
      .map((d) => ({ time: new Date(d.time_last * 1000).toISOString(), kind: d.origin, name: d.name, client: c ?? '', text: verdictText(d) })),
  ];
}

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// picker is a table of events to choose from.
function picker(events, caption) {
  const boxes = events.map((e, i) => h('input', { type: 'checkbox', 'aria-label': `Choose ${e.kind} ${e.name} ${e.client}`, value: i }));
  const all = h('input', { type: 'checkbox', id: `all-${caption.length}` });
  all.addEventListener('change', () => boxes.forEach((b) => { b.checked = all.checked; }));
  return {
    element: h('div', {}, events.length ? h('label', { class: 'check' }, all, ' All') : null, table(caption, [
      { label: 'Choose', cell: (i) => boxes[i] },
      ...eventColumns.map((col) => ({ ...col, cell: (i) => col.cell(events[i]) })),
    ], events.map((_, i) => i), 'None: nothing was found or detected that is like this, so there is nothing to choose from.')),
    chosen: () => events.filter((_, i) => boxes[i].checked),
    places: () => events.map((_, i) => i).filter((i) => boxes[i].checked),
  };
}

const eventColumns = [
  { label: 'Time', cell: (e) => when(e.time) },
  { label: 'What', cell: (e) => (e.kind ?? '').replaceAll('_', ' ') },
  { label: 'Name', kind: 'name', cell: (e) => nameLink(e.name) },
  { label: 'Client', cell: (e) => clientLink(e.client) },
  { label: 'Says', kind: 'text', cell: (e) => e.text ?? '' },
];

async function list(view, params, context) {
  const { signal, act, readOnly } = context;
  const about = { n: params.get('n') ?? '', c: params.get('c') ?? '', q: params.get('q') ?? '' };
  const all = await get('/api/v1/incidents', signal);
  const title = h('input', { id: 'title', required: true, maxlength: 200, value: about.n || about.c ? `About ${about.n || about.c}` : '' });
  const into = h('select', { id: 'into' }, h('option', { value: '' }, 'a new one'), all.map((i) => h('option', { value: i.id }, i.title)));
  const q = h('input', { id: 'about', type: 'search', value: about.q, autocomplete: 'off', spellcheck: 'false' });
  const choice = h('div', {});
  let pick = picker([], '');
  const search = async () => {
    pick = picker(await candidates({ ...about, q: q.value.trim() }, context), 'Findings and detections of the last 7 days');
    put(choice, pick.element);
  };
  const button = h('button', { class: 'main' }, 'Keep it');
  into.addEventListener('change', () => { title.disabled = into.value !== ''; });
  put(view, h('h1', {}, 'Incidents'),
    card('Records', table('The latest changed first', [
      { label: 'Changed', cell: (i) => when(i.updated) },
      { label: 'Title', kind: 'name', cell: (i) => link('incident', { id: i.id }, i.title) },
      { label: 'Events', kind: 'num', cell: (i) => number(i.events.length) },
    ], all, readOnly ? 'None: nobody has kept one.' : 'None yet: choose events below, and keep them as a record.')),
    readOnly ? null : h('section', { class: 'card' }, h('h2', {}, 'Put events into a record'),
      about.n || about.c ? facts([['Name', about.n], ['Client', about.c]]) : null,
      h('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); search(); } }, h('label', { for: 'about' }, 'Events with', q), h('button', {}, 'Search')),
      choice,
      h('form', {
        class: 'row',
        onsubmit: async (event) => {
          event.preventDefault();
          const body = into.value ? { add: pick.chosen() } : { title: title.value, add: pick.chosen() };
          const kept = await act(button, () => post(into.value ? `/api/v1/incidents/${into.value}` : '/api/v1/incidents', body), (i) => `Kept: ${i.events.length} events`);
          if (kept) location.hash = `#/incident?id=${kept.id}`;
        },
      }, h('label', { for: 'into' }, 'Record', into), h('label', { for: 'title' }, 'Title', title), button)));
  if (!readOnly) await search();
}

async function one(view, id, context) {
  const { signal, act, readOnly } = context;
  const i = await get(`/api/v1/incidents/${id}`, signal);
  const title = h('input', { id: 'title', value: i.title, maxlength: 200, required: true });
  const note = h('textarea', { id: 'note', rows: 6 });
  note.value = i.note;
  const keep = h('button', { class: 'main' }, 'Save');
  const drop = h('button', { type: 'button' }, 'Take chosen events out');
  const remove = h('button', { type: 'button' }, 'Remove this record');
  const markdown = h('button', { type: 'button' }, 'Export Markdown');
  const json = h('button', { type: 'button' }, 'Export JSON');
  const pick = picker(i.events, `${i.events.length} events, by time`);
  drop.addEventListener('click', async () => {
    if (await act(drop, () => post(`/api/v1/incidents/${id}`, { remove: pick.places() }), 'Taken out')) await one(view, id, context);
  });
  remove.addEventListener('click', async () => {
    if (!confirm(`Remove "${i.title}"?`)) return;
    if (await act(remove, () => post(`/api/v1/incidents/${id}/remove`), 'Removed')) location.hash = '#/incidents';
  });
  markdown.addEventListener('click', () => act(markdown, async () => save(`incident-${id}.md`, 'text/markdown', await text(`/api/v1/incidents/${id}/markdown`)), 'Exported'));
  json.addEventListener('click', () => act(json, async () => save(`incident-${id}.json`, 'application/json', await text(`/api/v1/incidents/${id}`)), 'Exported'));
  put(view, h('h1', {}, i.title),
    card('Record', facts([['Opened', when(i.created)], ['Changed', when(i.updated)]]),
      readOnly ? [h('h3', {}, 'Note'), h('pre', {}, i.note || 'None.')] : h('form', {
        onsubmit: async (event) => {
          event.preventDefault();
          if (await act(keep, () => post(`/api/v1/incidents/${id}`, { title: title.value, note: note.value }), 'Saved')) await one(view, id, context);
        },
      }, h('p', { class: 'row' }, h('label', { for: 'title' }, 'Title', title)), h('label', { for: 'note' }, 'Note'), note, h('p', { class: 'row' }, keep)),
      h('p', { class: 'row' }, markdown, json, readOnly ? null : remove)),
    card('Events', pick.element, readOnly || i.events.length === 0 ? null : h('p', {}, drop)),
    readOnly ? null : h('p', {}, link('incidents', {}, 'Put more events into it')));
}

export default async function incidents(view, params, context) {
  await list(view, params, context);
}

export async function incident(view, params, context) {
  await one(view, encodeURIComponent(params.get('id') ?? ''), context);
}
