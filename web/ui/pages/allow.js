// Letting a name through for a while.
import { h, clock } from '../dom.js';
import { post } from '../api.js';

// allowForm is a button that lets a name through, for a time that is chosen.
// name is the name, or gives it; after is called when it is done.
export function allowForm(name, { act }, after = () => {}) {
  const time = h('select', { id: 'allow-for' }, [['10m', '10 minutes'], ['1h', '1 hour'], ['24h', 'a day'], ['168h', 'a week']].map(([v, text]) => h('option', { value: v }, text)));
  const client = h('input', { id: 'allow-client', autocomplete: 'off', spellcheck: 'false', placeholder: 'everybody' });
  const button = h('button', { class: 'main' }, 'Let it through');
  return h('form', {
    class: 'row',
    onsubmit: (event) => {
      event.preventDefault();
      act(button, () => post('/api/v1/allow', { name: typeof name === 'function' ? name() : name, client: client.value.trim(), for: time.value, reason: 'dashboard' }),
        (e) => `${e.name} and all below it is let through until ${clock(e.until)}`).then((done) => { if (done) after(); });
    },
  }, h('label', { for: 'allow-for' }, 'For', time), h('label', { for: 'allow-client' }, 'Only this client or network', client), button);
}
