// Draws every figure that the page has a place for, and keeps them at one chosen item.

let shownPhase = null;
let chosenItem = null;

function markChosen() {
  const index = shownPhase ? String(shownPhase.items.indexOf(chosenItem)) : '';
  for (const element of document.querySelectorAll('[data-item]')) {
    element.classList.toggle('chosen', element.dataset.item === index);
  }
}

function chooseItem(item, isAsked = true) {
  chosenItem = item;
  drawDetail(place('detail'), item, shownPhase);
  markChosen();
  // Where the detail stands below and not beside, show it.
  const box = place('detail-place').getBoundingClientRect();
  if (isAsked && (box.top > window.innerHeight - 80 || box.bottom < 80)) {
    place('detail-place').scrollIntoView({block: 'start'});
    place('detail').querySelector('h3').focus({preventScroll: true});
  }
}

function showPhase(phase) {
  shownPhase = phase;
  const costliest = phase.items.reduce((most, item) => (item.cycles > most.cycles ? item : most));
  place('waterfall').replaceChildren(waterfallTable(phase.total, phase));
  drawBars(place('bars'), phase, chooseItem);
  drawItems(place('items'), phase, chooseItem);
  drawRoofline(place('roofline'), phase, chooseItem);
  chooseItem(costliest, false);
}

if (figures.run) {
  const {phases} = figures.run;
  if (phases.length > 1) {
    place('phases').append(switches('Phase', phases.map((phase) => [phase.name, capital(phase.name)]), phases[0].name,
      (name) => showPhase(phases.find((phase) => phase.name === name))));
  }
  showPhase(phases[0]);
}
(figures.scatters || []).forEach((scatter) => drawScatter(place(scatter.id), scatter));
document.documentElement.dataset.drawn = 'yes';
