// Elements of HTML and SVG. Text goes in as text only, never as markup.

const figures = JSON.parse(document.getElementById('figures').textContent);

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? '' : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

const place = (id) => document.getElementById(id);

// What the pointer or the focus is on, said beside it. lines() is asked only when it is shown.
const tip = html('div', {id: 'tip', role: 'status', hidden: true});
document.body.append(tip);

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line, i) => html(i ? 'span' : 'strong', {}, line)));
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  const left = Math.max(4, Math.min(x + 14, document.documentElement.clientWidth - width - 4));
  const above = y + 18 + height > document.documentElement.clientHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(4, above ? y - height - 10 : y + 18)}px`;
}

function hideTip() { tip.hidden = true; }

function withTip(element, lines) {
  element.addEventListener('pointermove', (e) => showTip(lines(), e.clientX, e.clientY));
  element.addEventListener('pointerleave', hideTip);
  element.addEventListener('focus', () => {
    const box = element.getBoundingClientRect();
    showTip(lines(), box.right, box.bottom);
  });
  element.addEventListener('blur', hideTip);
  return element;
}
document.addEventListener('keydown', (e) => { if (e.key === 'Escape') hideTip(); });

// Something drawn that can be chosen with the pointer or with Enter.
function choosable(element, label, choose) {
  return fill(element, {
    tabindex: 0, role: 'button', 'aria-label': label, onclick: choose,
    onkeydown: (e) => {
      if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); choose(); }
    },
  }, []);
}

// A button that folds or unfolds the group `key`; `draw` fills `body` anew, and the focus stays.
function foldButton(key, text, opened, body, draw) {
  const isOpen = opened.has(key);
  const button = html('button', {
    type: 'button', class: 'fold', 'aria-expanded': String(isOpen),
    onclick: () => {
      if (isOpen) opened.delete(key); else opened.add(key);
      draw();
      [...body.querySelectorAll('.fold')].find((each) => each.dataset.key === key).focus();
    },
  }, text);
  button.dataset.key = key;
  return button;
}

// A row of buttons of which one is pressed.
function switches(label, options, chosen, choose) {
  const buttons = options.map(([value, words]) => html('button', {
    type: 'button', 'aria-pressed': String(value === chosen),
    onclick: () => {
      buttons.forEach((each, i) => each.setAttribute('aria-pressed', String(options[i][0] === value)));
      choose(value);
    },
  }, words));
  return html('div', {class: 'switches', role: 'group', 'aria-label': label}, buttons);
}

// Calls draw(width) now and whenever the width of the element changes.
function drawnToWidth(element, draw) {
  let width = 0;
  const again = () => {
    const now = Math.floor(element.clientWidth);
    if (now && now !== width) draw(width = now);
  };
  new ResizeObserver(again).observe(element);
  again();
}
