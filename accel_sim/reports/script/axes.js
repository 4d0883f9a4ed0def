// Axes of a picture with dots, drawn as wide as there is room.

function logTicks([low, high]) {
  const found = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) {
    for (const m of [1, 2, 5]) {
      const value = m * 10 ** e;
      if (value >= low && value <= high) found.push(value);
    }
  }
  const decades = found.filter((value) => Number.isInteger(Math.log10(Number(value.toPrecision(3)))));
  return found.length > 9 && decades.length > 2 ? decades : found;
}

function linearTicks([low, high]) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(i * step);
  return found;
}

// across, up: {range, isLog, words, text}. Returns the picture and where values lie in it.
function axes(width, height, across, up, label) {
  const [left, right, top, bottom] = [76, 14, 12, 46];
  const part = ({range: [low, high], isLog}, value) => (isLog ?
    Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
  const x = (value) => left + (width - left - right) * part(across, value);
  const y = (value) => height - bottom - (height - top - bottom) * part(up, value);
  const picture = svg('svg', {class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': label});
  const ticks = (axis) => (axis.isLog ? logTicks(axis.range) : linearTicks(axis.range));
  let after = -Infinity;
  for (const value of ticks(across)) {
    const at = x(value);
    picture.append(svg('line', {class: 'grid', x1: at, x2: at, y1: top, y2: height - bottom}));
    const text = across.text(value);
    if (at - 3.5 * text.length < after) continue;
    after = at + 3.5 * text.length + 6;
    picture.append(svg('text', {x: at, y: height - bottom + 17, 'text-anchor': 'middle'}, text));
  }
  for (const value of ticks(up)) {
    const at = y(value);
    picture.append(svg('line', {class: 'grid', x1: left, x2: width - right, y1: at, y2: at}));
    picture.append(svg('text', {x: left - 6, y: at + 4, 'text-anchor': 'end'}, up.text(value)));
  }
  picture.append(
    svg('text', {class: 'axis', x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle'}, across.words),
    svg('text', {class: 'axis', transform: `rotate(-90 12 ${(top + height - bottom) / 2})`, x: 12, y: (top + height - bottom) / 2 + 4, 'text-anchor': 'middle'}, up.words));
  return {picture, x, y};
}

const MARKERS = {
  o: 'M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z', s: 'M-4.5,-4.5H4.5V4.5H-4.5Z', D: 'M0,-6L6,0L0,6L-6,0Z',
  '^': 'M0,-6L5.5,4.5H-5.5Z', v: 'M0,6L5.5,-4.5H-5.5Z', '<': 'M-6,0L4.5,-5.5V5.5Z', '>': 'M6,0L-4.5,-5.5V5.5Z',
  P: 'M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z', X: 'M-5,-2.5L-2.5,-5L0,-2.5L2.5,-5L5,-2.5L2.5,0L5,2.5L2.5,5L0,2.5L-2.5,5L-5,2.5L-2.5,0Z',
  h: 'M6,0L3,5.2H-3L-6,0L-3,-5.2H3Z', '*': 'M0,-7L2,-2H7L3,1L5,6L0,3L-5,6L-3,1L-7,-2H-2Z',
};

const marker = (shape, colour, x, y, css) =>
  svg('path', {class: css, d: MARKERS[shape] || MARKERS.o, fill: colour, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`});
