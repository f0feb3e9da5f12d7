// Logging in: by the code in a link of weir dashboard, or by the token.
import { h, put } from '../dom.js';
import { post } from '../api.js';

export default async function login(main, params, { say, entered }) {
  const input = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true });
  const enter = async (code) => {
    try {
      await post('/api/v1/login', { code });
      say('');
    } catch (error) {
      say(error.message, true);
      return false;
    }
    // The code is used up; it need not stay in the address.
    history.replaceState(null, '', '#/overview');
    await entered();
    return true;
  };
  put(main, h('div', { id: 'login', class: 'card' },
    h('h1', {}, 'Log in'),
    h('p', {}, 'On the machine that weir runs on, this prints a link that logs in:'),
    h('pre', {}, 'weir dashboard'),
    h('form', { onsubmit: (event) => { event.preventDefault(); enter(input.value.trim()); } },
      h('p', { class: 'row' }, h('label', { for: 'token' }, 'Or the token, from dashboard.token in the state folder', input), h('button', { class: 'main' }, 'Log in')))));
  const code = params.get('code');
  if (code) await enter(code);
}
