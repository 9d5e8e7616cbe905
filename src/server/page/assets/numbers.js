// How numbers are written for people.

/** A width, in three digits at most. */
export const width = (value) => String(Math.round(value * 1000) / 1000);

/** A share of 1 as percents with one decimal; what is not quite nothing or not quite all is not rounded to it. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share >= 0.9995) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** Milliseconds in three digits, with a unit that suits. */
export function duration(ms) {
  if (ms >= 1000) return `${three(ms / 1000)} s`;
  return ms >= 0.1 ? `${three(ms)} ms` : `${three(ms * 1000)} µs`;
}

/** Bytes in the unit that people know from their files. */
export const bytes = (count) => (count < 1e6 ? `${Math.ceil(count / 1e3)} KB` : `${(count / 1e6).toFixed(1)} MB`);

/** A count, in groups of three digits. */
export const count = (value) => Math.round(value).toLocaleString("en");

/** A number in three digits, or all its whole ones. */
export function three(value) {
  if (value >= 100 || value === 0) return Math.round(value).toString();
  return value.toPrecision(value >= 10 ? 3 : 2);
}
