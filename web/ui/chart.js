// Small charts as SVG, each with its numbers as a table for who cannot see it,
// or wants them.
import { h, svg, table, number } from './dom.js';

const W = 640;
const H = 160;
const LEFT = 44;
const BOTTOM = 22;

function round(max) {
  if (max <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((f) => f * unit).find((v) => v >= max);
}

const short = (n) => (n >= 1e6 ? `${n / 1e6}M` : n >= 1e3 ? `${n / 1e3}k` : String(+n.toPrecision(3)));

function frame(title, top, children, label = short) {
  const grid = [0, 0.5, 1].map((f) => {
    const y = 8 + (H - BOTTOM - 8) * (1 - f);
    return [svg('line', { class: 'axis', x1: LEFT, x2: W, y1: y, y2: y }), svg('text', { x: LEFT - 6, y: y + 4, 'text-anchor': 'end' }, label(top * f))];
  });
  return svg('svg', { class: 'chart', viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': title }, grid, children);
}

// What a bar is made of, everywhere in the same dress: what would be blocked is an
// outline, what is blocked is filled, so that it can be told without colours too.
export const passed = { name: 'passed', look: 'passed' };
export const watched = { name: 'would be blocked', look: 'watched' };
export const blocked = { name: 'blocked', look: 'blocked' };

// bars draws stacked bars. points are {label, values, gap}; parts are those of
// the values. A gap is drawn as such: nothing is known of it.
export function bars(title, parts, points) {
  const top = round(Math.max(...points.map((p) => p.values.reduce((a, b) => a + b, 0)), 0));
  const width = Math.min((W - LEFT) / points.length, 80); // few bars are no walls
  const scale = (H - BOTTOM - 8) / top;
  const shapes = points.map((p, i) => {
    const x = LEFT + i * width + width * 0.1;
    if (p.gap) return svg('rect', { class: 'gap', x, width: width * 0.8, y: H - BOTTOM - 6, height: 6 }, svg('title', {}, `${p.label}: not running`));
    let y = H - BOTTOM;
    return p.values.map((v, k) => {
      if (v === 0) return null;
      y -= v * scale;
      return svg('rect', { class: parts[k].look, x, width: width * 0.8, y, height: v * scale }, svg('title', {}, `${p.label}: ${parts[k].name} ${number(v)}`));
    });
  });
  const every = Math.ceil(points.length / 6);
  const labels = points.map((p, i) => (i % every === 0 ? svg('text', { x: LEFT + i * width, y: H - 6 }, p.label) : null));
  const anyGap = points.some((p) => p.gap);
  return h('figure', {}, h('figcaption', {}, title),
    h('ul', { class: 'legend' }, parts.map((p) => h('li', {}, h('span', { class: `key ${p.look}` }), p.name)), anyGap ? h('li', {}, h('span', { class: 'key gap' }), 'not running') : null),
    frame(title, top, [shapes, labels]),
    numbers(title, [{ label: 'Time', cell: (p) => p.label }, ...parts.map((part, k) => ({ label: part.name, kind: 'num', cell: (p) => (p.gap ? 'not running' : number(p.values[k])) }))], points));
}

// curve draws a line through points [x, y], both 0 to 1, with marks at some x.
export function curve(title, xName, yName, points, marks = []) {
  const at = ([x, y]) => `${LEFT + x * (W - LEFT - 4)},${8 + (1 - y) * (H - BOTTOM - 8)}`;
  return h('figure', {}, h('figcaption', {}, title),
    frame(title, 1, [
      svg('polyline', { class: 'line', points: points.map(at).join(' ') }),
      marks.map(([x, name]) => {
        const px = LEFT + x * (W - LEFT - 4);
        return [svg('line', { class: 'mark', x1: px, x2: px, y1: 8, y2: H - BOTTOM }), svg('text', { x: px - 3, y: 18, 'text-anchor': 'end' }, name)];
      }),
      [0, 0.5, 1].map((x) => svg('text', { x: LEFT + x * (W - LEFT - 4), y: H - 6, 'text-anchor': x === 0 ? 'start' : x === 1 ? 'end' : 'middle' }, String(x))),
    ]),
    numbers(title, [{ label: xName, kind: 'num', cell: (p) => p[0].toFixed(4) }, { label: yName, kind: 'num', cell: (p) => p[1].toFixed(4) }], points));
}

// pulls draws what pushes a score up, to the right, and down, to the left.
export function pulls(title, items) {
  const max = Math.max(...items.map((i) => Math.abs(i.value)), 0.01);
  const row = 20;
  const height = items.length * row + 4;
  const middle = 470;
  const room = 165;
  return h('figure', {}, h('figcaption', {}, title),
    svg('svg', { class: 'chart', viewBox: `0 0 ${W} ${height}`, role: 'img', 'aria-label': title },
      svg('line', { class: 'axis', x1: middle, x2: middle, y1: 0, y2: height }),
      items.map((item, i) => {
        const w = (Math.abs(item.value) / max) * room;
        const x = item.value >= 0 ? middle : middle - w;
        return [
          svg('text', { x: 0, y: i * row + 15 }, item.label.length > 48 ? `${item.label.slice(0, 47)}…` : item.label),
          svg('rect', { class: item.value >= 0 ? 'for' : 'against', x, y: i * row + 4, width: w, height: row - 7 }, svg('title', {}, `${item.label}: ${item.value.toFixed(3)}`)),
        ];
      })));
}

function numbers(title, columns, rows) {
  return h('details', {}, h('summary', {}, 'As a table'), table(title, columns, rows));
}
