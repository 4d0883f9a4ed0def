// What each unit did while one matrix ran: a track a unit, a slice a state.

const OTHER_STATES = {busy: '#0072B2', idle: null};

function timelineFigure(timeline, phase) {
  const {first, last, tracks, states} = timeline;
  const colour = (state) => {
    if (state in OTHER_STATES) return OTHER_STATES[state];
    const cause = phase.causes.find((each) => each.key === state);
    return cause ? cause.colour : '#999999';
  };
  const rows = tracks.map((track) => {
    const slices = track.slices.map(([start, cycles, number]) => {
      const fillColour = colour(states[number]);
      if (!fillColour) return null;
      return withTip(svg('rect', {x: start - first, width: cycles, height: 10, fill: fillColour}), () => [
        `${track.name}: ${states[number].replaceAll('_', ' ')}`, `cycles ${whole(start)} to ${whole(start + cycles)}`]);
    });
    return html('tr', {}, html('th', {scope: 'row'}, track.name),
      html('td', {class: 'draws'}, svg('svg', {class: 'track', viewBox: `0 0 ${last - first} 10`, preserveAspectRatio: 'none',
        role: 'img', 'aria-label': `${track.name}: ${track.slices.length} slices`}, slices)));
  });
  const used = states.filter((state) => colour(state));
  return html('figure', {class: 'timeline'}, html('table', {}, html('tbody', {}, rows)),
    html('p', {class: 'ends'}, html('span', {}, `cycle ${whole(first)}`), html('span', {}, whole(last))),
    html('ul', {class: 'legend short'}, used.map((state) => html('li', {},
      svg('svg', {class: 'key', viewBox: '0 0 1 1', 'aria-hidden': 'true'}, svg('rect', {width: 1, height: 1, fill: colour(state)})),
      state.replaceAll('_', ' ')))),
    html('figcaption', {}, timeline.words));
}
