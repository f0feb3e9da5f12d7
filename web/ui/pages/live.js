// What passes now.
import { h, put, rowOf, nameLink, clientLink, verdict, level, score, clock } from '../dom.js';
import { query } from '../api.js';

const kept = 200;

const columns = [
  { label: 'Time', cell: (t) => h('time', { datetime: t.time }, clock(t.time)) },
  { label: 'Client', cell: (t) => clientLink(t.client) },
  { label: 'Name', kind: 'name', cell: (t) => nameLink(t.qname) },
  { label: 'Type', cell: (t) => t.qtype },
  { label: 'Answer', cell: (t) => [t.rcode ?? 'none', ' ', h('span', { class: 'soft' }, t.source)] },
  { label: 'Score', kind: 'num', cell: (t) => score(t.verdict.score) },
  { label: 'Verdict', cell: (t) => [verdict(t.verdict), ' ', level(t.verdict.level), t.verdict.lookalike ? ` like ${t.verdict.lookalike.brand}` : null] },
];

export default async function live(view, params, { signal, say }) {
  const only = h('input', { type: 'checkbox', id: 'only', checked: params.get('only') === 'detections' });
  const filter = h('input', { id: 'filter', type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
  const state = h('span', { class: 'soft' });
  const body = h('tbody', {});
  const empty = h('p', { class: 'empty' }, 'Nothing has passed since this page was opened. Queries are shown as they come.');
  put(view, h('h1', {}, 'Live'),
    h('div', { class: 'row' },
      h('label', { class: 'check', for: 'only' }, only, 'Detections only'),
      h('label', { for: 'filter' }, 'Names or clients with', filter), pause, state),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Transactions, the latest first' },
      h('table', {}, h('caption', {}, `The latest first, ${kept} at most`),
        h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: c.kind === 'num' ? 'num' : null }, c.label)))), body)),
    empty);

  let source = null;
  let skipped = 0;
  let waiting = [];
  let paused = false;
  const tell = (text) => { state.textContent = skipped ? `${text}; ${skipped} not shown, too many passed` : text; };

  function flush() {
    if (signal.aborted) return;
    if (!paused && waiting.length > 0) {
      const wanted = filter.value.trim().toLowerCase();
      const rows = waiting.filter((t) => !wanted || `${t.qname} ${t.client}`.toLowerCase().includes(wanted)).slice(-kept);
      waiting = [];
      for (const t of rows) {
        const row = rowOf(columns, t);
        row.className = 'fresh';
        body.prepend(row);
      }
      while (body.rows.length > kept) body.lastChild.remove();
      empty.hidden = body.rows.length > 0;
    }
    setTimeout(flush, 250);
  }

  function open() {
    source?.close();
    skipped = 0;
    source = new EventSource(query('/api/v1/live', { only: only.checked ? 'detections' : '' }));
    source.addEventListener('open', () => tell('watching'));
    source.addEventListener('error', () => tell(source.readyState === EventSource.CLOSED ? 'ended: too many watch, or the login is over' : 'interrupted, trying again'));
    source.addEventListener('transaction', (event) => {
      waiting.push(JSON.parse(event.data));
      if (waiting.length > 5 * kept) waiting = waiting.slice(-kept);
    });
    source.addEventListener('skipped', (event) => {
      skipped += Number(event.data);
      tell('watching');
    });
  }
  only.addEventListener('change', () => {
    body.replaceChildren();
    empty.hidden = false;
    waiting = [];
    open();
  });
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    say(paused ? 'Paused' : 'Goes on');
  });
  signal.addEventListener('abort', () => source?.close());
  open();
  flush();
}
