/** Filters that the server brings. */
export { builtInFilter } from "./built-in.js"
