// What no single query shows: tunnels, infected clients and the like.
import { h, put, table, nameLink, clientLink, level, when } from '../dom.js';
import { get } from '../api.js';

const words = (s) => s.replaceAll('_', ' ');

export const findingColumns = [
  { label: 'Time', cell: (f) => when(f.time) },
  { label: 'Finding', cell: (f) => words(f.kind) },
  { label: 'Level', cell: (f) => level(f.level) },
  { label: 'Client', cell: (f) => clientLink(f.client) },
  { label: 'Name', kind: 'name', cell: (f) => nameLink(f.name) },
  { label: 'Evidence', kind: 'text', cell: (f) => Object.entries(f.evidence).map(([k, v]) => h('div', {}, h('span', { class: 'soft' }, `${words(k)}: `), v)) },
];

export default async function findings(view, params, { signal, every }) {
  const out = h('div', {});
  put(view, h('h1', {}, 'Findings'), h('p', { class: 'soft' }, 'What many queries together show, since the start, the latest first. The log of findings has the older ones.'), h('div', { class: 'card' }, out));
  const load = async () => put(out, table('Findings', findingColumns, await get('/api/v1/findings', signal), 'None since weir started: tunnels, clients that look infected, names asked for by the clock and the like, each with its evidence. It takes many queries to see one.'));
  await load();
  every(10000, async () => { if (!view.contains(document.activeElement)) await load(); });
}
