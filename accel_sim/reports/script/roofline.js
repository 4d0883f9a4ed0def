// What each item reaches of the machine's roof; a dot says its name, its cycles and its bound.

function drawRoofline(element, phase, choose) {
  const peak = figures.run.peak * figures.run.clock_hz / 1e9;
  const band = figures.run.dram_bytes_per_cycle * figures.run.clock_hz / 1e9;
  const dots = phase.items.filter((item) => item.executed && item.bytes && item.cycles).map((item) => ({
    item, x: item.executed / item.bytes, y: item.executed / item.cycles * figures.run.clock_hz / 1e9,
  }));
  if (!dots.length) {
    element.replaceChildren(html('p', {}, 'Nothing was multiplied.'));
    return;
  }
  const ridge = peak / band;
  const xs = [ridge, ...dots.map((dot) => dot.x)];
  const ys = [peak, ...dots.map((dot) => dot.y)];
  const across = {
    range: [Math.min(...xs) / 2, Math.max(...xs) * 2], isLog: true,
    words: 'executed MACs per DRAM byte', text: (v) => String(Number(v.toPrecision(3))),
  };
  const up = {
    range: [Math.min(...ys) / 2, Math.max(...ys) * 1.6], isLog: true,
    words: 'executed GMAC/s', text: (v) => Number(v.toPrecision(3)).toLocaleString('en-US'),
  };
  const canvas = html('div', {class: 'canvas'});
  const kinds = [...new Set(dots.map(({item}) => item.kind))];
  const left = phase.items.length - dots.length;
  element.replaceChildren(canvas,
    html('ul', {class: 'legend short'}, kinds.map((kind) => html('li', {},
      svg('svg', {class: 'key', viewBox: '-8 -8 16 16', 'aria-hidden': 'true'}, marker(figures.run.kinds[kind][1], figures.run.kinds[kind][0], 0, 0, 'dot')),
      kind))),
    left ? html('p', {}, `${left} without multiplications or without bytes of their own are left out.`) : '');
  drawnToWidth(canvas, (width) => {
    const height = Math.max(260, Math.min(440, 0.6 * width));
    const {picture, x, y} = axes(width, height, across, up, 'Roofline: executed GMAC/s over MACs per byte');
    const [low, high] = across.range;
    const start = Math.max(low, up.range[0] / band);
    const roof = [[start, start * band], [ridge, peak], [high, peak]];
    picture.append(
      svg('polyline', {class: 'roof', points: roof.map(([a, b]) => `${x(a)},${y(b)}`).join(' ')}),
      svg('text', {class: 'roof-words', x: width - 20, y: y(peak) - 7, 'text-anchor': 'end'}, `all multipliers busy: ${whole(peak)} GMAC/s`),
      svg('text', {class: 'roof-words', x: x(Math.sqrt(start * ridge)) - 8, y: y(Math.sqrt(start * ridge) * band) - 6, 'text-anchor': 'end'}, width < 500 ? 'DRAM' : `DRAM busy: ${threeDigits(band)} GB/s`));
    for (const dot of dots) {
      const {item} = dot;
      const [colour, shape] = figures.run.kinds[item.kind];
      const mark = marker(shape, colour, x(dot.x), y(dot.y), 'dot');
      mark.dataset.item = phase.items.indexOf(item);
      const bound = item.bound || UNKNOWN;
      choosable(mark, `${item.short}: ${whole(item.cycles)} cycles, bound by ${bound}`, () => choose(item));
      withTip(mark, () => [item.short, item.name, `${whole(item.cycles)} cycles`, `bound by ${bound}`,
        `${threeDigits(dot.x)} MAC/B, ${threeDigits(dot.y)} GMAC/s`]);
      picture.append(mark);
    }
    canvas.replaceChildren(picture);
    markChosen();
  });
}
