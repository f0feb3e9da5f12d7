// What is least like this network, and what people think of it.
import { h, put, table, card, nameLink, clientLink, isClient, when, number, link } from '../dom.js';
import { get, post, query } from '../api.js';

const says = [['high', 'Bad'], ['medium', 'Suspicious'], ['low', 'Unclear'], ['benign', 'Fine']];
const labels = Object.fromEntries(says);

export default async function unusual(view, params, { signal, act, readOnly, can }) {
  const benign = h('input', { type: 'checkbox', id: 'benign' });
  const day = h('select', { id: 'day' });
  const out = h('div', {});
  const given = h('div', {});
  put(view, h('h1', {}, 'Unusual'),
    h('p', { class: 'soft' }, 'What is least like what this network asks for, by day, the least likely first. What you say of it moves what comes: what is fine is shown no more.'),
    h('div', { class: 'row' }, h('label', { for: 'day' }, 'Day (UTC)', day), h('label', { class: 'check', for: 'benign' }, benign, 'Show what was called fine')), out, given);

  // said are buttons that say what one thinks of a name.
  function said(e) {
    if (readOnly || !can('POST /api/v1/feedback')) return labels[e.severity];
    return says.map(([severity, label]) => {
      const b = h('button', { type: 'button', 'aria-pressed': String(e.severity === severity), 'aria-label': `${label}: ${e.domain}` }, label);
      b.addEventListener('click', async () => {
        if (await act(b, () => post('/api/v1/feedback', { target: e.domain, severity, day: day.value }), `${e.domain}: ${label.toLowerCase()}`)) await load();
      });
      return [b, ' '];
    });
  }

  // feedback lists what was said, to take it back.
  async function feedback() {
    const all = await get('/api/v1/feedback', signal);
    const shown = all.slice(-200).reverse();
    put(given, card('What was said', table(`The latest first${all.length > shown.length ? `, ${shown.length} of ${number(all.length)}` : ''}`, [
      { label: 'Of', kind: 'name', cell: (f) => (isClient(f.target) ? clientLink(f.target) : nameLink(f.target)) },
      { label: 'It is', cell: (f) => labels[f.severity] ?? f.severity },
      { label: 'Note', kind: 'text', cell: (f) => f.note ?? '' },
      { label: 'Said', cell: (f) => when(f.time) },
      { label: 'Of the day', cell: (f) => h('span', { class: 'keep' }, f.day) },
      { label: 'Do', kind: 'actions', cell: (f) => {
        if (readOnly || !can('POST /api/v1/feedback/remove')) return null;
        const b = h('button', { type: 'button', 'aria-label': `Take back: ${f.target} of ${f.day}` }, 'Take back');
        b.addEventListener('click', async () => {
          if (await act(b, () => post('/api/v1/feedback/remove', { target: f.target, day: f.day }), `${f.target}: taken back`)) await load();
        });
        return b;
      } },
    ], shown, readOnly ? 'Nothing was said of any day.' : 'Nothing yet: the buttons above say what an entry is, and here it can be taken back.')));
  }

  async function load() {
    const r = await get(query('/api/v1/unusual', { day: day.value, limit: 100, benign: benign.checked ? 'true' : '' }), signal);
    put(day, r.days.map((d) => h('option', { value: d, selected: d === r.day }, d)));
    put(out, card(r.day || 'Today', table(`Of ${number(r.queries)} queries${r.hidden ? `; ${r.hidden} called fine are not shown` : ''}`, [
      { label: 'Rank', kind: 'num', cell: (e) => e.rank },
      { label: 'Name', kind: 'name', cell: (e) => nameLink(e.name || e.domain) },
      { label: 'Client', cell: (e) => clientLink(e.client) },
      { label: 'Type', cell: (e) => `${e.qtype} ${e.rcode}` },
      { label: 'Unlikely by', kind: 'num', cell: (e) => `${e.score.toFixed(1)} bits` },
      { label: 'Because', kind: 'text', cell: (e) => e.reasons.slice(0, 3).map((x) => h('div', {}, x.text)) },
      { label: 'Queries', kind: 'num', cell: (e) => number(e.queries) },
      { label: 'Last', cell: (e) => when(e.last) },
      { label: 'You say', kind: 'actions', cell: said },
    ], r.entries, r.queries ? 'None: nothing of this day stands out.' : 'None: nothing has passed yet.')),
    can('GET /api/v1/incidents') ? h('p', {}, link('incidents', {}, 'Keep what belongs together in an incident record')) : null);
    if (can('GET /api/v1/feedback')) await feedback();
  }
  day.addEventListener('change', load);
  benign.addEventListener('change', load);
  await load();
}
