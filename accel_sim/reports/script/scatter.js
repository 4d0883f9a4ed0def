// Points of a comparison, a frontier or a study: what each is, and the command that makes it again.

const GOODNESS = {dense: 0, floor: 0, beaten: 1, front: 2, knee: 3};

function drawScatter(element, scatter) {
  const axis = (key) => scatter.axes.find((each) => each.key === key);
  let [across, up] = [scatter.axes[0].key, (scatter.axes[1] || scatter.axes[0]).key];
  let shown = null;
  const canvas = html('div', {class: 'canvas'});
  const panel = html('div', {class: 'point', 'aria-live': 'polite'});

  function show(point) {
    shown = point;
    panel.replaceChildren(...[html('h3', {}, point.label),
      html('dl', {class: 'facts'}, point.facts.map(([title, text]) => [html('dt', {}, title), html('dd', {}, text)])),
      ...point.commands.map(commandBox)]);
    for (const mark of canvas.querySelectorAll('.dot')) {
      mark.classList.toggle('chosen', scatter.points[mark.dataset.point] === shown);
    }
  }

  function range(values, isLog) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (isLog) return [low / 1.15, high * 1.15];
    const margin = 0.06 * (high - low) || 0.06 * Math.abs(high) || 1;
    return [low - margin, high + margin];
  }

  function draw(width) {
    const [a, b] = [axis(across), axis(up)];
    const known = scatter.points.filter((point) => [across, up].every((key) => typeof point.values[key] === 'number'));
    if (!known.length) { canvas.replaceChildren(html('p', {}, 'No point has both figures.')); return; }
    const of = (each) => {
      const values = known.map((point) => point.values[each.key]);
      const isLog = Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 20;
      const text = each.unit === '%' ? (v) => percent(v) : each.unit === '×' ? times : (v) => (each.unit ? quantity(v, each.unit) : threeDigits(v));
      return {range: range(values, isLog), isLog, words: `${each.words} (${each.lowerIsBetter ? 'lower' : 'higher'} is better)`, text};
    };
    const [ofX, ofY] = [of(a), of(b)];
    const height = Math.max(280, Math.min(460, 0.62 * width));
    const {picture, x, y} = axes(width, height, ofX, ofY, `${b.words} over ${a.words}`);
    const best = paretoLine(known, a, b);
    picture.append(svg('polyline', {class: 'front-line', points: best.map((p) => `${x(p.values[across])},${y(p.values[up])}`).join(' ')}));
    const ordered = [...known].sort((p, q) => (GOODNESS[p.state] || 0) - (GOODNESS[q.state] || 0));
    for (const point of ordered) {
      const group = scatter.groups[point.group] || {};
      const mark = marker(group.marker || 'o', group.colour || 'var(--accent)', x(point.values[across]), y(point.values[up]), `dot ${point.state}`);
      mark.dataset.point = scatter.points.indexOf(point);
      choosable(mark, `${point.label}: ${ofX.text(point.values[across])}, ${ofY.text(point.values[up])}`, () => show(point));
      withTip(mark, () => [point.label, `${a.words}: ${ofX.text(point.values[across])}`, `${b.words}: ${ofY.text(point.values[up])}`,
        ...point.facts.slice(0, 12).map(([title, text]) => `${title}: ${text}`)]);
      picture.append(mark);
    }
    canvas.replaceChildren(picture);
    if (shown) show(shown);
  }

  let width = 0;
  const select = (label, value, change) => {
    const options = scatter.axes.map((each) => html('option', {value: each.key, selected: each.key === value}, each.words));
    const found = html('select', {'aria-label': label}, options);
    found.addEventListener('change', () => { change(found.value); draw(width); });
    return html('label', {}, `${label} `, found);
  };
  const states = new Set(scatter.points.map((point) => point.state));
  const words = Object.entries(scatter.states).filter(([key]) => states.has(key));
  element.replaceChildren(
    html('div', {class: 'tools'}, select('Across', across, (key) => { across = key; }), select('Up', up, (key) => { up = key; })),
    html('div', {class: 'scatter'}, html('div', {}, canvas,
      html('ul', {class: 'legend short'},
        scatter.groups.length > 1 ? scatter.groups.map((group) => html('li', {},
          svg('svg', {class: 'key', viewBox: '-8 -8 16 16', 'aria-hidden': 'true'}, marker(group.marker, group.colour, 0, 0, 'dot front')), group.name)) : [],
        words.map(([key, said]) => html('li', {},
          svg('svg', {class: 'key', viewBox: '-8 -8 16 16', 'aria-hidden': 'true'}, marker('o', 'var(--accent)', 0, 0, `dot ${key}`)), said)))), panel));
  drawnToWidth(canvas, (now) => draw(width = now));
  const best = scatter.points.reduce((found, point) => (GOODNESS[point.state] > GOODNESS[found.state] ? point : found));
  show(best);
}

// The points that none beats in these two, from left to right.
function paretoLine(points, a, b) {
  const sign = (each) => (each.lowerIsBetter ? 1 : -1);
  const counted = points.filter((point) => point.state !== 'floor' && point.state !== 'dense');
  const ordered = [...counted].sort((p, q) => sign(a) * (p.values[a.key] - q.values[a.key]) || sign(b) * (p.values[b.key] - q.values[b.key]));
  let best = Infinity;
  return ordered.filter((point) => {
    const value = sign(b) * point.values[b.key];
    if (value >= best) return false;
    best = value;
    return true;
  });
}
