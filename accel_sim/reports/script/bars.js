// What cycles or energy are spent on: a bar an item, its parts stacked in their order.

const MEASURES = {
  cycles: {
    words: 'Cycles', parts: 'causes', names: 'causes', whole: (item) => item.cycles,
    text: (value) => whole(value), unit: 'cycles',
  },
  energy: {
    words: 'Energy', parts: 'parts', names: 'components', whole: (item) => item.energy,
    text: (value) => quantity(value, 'J'), unit: '',
  },
};

function stackedBar(item, phase, measure, most) {
  let at = 0;
  const rects = item[measure.parts].map((value, i) => {
    const part = phase[measure.names][i];
    const wide = 100 * value / (most || 1);
    const rect = svg('rect', {x: at, width: wide, height: 10, fill: part.colour});
    at += wide;
    return value ? withTip(rect, () => [
      `${part.title}: ${percent(ratio(value, measure.whole(item)))}`,
      `${measure.text(value)} ${measure.unit}`, part.words,
    ]) : null;
  });
  return svg('svg', {class: 'stack', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true'}, rects);
}

function spokenParts(item, phase, measure) {
  const known = item[measure.parts].map((value, i) => [value, phase[measure.names][i].title]);
  known.sort((a, b) => b[0] - a[0]);
  const most = known.filter(([value]) => value).slice(0, 4);
  return most.map(([value, title]) => `${title} ${percent(ratio(value, measure.whole(item)), 0)}`).join(', ');
}

function legend(items, phase, measure) {
  const used = phase[measure.names].filter((_, i) => items.some((item) => item[measure.parts][i]));
  return html('ul', {class: 'legend'}, used.map((part) => html('li', {},
    svg('svg', {class: 'key', viewBox: '0 0 1 1', 'aria-hidden': 'true'}, svg('rect', {width: 1, height: 1, fill: part.colour})),
    html('strong', {}, part.title), ` ${part.words}`)));
}

function barRow(item, phase, measure, most, name, css) {
  const value = measure.whole(item);
  return html('tr', {class: css, 'aria-label': `${item.short || item.kind}: ${measure.text(value)} ${measure.unit}; ${spokenParts(item, phase, measure)}`},
    html('th', {scope: 'row'}, name),
    html('td', {class: 'draws'}, stackedBar(item, phase, measure, most)),
    html('td', {class: 'number'}, measure.text(value)));
}

// Bars of all kinds; a kind unfolds to its items, all bars then on the scale of items.
function drawBars(element, phase, choose) {
  let measure = MEASURES.cycles;
  const opened = new Set();
  const body = html('tbody');
  const words = html('div');
  const groups = groupsOf(phase.items, (item) => item.kind);

  function draw() {
    const most = Math.max(...groups.map((group) => measure.whole(group.sum)));
    const rows = [];
    for (const {key, items, sum} of groups) {
      const isOpen = opened.has(key);
      const button = foldButton(key, `${key} (${items.length})`, opened, body, draw);
      rows.push(barRow(sum, phase, measure, most, button, 'group'));
      if (!isOpen) continue;
      const largest = Math.max(...items.map(measure.whole));
      for (const item of items) {
        const name = html('button', {type: 'button', class: 'item', title: item.name, onclick: () => choose(item)}, item.short);
        rows.push(barRow(item, phase, measure, largest, name, 'of-group'));
      }
    }
    body.replaceChildren(...rows);
    words.replaceChildren(legend(phase.items, phase, measure));
  }
  draw();
  element.replaceChildren(
    switches('What the bars show', Object.entries(MEASURES).map(([key, each]) => [key, each.words]), 'cycles',
      (key) => { measure = MEASURES[key]; draw(); }),
    html('table', {class: 'bars'}, body), words);
}

// Items by what `keyOf` says, in order of their first, with what they sum to.
function groupsOf(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(item);
  }
  return [...found].map(([key, members]) => ({key, items: members, sum: summed(members, key)}));
}

function summed(items, key) {
  const sum = {short: key, kind: key, name: key, facts: {}, isSum: true};
  for (const field of ['cycles', 'ideal', 'dense', 'energy', 'bytes', 'executed', 'kept', 'size']) {
    sum[field] = items.reduce((all, item) => all + (item[field] || 0), 0);
  }
  for (const field of ['causes', 'parts']) {
    sum[field] = items[0][field].map((_, i) => items.reduce((all, item) => all + item[field][i], 0));
  }
  return sum;
}
