// The model: its card, its thresholds, how this site's names score, and how one
// on trial compares.
import { h, put, table, card, facts, number, when } from '../dom.js';
import { get } from '../api.js';
import { curve } from '../chart.js';

const levels = ['none', 'low', 'medium', 'high'];

function cardOf(title, m, extra) {
  return card(title, facts([
    ['Model', `${m.name} ${m.version}`], ['Trained', when(m.created)], ['Trees', number(m.trees)], ['Features', m.feature_set], ['SHA-256', h('span', { class: 'mono' }, m.sha256)], ...extra,
  ]), h('h3', {}, 'Thresholds'), table(`Levels: ${title.toLowerCase()}`, [
    { label: 'Level', cell: (t) => t.level },
    { label: 'From score', kind: 'num', cell: (t) => t.score.toFixed(4) },
    { label: 'False positives', kind: 'num', cell: (t) => `${+(100 * t.fpr).toPrecision(3)} %` },
    { label: 'On this site', kind: 'num', cell: (t) => (t.site_one_in ? `1 in ${number(t.site_one_in)}` : '–') },
  ], m.thresholds), h('p', { class: 'soft' }, 'False positives are nominal: the share of benign names, held out of the training, that score so high. Other traffic has other names, which is why this site\'s own are counted too.'));
}

function compared(pairs) {
  const at = (l, s) => pairs.find((p) => p.level === l && p.shadow_level === s)?.names ?? 0;
  return table('Registered domains by what the model in use says (rows) and what the one on trial says (columns)', [
    { label: 'In use', cell: (l) => l },
    ...levels.map((s) => ({ label: s, kind: 'num', cell: (l) => number(at(l, s)) })),
  ], levels);
}

export default async function models(view, params, { signal }) {
  const m = await get('/api/v1/models', signal);
  const marks = m.live?.thresholds.map((t) => [t.score, t.level]) ?? [];
  const modes = { enforce: 'blocks', monitor: 'only watches', off: 'is switched off' };
  put(view, h('h1', {}, 'Models'),
    m.live === null ? h('p', {}, 'No model is in use.') : null,
    h('div', { class: 'grid' },
      m.live ? cardOf('In use', m.live, [['Does', `${modes[m.mode] ?? m.mode}, from level ${m.level}`]]) : null,
      m.live?.calibration ? card('Calibration', curve('Probability that a name with this score was made by an algorithm, among the names of the calibration', 'Score', 'Probability', m.live.calibration, marks)) : null,
      card('This site', m.site.curve === null
        ? h('p', {}, `How rare a score is here is said from ${number(m.site.needed)} names on; ${number(m.site.names)} were counted.`)
        : [curve('Share of this site\'s names that score as high', 'Score', 'Share', m.site.curve.map((p) => [p.score, 1 / p.one_in]), marks),
          table('How rare', [
            { label: 'Score', kind: 'num', cell: (p) => p.score },
            { label: '1 in', kind: 'num', cell: (p) => number(p.one_in) },
          ], m.site.curve), h('p', { class: 'soft' }, `Of ${number(m.site.names)} registered domains.`)]),
      m.shadow ? cardOf('On trial', m.shadow, []) : card('On trial', h('p', { class: 'empty' }, 'No model is on trial (detect.model.shadow_path).')),
      m.shadow ? card('Compared', compared(m.compared)) : null));
}
