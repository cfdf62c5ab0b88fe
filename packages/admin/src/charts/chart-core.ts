/**
 * Charts as SVG: bars, or lines over whole numbers, with labelled axes and all values as text for screen readers.
 *
 * A chart is a tree of elements: the console renders it as its own, `svgText` makes a file of it. Text and axes have the
 * colour of the surrounding text, and the colours of series have enough contrast on white and on black, so a chart reads on
 * light and dark pages. `standalone` is for a file: it brings its own colours for both. The other form has no styles,
 * scripts or links, so that a strict Content-Security-Policy allows it.
 */

export interface SvgElement {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string | number>>
  readonly children: readonly (SvgElement | string)[]
}

interface Point {
  readonly x: number
  readonly y: number
}

export type Chart =
  | {
      readonly kind: "bars"
      readonly title: string
      /** The meaning of the numbers. */
      readonly axis: string
      readonly bars: readonly { readonly label: string; readonly value: number; readonly text: string }[]
    }
  | {
      readonly kind: "lines"
      readonly title: string
      readonly xAxis: string
      /** A chance, on a logarithmic axis from CHANCE_MIN to 1. */
      readonly yAxis: string
      readonly lines: readonly { readonly label: string; readonly points: readonly Point[] }[]
    }

/** Smaller chances are drawn at the lower edge. */
export const CHANCE_MIN = 1e-9

const WIDTH = 640
const TOP = 34
const TITLE_BASELINE = 18
/** Distance of a text from what it describes. */
const TEXT_GAP = 6
/** From an axis down to the baseline of its numbers, and of its name. */
const NUMBERS_BELOW = 18
const NAME_BELOW = 38

const BARS = { labelWidth: 120, valueWidth: 110, rowHeight: 24, barHeight: 16, barTop: 3, baseline: 15, bottom: 40 }
const LINES = { left: 70, right: WIDTH - 10, height: 220, axisNameHeight: 16, decadesPerGridLine: 3 }
const LEGEND = { columns: 3, columnWidth: 190, rowHeight: 20, below: 62, markWidth: 16, markHeight: 10 }

/** With a contrast of at least 3 on white and on black. */
const COLOURS = ["#2f7ed8", "#c8553d", "#2e8b57", "#8e63ce", "#a87900", "#c2498b", "#008b8b", "#77808c"]
const DASHES = ["none", "6 3", "2 3", "8 3 2 3"]
const STANDALONE_STYLE =
  "svg{color:#1c1e21;background:#fff}@media(prefers-color-scheme:dark){svg{color:#e8eaed;background:#16181b}}"

const element = (
  tag: string,
  attributes: SvgElement["attributes"],
  ...children: SvgElement["children"]
): SvgElement => ({ tag, attributes, children })

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`).replace(/[\x00-\x08\x0b-\x1f\x7f]/g, " ")

/** Names of elements and attributes are of this module; all else is escaped. */
export function svgText({ tag, attributes, children }: SvgElement): string {
  const pairs = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
  const inner = children.map(child => (typeof child === "string" ? escaped(child) : svgText(child)))
  return `<${tag}${pairs.join("")}>${inner.join("")}</${tag}>`
}

const rounded = (value: number): number => Math.round(value * 100) / 100

const textAt = (x: number, y: number, text: string, anchor: "start" | "middle" | "end" = "start"): SvgElement =>
  element("text", { x: rounded(x), y: rounded(y), "text-anchor": anchor }, text)

const lineAt = (x1: number, y1: number, x2: number, y2: number): SvgElement =>
  element("line", {
    x1: rounded(x1),
    y1: rounded(y1),
    x2: rounded(x2),
    y2: rounded(y2),
    stroke: "currentColor",
    "stroke-opacity": 0.35,
  })

const headingOf = (title: string): SvgElement => element("g", { "font-weight": 600 }, textAt(0, TITLE_BASELINE, title))

/** Charts below one another, in one picture. */
export function chartsSvg(
  charts: readonly Chart[],
  { standalone = false }: { readonly standalone?: boolean } = {},
): SvgElement {
  const parts = charts.map(chart => (chart.kind === "bars" ? barsOf(chart) : linesOf(chart)))
  let height = 0
  const body = parts.map(part => {
    const placed = element("g", { transform: `translate(0 ${height})` }, ...part.body)
    height += part.height
    return placed
  })
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: "100%",
      role: "img",
      "font-family": "system-ui, sans-serif",
      "font-size": 13,
      fill: "currentColor",
    },
    element("title", {}, charts.map(chart => chart.title).join("; ")),
    element("desc", {}, charts.map(valuesOf).join(" ")),
    ...(standalone ? [element("style", {}, STANDALONE_STYLE)] : []),
    ...body,
  )
}

/** The text alternative. */
function valuesOf(chart: Chart): string {
  if (chart.kind === "bars") {
    return `${chart.title}, ${chart.axis}: ${chart.bars.map(({ label, text }) => `${label} ${text}`).join(", ")}.`
  }
  const lines = chart.lines.map(
    ({ label, points }) => `${label}: ${points.map(({ x, y }) => `${x} ${chanceText(y)}`).join(", ")}`,
  )
  return `${chart.title}, ${chart.yAxis} by ${chart.xAxis}: ${lines.join("; ")}.`
}

/** `0`, `1.2e-7`, `0.034`. */
export function chanceText(chance: number): string {
  if (chance === 0) return "0"
  return chance < 0.001 ? chance.toExponential(1) : String(Number(chance.toPrecision(2)))
}

interface Part {
  readonly height: number
  readonly body: readonly SvgElement[]
}

const colourOf = (at: number): string => COLOURS[at % COLOURS.length] ?? "currentColor"

function barsOf({ title, axis, bars }: Chart & { kind: "bars" }): Part {
  const { labelWidth, rowHeight } = BARS
  const room = WIDTH - labelWidth - BARS.valueWidth
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const rows = bars.flatMap(({ label, value, text }, at) => {
    const y = TOP + at * rowHeight
    const length = Math.max(1, (room * value) / most)
    const size = { width: rounded(length), height: BARS.barHeight }
    return [
      textAt(labelWidth - TEXT_GAP, y + BARS.baseline, label, "end"),
      element("rect", { x: labelWidth, y: y + BARS.barTop, ...size, rx: 2, fill: colourOf(at) }),
      textAt(labelWidth + length + TEXT_GAP, y + BARS.baseline, text),
    ]
  })
  const foot = TOP + bars.length * rowHeight
  return {
    height: foot + BARS.bottom,
    body: [
      headingOf(title),
      ...rows,
      lineAt(labelWidth, TOP, labelWidth, foot),
      textAt(labelWidth, foot + NUMBERS_BELOW, axis),
    ],
  }
}

function linesOf({ title, xAxis, yAxis, lines }: Chart & { kind: "lines" }): Part {
  const { left, right, height } = LINES
  const foot = TOP + LINES.axisNameHeight + height
  const xs = lines.flatMap(({ points }) => points.map(({ x }) => x))
  const [first, last] = [Math.min(...xs), Math.max(...xs)]
  const xOf = (x: number): number => left + ((right - left) * (x - first)) / Math.max(1, last - first)
  const decades = -Math.log10(CHANCE_MIN)
  const yOf = (y: number): number => foot - height * (1 + Math.log10(Math.max(CHANCE_MIN, y)) / decades)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) =>
    textAt(xOf(first + i), foot + NUMBERS_BELOW, String(first + i), "middle"),
  )
  const drawn = lines.map(({ points }, at) =>
    element("polyline", {
      points: points.map(({ x, y }) => `${rounded(xOf(x))},${rounded(yOf(y))}`).join(" "),
      fill: "none",
      stroke: colourOf(at),
      "stroke-width": 2.5,
      "stroke-dasharray": DASHES[at % DASHES.length] ?? "none",
    }),
  )
  const legend = legendOf(lines, foot + LEGEND.below)
  return {
    height: foot + LEGEND.below + legend.height,
    body: [
      headingOf(title),
      textAt(left, TOP + 4, yAxis),
      ...chanceGrid(decades, yOf),
      ...ticks,
      textAt((left + right) / 2, foot + NAME_BELOW, xAxis, "middle"),
      ...drawn,
      ...legend.body,
    ],
  }
}

/** Horizontal lines, some decades apart, with the chances that they stand for. */
function chanceGrid(decades: number, yOf: (chance: number) => number): readonly SvgElement[] {
  const { left, right, decadesPerGridLine: step } = LINES
  return Array.from({ length: decades / step + 1 }, (_, i) => {
    const exponent = i * step
    const y = yOf(10 ** -exponent)
    const label = i === 0 ? "1" : `${exponent === decades ? "≤ " : ""}1e-${exponent}`
    return [lineAt(left, y, right, y), textAt(left - TEXT_GAP, y + 4, label, "end")]
  }).flat()
}

function legendOf(lines: readonly { readonly label: string }[], top: number): Part {
  const { columns, columnWidth, rowHeight, markWidth: width, markHeight: height } = LEGEND
  const body = lines.flatMap(({ label }, at) => {
    const [x, y] = [LINES.left + (at % columns) * columnWidth, top + Math.floor(at / columns) * rowHeight]
    return [
      element("rect", { x, y: y - height, width, height, fill: colourOf(at) }),
      textAt(x + width + TEXT_GAP, y, label),
    ]
  })
  return { height: Math.ceil(lines.length / columns) * rowHeight, body }
}
