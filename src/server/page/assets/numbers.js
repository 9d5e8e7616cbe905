// Formats numbers for display.

/** A width with at most three decimals. */
export const width = (value) => String(Math.round(value * 1000) / 1000);

/** A share as a percentage with one decimal. Values near 0 and 1 are not rounded to 0 % and 100 %. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share >= 0.9995) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** A duration in milliseconds, with up to three digits and a suitable unit. */
export function duration(ms) {
  if (ms >= 1000) return `${three(ms / 1000)} s`;
  return ms >= 0.1 ? `${three(ms)} ms` : `${three(ms * 1000)} µs`;
}

/** A file size in KB or MB. */
export const bytes = (count) => (count < 1e6 ? `${Math.ceil(count / 1e3)} KB` : `${(count / 1e6).toFixed(1)} MB`);

/** A count with thousands separators. */
export const count = (value) => Math.round(value).toLocaleString("en");

/** A number with up to three significant digits, or all digits of its integer part. */
export function three(value) {
  if (value >= 100 || value === 0) return Math.round(value).toString();
  return value.toPrecision(value >= 10 ? 3 : 2);
}
