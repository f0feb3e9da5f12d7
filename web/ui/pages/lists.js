// The lists, and what is let through for a while.
import { h, put, table, card, number, when, bytes, link, nameLink } from '../dom.js';
import { get, post } from '../api.js';
import { allowForm } from './allow.js';

export default async function lists(view, params, context) {
  const { signal, act, readOnly } = context;
  const listsOut = h('div', {});
  const allowsOut = h('div', {});
  const name = h('input', { id: 'allow-name', required: true, autocomplete: 'off', spellcheck: 'false' });
  const formOut = h('div', {});

  function row(l) {
    const rejected = Object.entries(l.rejected).filter(([, n]) => n > 0);
    const refresh = h('button', { type: 'button', 'aria-label': `Refresh ${l.name}` }, 'Refresh');
    refresh.addEventListener('click', async () => {
      const r = await act(refresh, () => post(`/api/v1/lists/${encodeURIComponent(l.name)}/refresh`),
        (r) => (r.error ? `${r.name}: refused: ${r.error}` : r.changed ? `${r.name}: ${r.entries} entries, ${r.before} before` : `${r.name}: unchanged, ${r.entries} entries`));
      if (r) await load();
    });
    const state = l.error ? h('span', { class: 'tag high' }, 'failing') : l.loaded ? h('span', { class: 'tag good' }, 'good') : h('span', { class: 'tag medium' }, 'no data yet');
    return h('section', { class: 'card' },
      h('h2', {}, l.name, ' ', state),
      l.error ? h('p', { class: 'bad' }, l.error, ' (', when(l.failed), '). What it had before serves on.') : null,
      h('dl', { class: 'facts' }, [
        ['Does', l.kind === 'allow' ? 'lets pass' : l.mode + (l.schedule ? ` (${l.schedule})` : '')], ['Source', l.source || 'the configuration'], ['Format', l.format],
        ['Entries', `${number(l.entries)} names, ${number(l.addresses)} addresses, ${bytes(l.bytes)}`],
        ['Confirmed', when(l.checked)], ['Next', l.next ? when(l.next) : null],
        ['Hits', `${number(l.hits.enforce)} blocked, ${number(l.hits.monitor)} would have been, ${number(l.hits.pass + l.hits.observe + l.hits.overruled)} others`], ['Last hit', when(l.hits.last)],
      ].filter(([, v]) => v !== null).map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])),
      rejected.length ? table(`Rejected lines of ${l.name}`, [{ label: 'Why', cell: ([k]) => k.replaceAll('_', ' ') }, { label: 'Lines', kind: 'num', cell: ([, n]) => number(n) }], rejected) : null,
      h('p', {}, readOnly ? null : refresh, ' ', link('detections', { q: l.name, since: '7d' }, 'What it found')));
  }

  async function load() {
    const [all, allows] = await Promise.all([get('/api/v1/lists', signal), get('/api/v1/allow', signal)]);
    put(listsOut, all.length ? h('div', { class: 'grid' }, all.map(row)) : h('p', { class: 'empty' }, 'No list is configured: each under lists in the configuration is shown here, with its state, hits and rejected lines.'));
    put(allowsOut, table('Let through now', [
      { label: 'Name', kind: 'name', cell: (a) => nameLink(a.name) },
      { label: 'For', cell: (a) => a.client || 'everybody' },
      { label: 'Until', cell: (a) => when(a.until) },
      { label: 'Why', cell: (a) => a.reason },
      { label: 'Do', kind: 'actions', cell: (a) => {
        if (readOnly) return null;
        const end = h('button', { type: 'button', 'aria-label': `End it for ${a.name}` }, 'End');
        end.addEventListener('click', async () => {
          if (await act(end, () => post('/api/v1/allow/remove', { name: a.name, client: a.client }), `${a.name} is no longer let through`)) await load();
        });
        return end;
      } },
    ], allows, readOnly ? 'None: every name gets what the policy says.' : 'None: every name gets what the policy says. A name can be let through here, on its page, or by weir allow.'));
  }

  put(view, h('h1', {}, 'Lists'), listsOut, h('p', {}),
    card('Let through for a while', allowsOut, h('p', {}), readOnly ? null : [h('p', { class: 'row' }, h('label', { for: 'allow-name' }, 'Name', name)), formOut]));
  if (!readOnly) put(formOut, allowForm(() => name.value.trim(), context, load));
  await load();
}
