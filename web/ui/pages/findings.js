// What no single query shows: tunnels, infected clients and the like.
import { h, put, table, card, nameLink, clientLink, level, when } from '../dom.js';
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

export default async function findings(view, params, { signal, every, can }) {
  const out = h('div', {});
  const force = h('div', {});
  put(view, h('h1', {}, 'Findings'), h('p', { class: 'soft' }, 'What many queries together show, since the start, the latest first. The log of findings has the older ones.'), h('div', { class: 'card' }, out), force);
  const suspects = async () => put(force, card('In force', table('Domains that findings speak against in verdicts on queries', [
    { label: 'Name', kind: 'name', cell: (s) => nameLink(s.name) },
    { label: 'Finding', cell: (s) => words(s.kind) },
    { label: 'Of', cell: (s) => (s.scope === 'everyone' ? 'everybody' : clientLink(s.client) || 'one client that is not shown') },
    { label: 'Queries', cell: (s) => (s.mode === 'enforce' ? h('span', { class: 'tag blocked' }, 'blocked') : h('span', { class: 'tag watched' }, 'would be blocked')) },
    { label: 'Since', cell: (s) => when(s.since) },
    { label: 'Until', cell: (s) => when(s.until) },
  ], await get('/api/v1/suspects', signal), 'None: no finding speaks against a domain now.')));
  const load = async () => put(out, table('Findings', findingColumns, await get('/api/v1/findings', signal), 'None since weir started: tunnels, clients that look infected, names asked for by the clock and the like, each with its evidence. It takes many queries to see one.'));
  const both = () => Promise.all([load(), can('GET /api/v1/suspects') ? suspects() : null]);
  await both();
  every(10000, async () => { if (!view.contains(document.activeElement)) await both(); });
}
