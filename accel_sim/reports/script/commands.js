// A button beside each command that copies it.

function copyButton(text) {
  const button = html('button', {type: 'button', class: 'copy', 'aria-label': 'Copy the command'}, 'Copy');
  button.addEventListener('click', async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = html('textarea', {'aria-hidden': 'true'});
      area.value = text;
      document.body.append(area);
      area.select();
      copied = document.execCommand('copy');
      area.remove();
      button.focus();
    }
    button.textContent = copied ? 'Copied' : 'Select and copy it by hand';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return button;
}

const commandBox = (text) => html('div', {class: 'command'}, html('code', {}, text), copyButton(text));

for (const box of document.querySelectorAll('.command')) {
  box.append(copyButton(box.querySelector('code').textContent));
}
