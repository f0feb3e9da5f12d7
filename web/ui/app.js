// The dashboard: which page is shown, and what all pages share.
import { h, link, isClient } from './dom.js';
import { get, post } from './api.js';
import overview from './pages/overview.js';
import live from './pages/live.js';
import detections from './pages/detections.js';
import name from './pages/name.js';
import client from './pages/client.js';
import findings from './pages/findings.js';
import unusual from './pages/unusual.js';
import lists from './pages/lists.js';
import models from './pages/models.js';
import alerts from './pages/alerts.js';
import incidents, { incident } from './pages/incidents.js';
import login from './pages/login.js';

// needs is the operation that a page cannot do without; hidden pages have no
// place in the navigation.
const pages = {
  overview: { title: 'Overview', show: overview },
  live: { title: 'Live', show: live, needs: 'GET /api/v1/live' },
  detections: { title: 'Detections', show: detections, needs: 'GET /api/v1/detections' },
  findings: { title: 'Findings', show: findings, needs: 'GET /api/v1/findings' },
  unusual: { title: 'Unusual', show: unusual, needs: 'GET /api/v1/unusual' },
  alerts: { title: 'Alerts', show: alerts, needs: 'GET /api/v1/alerts' },
  lists: { title: 'Lists', show: lists },
  models: { title: 'Models', show: models, needs: 'GET /api/v1/models' },
  incidents: { title: 'Incidents', show: incidents, needs: 'GET /api/v1/incidents' },
  name: { title: 'Name', show: name, hidden: true },
  client: { title: 'Client', show: client, hidden: true },
  incident: { title: 'Incident', show: incident, hidden: true },
};

const main = document.getElementById('main');
const notice = document.getElementById('notice');
let state = null; // GET /api/v1/dashboard; null: not logged in
let current = null; // the AbortController of the page shown

// say tells something that happened, to readers of the screen too.
export function say(message, bad = false) {
  notice.className = bad ? 'bad' : '';
  notice.textContent = message;
}

const can = (operation) => state !== null && (operation === undefined || state.operations.includes(operation));

function place() {
  const url = new URL((location.hash || '#/overview').slice(1), 'http://weir');
  return { page: url.pathname.slice(1) || 'overview', params: url.searchParams };
}

function navigation(page) {
  const items = Object.entries(pages).filter(([, p]) => !p.hidden && can(p.needs));
  document.getElementById('pages').replaceChildren(...items.map(([key, p]) => {
    const a = link(key, {}, p.title);
    if (key === page) a.setAttribute('aria-current', 'page');
    return h('li', {}, a);
  }));
}

async function show(moved) {
  current?.abort();
  const run = new AbortController();
  current = run;
  const { page, params } = place();
  if (page === 'login' || state === null) {
    document.title = 'Log in – weir';
    document.getElementById('pages').replaceChildren();
    login(main, params, { say, entered: start, reason: page === 'login' ? '' : 'first' });
    return;
  }
  const entry = pages[page] ?? pages.overview;
  navigation(page);
  document.title = `${entry.title} – weir`;
  if (moved) say('');
  const view = h('div', {}, h('h1', {}, entry.title)); // until the page has more to say
  main.replaceChildren(view);
  const context = {
    signal: run.signal,
    state,
    can,
    say,
    readOnly: state.read_only,
    // every calls f now and then, until the page is left; never twice at a time.
    every(ms, f) {
      const again = async () => {
        if (run.signal.aborted) return;
        if (!document.hidden) await guarded(f, run);
        setTimeout(again, ms);
      };
      setTimeout(again, ms);
    },
    // act does what a button says, and tells how it went.
    async act(button, f, done) {
      button.disabled = true;
      try {
        const result = await f();
        say(typeof done === 'function' ? done(result) : done);
        return result;
      } catch (error) {
        say(error.message, true);
        return null;
      } finally {
        button.disabled = false;
      }
    },
  };
  await guarded(() => entry.show(view, params, context), run);
  if (moved && !run.signal.aborted) {
    const heading = view.querySelector('h1');
    if (heading) {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    }
    scrollTo(0, 0);
  }
  if (!run.signal.aborted) document.documentElement.dataset.shown = page; // all of it: who waits may look
}

async function guarded(f, run) {
  try {
    await f();
  } catch (error) {
    if (!run.signal.aborted && error.status !== 401) {
      console.error(error);
      say(error.message, true);
    }
  }
}

async function start() {
  try {
    state = await get('/api/v1/dashboard');
  } catch (error) {
    state = null;
    if (error.status !== 401) say(error.message, true);
  }
  document.getElementById('search').hidden = state === null;
  document.getElementById('logout').hidden = state === null;
  document.getElementById('about').textContent = state === null ? '' :
    `weir ${state.version}${state.read_only ? ', read-only' : ''}; of clients, ${state.clients === 'none' ? 'nothing is shown' : `this is shown: ${state.clients}`}`;
  await show(false);
}

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const what = document.getElementById('what').value.trim();
  if (what === '') return;
  location.hash = `#/${isClient(what) ? 'client' : 'name'}?${new URLSearchParams(isClient(what) ? { c: what } : { n: what })}`;
});
document.getElementById('logout').addEventListener('click', async () => {
  await post('/api/v1/logout').catch(() => {});
  location.hash = '#/overview';
  await start();
});
document.addEventListener('weir:login', () => {
  if (state !== null) {
    state = null;
    start();
  }
});
addEventListener('hashchange', () => show(true));
start();
