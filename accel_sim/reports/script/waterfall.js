// From ideal to real: a line a step, whose factors multiply to the speed-up.

function stepWords(key, factor, item, phase) {
  const kept = item.size ? `The mask keeps ${percent(item.kept / item.size)} of the weights` :
    'Of all multiplications of the dense run only those of kept weights are left';
  if (key === 'kept_weights') {
    return `${kept}. If nothing else took time, this would be the speed-up.`;
  }
  if (key === 'skipped_zeros') {
    return `${percent(1 - 1 / factor)} of the multiplications of kept weights have a zero activation and are skipped.`;
  }
  if (key === 'dense_run') {
    return factor >= 1 ?
      `The run with nothing pruned does not only multiply either: it takes ${fixed(factor, 2)} times the cycles of its multiplications, so there is more to win.` :
      `The run with nothing pruned multiplies faster than this one does for as many multiplications.`;
  }
  const index = phase.causes.findIndex((cause) => cause.key === key);
  const cycles = item.causes[index];
  return `${capital(phase.causes[index].words)}: ${whole(cycles)} cycles, ${percent(cycles / item.cycles)} of all.`;
}

const STEP_TITLES = {
  kept_weights: 'Kept weights', skipped_zeros: 'Skipped zeros', dense_run: 'The dense run loses too',
};

function waterfallTable(item, phase) {
  if (!item.steps) {
    return html('p', {}, 'There is no run with nothing pruned to compare with, or nothing was multiplied.');
  }
  const most = Math.max(1, ...item.steps.map(([, , speedup]) => speedup));
  let before = 1;
  const rows = item.steps.map(([key, factor, after]) => {
    const cause = phase.causes.find((each) => each.key === key);
    const [low, high] = [Math.min(before, after), Math.max(before, after)];
    const bar = svg('svg', {class: 'step', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
      svg('rect', {class: 'rest', x: 0, width: 100 * low / most, height: 10}),
      svg('rect', {
        class: after < before ? 'lost' : 'won', x: 100 * low / most, width: 100 * (high - low) / most,
        height: 10, fill: after < before && cause ? cause.colour : null,
      }));
    before = after;
    return html('tr', {},
      html('th', {scope: 'row'}, STEP_TITLES[key] || (cause ? cause.title : key),
        html('span', {class: 'words'}, stepWords(key, factor, item, phase))),
      html('td', {class: 'draws'}, bar),
      html('td', {class: 'number'}, factorText(factor)),
      html('td', {class: 'number'}, times(after)));
  });
  const last = html('tr', {class: 'sum'},
    html('th', {scope: 'row'}, 'What you get'),
    html('td', {class: 'draws'}, svg('svg', {class: 'step', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
      svg('rect', {class: 'result', width: 100 * before / most, height: 10}))),
    html('td', {}), html('td', {class: 'number'}, times(before)));
  return html('table', {class: 'waterfall'},
    html('thead', {}, html('tr', {}, html('th', {scope: 'col'}, 'step'), html('th', {scope: 'col', class: 'draws'}, 'speed-up, drawn'),
      html('th', {scope: 'col', class: 'number'}, 'factor'), html('th', {scope: 'col', class: 'number'}, 'speed-up'))),
    html('tbody', {}, rows, last));
}
