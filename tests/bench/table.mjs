// Tables for a terminal.

/** Three significant digits; a dash for what is not known. */
export const cell = (value) => (value === undefined ? "-" : value >= 1000 ? value.toFixed(0) : value.toPrecision(3));

/** Rows under a head, columns aligned: the first to the left, the others to the right. */
export function table(head, rows) {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (row) => row.map((text, column) => (column === 0 ? text.padEnd(widths[0]) : text.padStart(widths[column]))).join("  ");
  return [head, ...rows].map(line).join("\n");
}
