// The item that was clicked: why it takes as long, and what its mask looks like.

function drawDetail(element, item, phase) {
  const facts = detailFacts(item).map(([title, text]) => [html('dt', {}, title), html('dd', {}, text)]);
  const stack = (measure) => [
    html('p', {class: 'what'}, `${measure.words}: ${measure.text(measure.whole(item))}. ${spokenParts(item, phase, measure)}.`),
    stackedBar(item, phase, measure, measure.whole(item)),
  ];
  element.replaceChildren(...[
    html('h3', {tabindex: -1}, item.short),
    item.name === item.short ? null : html('p', {class: 'full-name'}, item.name),
    html('dl', {class: 'facts'}, facts),
    ...stack(MEASURES.cycles), ...stack(MEASURES.energy),
    item.picture ? html('div', {class: 'mask-pictures'}, densityPicture(item.picture), partPicture(item.picture)) : null,
    item.timeline ? timelineFigure(item.timeline, phase) : null,
    item.steps || phase.items.some((each) => each.steps) ? waterfallTable(item, phase) : null,
    item.load ? loadPicture(item.load) : null,
  ].filter(Boolean));
}

function detailFacts(item) {
  const found = figures.run.columns.filter((key) => key !== 'short')
    .map((key) => [COLUMNS[key].title, COLUMNS[key].text(item)]);
  return found.filter(([, text]) => text && text !== UNKNOWN);
}
