// Any other table of class "sortable" sorts by a click on the head of a column.

function cellValue(row, index) {
  const cell = row.cells[index];
  if (!cell) return '';
  const text = cell.textContent.trim();
  if (text === '' || text === UNKNOWN) return null;
  const found = text.match(/^([−-]?[\d,]+(?:\.\d+)?)\s*(?:([GMkmµnp]?)(?:Js|s|J|B|W|MAC)$|[×%]|mm²|$)/);
  if (!found) return text;
  const scale = {G: 1e9, M: 1e6, k: 1e3, m: 1e-3, 'µ': 1e-6, n: 1e-9, p: 1e-12}[found[2]] || 1;
  return scale * Number(found[1].replaceAll(',', '').replace('−', '-'));
}

for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const before = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    head.setAttribute('aria-sort', 'none');
    const button = html('button', {type: 'button', class: 'sort', title: 'click to sort'}, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const was = head.getAttribute('aria-sort');
      heads.forEach((each) => each.setAttribute('aria-sort', 'none'));
      const now = {none: 'ascending', ascending: 'descending', descending: 'none'}[was];
      head.setAttribute('aria-sort', now);
      const direction = now === 'ascending' ? 1 : -1;
      const rows = now === 'none' ? before : [...before].sort((a, b) => {
        const [left, right] = [cellValue(a, index), cellValue(b, index)];
        if (left === null) return right === null ? 0 : 1;
        if (right === null) return -1;
        const isNumber = typeof left === 'number' && typeof right === 'number';
        return direction * (isNumber ? left - right : String(left).localeCompare(String(right), 'en', {numeric: true}));
      });
      body.append(...rows);
    });
  });
}
