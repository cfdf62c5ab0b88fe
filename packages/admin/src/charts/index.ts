/** Charts as SVG, for the console and for files, and the charts of a simulation. */
export { chartsSvg, svgText, type SvgElement } from "./chart-core.js"
export { simulationCharts } from "./simulation-charts-core.js"
