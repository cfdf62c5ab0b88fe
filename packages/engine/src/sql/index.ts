/** SQL: metadata in a transactional database, shared by several processes. */
export { SqlMetadata } from "./sql-metadata.js"
export { Postgres } from "./postgres/postgres.js"
export { checkDatabase } from "./check/check-database.js"
export type { CheckFinding } from "./check/finding.js"
export { maskedUrl, withoutPasswords } from "./postgres/url.js"
export { StoreDatabase } from "./store-database.js"
