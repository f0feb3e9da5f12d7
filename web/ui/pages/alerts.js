// Alerts: what fires, what is over, who was told.
import { h, put, table, card, nameLink, clientLink, when, number } from '../dom.js';
import { get, post } from '../api.js';

const subject = (a) => (a.by === 'client' ? clientLink(a.key) : a.by === 'name' ? nameLink(a.key) : a.key || 'all');

export default async function alerts(view, params, { signal, act, readOnly, can }) {
  const out = h('div', {});
  put(view, h('h1', {}, 'Alerts'), out);

  async function load() {
    const r = await get('/api/v1/alerts', signal);
    const firing = r.alerts.filter((a) => a.state === 'firing');
    const over = r.alerts.filter((a) => a.state !== 'firing');
    const columns = [
      { label: 'Since', cell: (a) => when(a.began) },
      { label: 'Rule', cell: (a) => a.rule },
      { label: 'Severity', cell: (a) => h('span', { class: `tag ${{ critical: 'high', warning: 'medium' }[a.severity] ?? ''}` }, String(a.severity)) },
      { label: 'About', kind: 'name', cell: subject },
      { label: 'Count', kind: 'num', cell: (a) => number(a.count) },
      { label: 'Latest', kind: 'text', cell: (a) => { const e = a.events?.at(-1); return e ? [nameLink(e.name), ' ', e.why ?? ''] : ''; } },
      { label: 'Told', cell: (a) => [when(a.told), ' ', (a.told_to ?? []).join(', ')] },
    ];
    put(out,
      card('Firing', table('Alerts that fire now', [...columns, { label: 'Do', kind: 'actions', cell: (a) => {
        if (a.acknowledged) return 'acknowledged';
        if (readOnly || !can('POST /api/v1/alerts/ack')) return null;
        const ack = h('button', { type: 'button' }, 'Acknowledge');
        ack.addEventListener('click', async () => { if (await act(ack, () => post('/api/v1/alerts/ack', { id: a.id }), 'Acknowledged')) await load(); });
        return ack;
      } }], firing, 'None: no rule of alerts.rules has what it watches for.')),
      card('Over', table('Alerts of late that are over', [...columns, { label: 'Ended', cell: (a) => when(a.ended) }], over, 'None: no alert has ended of late.')),
      card('Silences', table('Silences now', [
        { label: 'Rule', cell: (s) => s.rule || 'every rule' }, { label: 'About', cell: (s) => s.key || 'all' }, { label: 'Until', cell: (s) => when(s.until) }, { label: 'Note', cell: (s) => s.note ?? '' },
      ], r.silences ?? [], 'None: weir alerts silence keeps a rule, or one client or name, quiet for a while.')),
      r.receivers ? card('Receivers', table('Who is told', [
        { label: 'Receiver', cell: (x) => x.name ?? x.receiver },
        { label: 'State', cell: (x) => Object.entries(x).filter(([k]) => k !== 'name' && k !== 'receiver').map(([k, v]) => h('div', {}, `${k.replaceAll('_', ' ')}: ${v}`)) },
      ], r.receivers, 'Nobody: no receiver is configured (alerts.receivers), so alerts are shown here and by weir alerts alone.')) : null);
  }
  await load();
}
