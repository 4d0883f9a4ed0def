// The table of items: sorts by any column, filters by words, folds by kind or by layer.

const seconds = (item) => item.cycles / figures.run.clock_hz;
const fact = (key) => (item) => (item.facts || {})[key] ?? null;
const macsPossible = (item) => figures.run.peak * item.cycles;
let cyclesOfPhase = 1;

// value: what is sorted by; text: what is shown.
function numeric(title, value, show, about) {
  return {title, about, isNumber: true, value, text: (item) => { const v = value(item); return v === null ? UNKNOWN : show(v); }};
}
const textual = (title, value, about) => ({title, about, isNumber: false, value, text: (item) => value(item) || ''});

const COLUMNS = {
  short: textual('name', (item) => item.short),
  kind: textual('kind', (item) => item.kind),
  layer: numeric('layer', (item) => item.layer ?? null, String),
  runs: textual('runs × tokens', fact('runs')),
  shape: textual('shape', fact('shape'), 'outputs × inputs'),
  density: numeric('density', (item) => ratio(item.kept || 0, item.size), percent, 'share of the weights that are kept'),
  mode: textual('mode', fact('mode'), 'what lies along the lanes, lane groups, weights an entry'),
  format: textual('format', fact('format'), 'how the weights are stored'),
  cycles: numeric('cycles', (item) => item.cycles, whole),
  share: numeric('share', (item) => ratio(item.cycles, cyclesOfPhase), percent, 'of all cycles'),
  latency: numeric('time', seconds, (v) => quantity(v, 's')),
  ideal: numeric('ideal', (item) => item.ideal || 0, whole, 'cycles that no machine with as many multipliers and as much bandwidth can do without'),
  speedup: numeric('× dense', (item) => ratio(item.dense || 0, item.cycles), times, 'speed-up over the same machine with nothing pruned'),
  utilization: numeric('utilisation', (item) => ratio(item.executed, macsPossible(item)), percent, 'executed MACs of those possible in its cycles'),
  bound: textual('bound by', (item) => item.bound),
  imbalance: numeric('imbalance', fact('imbalance'), (v) => fixed(v, 2), 'the heaviest PE row over the mean'),
  bytes: numeric('DRAM', (item) => item.bytes, (v) => quantity(v, 'B')),
  energy: numeric('energy', (item) => item.energy, (v) => quantity(v, 'J')),
  pj_per_mac: numeric('pJ/MAC', (item) => ratio(1e12 * item.energy, item.executed), (v) => fixed(v, 2), 'energy over executed MACs'),
  executed: numeric('MACs', (item) => item.executed || null, (v) => quantity(v, 'MAC')),
};

function boundOfSum(sum, phase) {
  const most = Math.max(...sum.causes);
  if (!most) return '';
  return `${phase.causes[sum.causes.indexOf(most)].key.replaceAll('_', ' ')} ${percent(most / sum.cycles, 0)}`;
}

const MANY = 60;

function drawItems(element, phase, choose) {
  cyclesOfPhase = phase.total.cycles;
  const [one, many] = figures.run.noun;
  const columns = figures.run.columns.map((key) => COLUMNS[key]);
  const hasLayers = phase.items.some((item) => item.layer !== undefined);
  let fold = phase.items.length > MANY ? 'kind' : 'none';
  let sorted = null;  // [column, direction]; null: the order of the model
  let wanted = [];
  const opened = new Set();
  const body = html('tbody');
  const said = html('p', {class: 'said', 'aria-live': 'polite'});

  const inOrder = (items) => {
    if (!sorted) return items;
    const [column, direction] = sorted;
    return [...items].sort((a, b) => {
      const [left, right] = [column.value(a), column.value(b)];
      if (left === right) return 0;
      if (left === null || left === undefined) return 1;
      if (right === null || right === undefined) return -1;
      return direction * (column.isNumber ? left - right : String(left).localeCompare(String(right), 'en', {numeric: true}));
    });
  };
  const cells = (item) => columns.slice(1).map((column) => html('td', {class: column.isNumber ? 'number' : 'text'}, column.text(item)));

  function itemRow(item, css) {
    const button = html('button', {type: 'button', class: 'item', title: item.name, onclick: () => choose(item, true)}, item.short);
    const row = html('tr', {class: css}, html('th', {scope: 'row'}, button), cells(item));
    row.dataset.item = phase.items.indexOf(item);
    row.addEventListener('click', (e) => { if (e.target !== button) choose(item, true); });
    return row;
  }

  function groupRow({key, items, sum}) {
    const button = foldButton(key, `${key} (${items.length})`, opened, body, draw);
    return html('tr', {class: 'group'}, html('th', {scope: 'row'}, button), cells({...sum, bound: boundOfSum(sum, phase)}));
  }

  function draw() {
    const found = phase.items.filter((item) => wanted.every((word) =>
      `${item.name} ${item.short} ${item.kind} ${item.bound || ''}`.toLowerCase().includes(word)));
    const rows = [];
    if (fold === 'none') rows.push(...inOrder(found).map((item) => itemRow(item, '')));
    else {
      const keyOf = fold === 'kind' ? (item) => item.kind : (item) => (item.layer === undefined ? 'in no layer' : `layer ${item.layer}`);
      const groups = groupsOf(found, keyOf);
      const order = inOrder(groups.map((group) => ({...group.sum, bound: boundOfSum(group.sum, phase), group})));
      for (const {group} of order) {
        rows.push(groupRow(group));
        if (opened.has(group.key)) rows.push(...inOrder(group.items).map((item) => itemRow(item, 'of-group')));
      }
    }
    body.replaceChildren(...rows);
    said.textContent = `${found.length.toLocaleString('en-US')} of ${phase.items.length.toLocaleString('en-US')} ${phase.items.length === 1 ? one : many}`;
    markChosen();
  }

  const heads = columns.map((column) => {
    const button = html('button', {type: 'button', class: 'sort', title: column.about ? `${column.about}; click to sort` : 'click to sort'}, column.title);
    const head = html('th', {scope: 'col', class: column.isNumber ? 'number' : 'text', 'aria-sort': 'none'}, button);
    button.addEventListener('click', () => {
      const was = head.getAttribute('aria-sort');
      heads.forEach((each) => each.setAttribute('aria-sort', 'none'));
      // Numbers begin with the largest; the third click gives the order of the model back.
      const [begin, then] = column.isNumber ? ['descending', 'ascending'] : ['ascending', 'descending'];
      const now = was === 'none' ? begin : was === begin ? then : 'none';
      head.setAttribute('aria-sort', now);
      sorted = now === 'none' ? null : [column, now === 'ascending' ? 1 : -1];
      draw();
    });
    return head;
  });
  const filter = html('input', {type: 'search', placeholder: 'e.g. FFN dram', 'aria-label': `Show only ${many} with these words in name, kind or bound`});
  filter.addEventListener('input', () => { wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean); draw(); });
  const folds = [['none', 'Each'], ['kind', 'By kind'], ...(hasLayers ? [['layer', 'By layer']] : [])];
  draw();
  element.replaceChildren(
    html('div', {class: 'tools'}, html('label', {}, 'Filter ', filter),
      switches('How rows are folded', folds, fold, (value) => { fold = value; opened.clear(); draw(); }), said),
    html('div', {class: 'scrolled tall', tabindex: 0, role: 'region', 'aria-label': `Table of ${many}`},
      html('table', {class: 'items'}, html('thead', {}, html('tr', {}, heads)), body,
        html('tfoot', {}, html('tr', {}, html('th', {scope: 'row'}, 'total'), cells({...phase.total, kind: ''}))))));
}
