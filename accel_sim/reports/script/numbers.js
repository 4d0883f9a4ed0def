// Figures as people read them, as in number_text.py.

const UNKNOWN = '–';
const whole = (value) => Math.round(value).toLocaleString('en-US');

function fixed(value, digits) {
  return value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

function threeDigits(value) {
  const size = Math.abs(value);
  return fixed(value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

function quantity(value, unit) {
  if (value === null || value === undefined) return UNKNOWN;
  if (!value) return `0 ${unit}`;
  const prefixes = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, ''], [1e-3, 'm'], [1e-6, 'µ'], [1e-9, 'n']];
  const rounded = Number(value.toPrecision(3));
  const [scale, prefix] = prefixes.find(([s]) => Math.abs(rounded) >= s) || [1e-12, 'p'];
  return `${threeDigits(rounded / scale)} ${prefix}${unit}`;
}

const ratio = (above, below) => (below ? above / below : null);
const percent = (value, digits = 1) => (value === null ? UNKNOWN : `${fixed(100 * value, digits)} %`);
const times = (value) => (value === null ? UNKNOWN : `${fixed(value, 2)}×`);

// A factor below 1 needs three digits to multiply by hand to the result.
const factorText = (factor) => `× ${factor < 0.9995 || factor >= 1.0005 ? fixed(factor, 3) : '1.000'}`;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
