// Numbers from samples.

/** The value below which `share` of the samples lie, by nearest rank. */
export function quantile(samples, share) {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

export const median = (samples) => quantile(samples, 0.5);

/** Three significant digits. */
export const round = (value) => Number(value.toPrecision(3));

export const geometricMean = (samples) => Math.exp(samples.reduce((sum, sample) => sum + Math.log(sample), 0) / samples.length);
