/** The sample of a feature: no store of the product has it. */
export { SAMPLE } from "./feature.js"
