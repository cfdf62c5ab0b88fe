/** Transactions: several operations of one moment, or none of them. */
export type * from "./contract.js"
export { TRANSACTIONS, transactionsOf } from "./feature.js"
