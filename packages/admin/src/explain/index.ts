/** The meanings of codes, and what to do about them. */
export { APIS, ERROR_CODES, kindsOf } from "./error-codes.js"
export { allCodes, explain, FAILURE_TEXTS, LOG_TEXTS, similarCodes, type Explanation } from "./explain.js"
