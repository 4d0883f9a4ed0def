// A mask: its density in cells, and one part of it with its vectors in their lengths.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const digits = (text) => Array.from(text, (character) => DIGITS.indexOf(character));

function densityPicture(picture) {
  const [rows, cols] = picture.cells;
  const canvas = html('canvas', {width: cols, height: rows, class: 'density', role: 'img',
    'aria-label': `Density of the mask in ${rows} × ${cols} cells; the densest keeps ${percent(picture.top)}`});
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(cols, rows);
  digits(picture.density).forEach((level, i) => {
    const share = level / 63;
    // From nearly white to the blue of compute: darker is denser, on any paper.
    pixels.data.set([247 - 247 * share, 251 - 160 * share, 255 - 110 * share, 255], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
  return html('figure', {}, canvas,
    html('figcaption', {}, `Density in ${rows}×${cols} cells: white keeps nothing, the darkest keeps ${percent(picture.top)}.`));
}

function partPicture(picture) {
  const [firstRow, firstCol, rows, cols] = picture.part;
  const numbers = digits(picture.vectors);
  const isVertical = picture.orientation === 'vertical';
  const lengths = new Map();
  const rects = [];
  for (let i = 0; i < numbers.length; i += 3) {
    const [line, start, more] = numbers.slice(i, i + 3);
    const length = more + 1;
    lengths.set(length, (lengths.get(length) || 0) + 1);
    const box = isVertical ? {x: line, y: start, width: 1, height: length} : {x: start, y: line, width: length, height: 1};
    rects.push(svg('rect', {class: `v${Math.min(6, Math.floor(Math.log2(length)))}`, x: box.x + 0.08, y: box.y + 0.08,
      width: box.width - 0.16, height: box.height - 0.16, rx: 0.2}));
  }
  const way = isVertical ? 'vertical' : 'horizontal';
  const counted = [...lengths].sort((a, b) => a[0] - b[0]).map(([length, count]) => `${count} of length ${length}`);
  const cut = picture.orientation ? `cut into ${way} vectors: ${counted.join(', ') || 'none'}.` :
    'weight by weight, because this machine does not use vectors.';
  const words = `Rows ${firstRow}–${firstRow + rows - 1}, columns ${firstCol}–${firstCol + cols - 1} keep ${percent(picture.partDensity)}, ${cut}`;
  return html('figure', {},
    svg('svg', {class: 'part', viewBox: `0 0 ${cols} ${rows}`, role: 'img', 'aria-label': words},
      svg('rect', {class: 'ground', width: cols, height: rows}), rects),
    html('figcaption', {}, words));
}

// Entries of each PE row, beside their mean.
function loadPicture(load) {
  const most = Math.max(...load);
  if (!most) return null;
  const mean = load.reduce((all, each) => all + each, 0) / load.length;
  const bars = load.map((each, i) => svg('rect', {x: i + 0.1, width: 0.8, y: 100 - 95 * each / most, height: 95 * each / most}));
  const words = `Entries of each of ${load.length} PE rows. The heaviest has ${fixed(most / mean, 2)} times the mean, which the line marks.`;
  return html('figure', {},
    svg('svg', {class: 'load', viewBox: `0 0 ${load.length} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words}, bars,
      svg('line', {x1: 0, x2: load.length, y1: 100 - 95 * mean / most, y2: 100 - 95 * mean / most})),
    html('figcaption', {}, words));
}
