/** Text for people: sizes, times, columns, shell quoting. Pure. */
export { countText, durationText, figureText, latencyText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
export { labelled, printable, rowsText, shellWord, tableText, timeText } from "@hayloft/base/text/report-text.js"
