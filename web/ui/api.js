// How the pages ask weir: JSON both ways, and errors with weir's own words.

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: 'no-store', redirect: 'error' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(0, 'weir does not answer');
  }
  if (!response.ok) {
    let message = response.statusText;
    try {
      message = (await response.json()).error;
    } catch { /* not weir's own words */ }
    if (response.status === 401) document.dispatchEvent(new Event('weir:login'));
    throw new Refusal(response.status, message);
  }
  return response;
}

export const get = async (path, signal) => (await call(path, { signal })).json();
export const text = async (path, signal) => (await call(path, { signal })).text();
export const lines = async (path, signal) =>
  (await text(path, signal)).split('\n').filter((l) => l !== '').map((l) => JSON.parse(l));
export const post = async (path, body) =>
  (await call(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? {}) })).json();

export const query = (path, params) => {
  const kept = Object.entries(params).filter(([, v]) => v !== '' && v !== null && v !== undefined);
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
};
