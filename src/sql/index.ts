/** SQL: metadata in a transactional database, shared by several processes. */
export { SqlMetadata } from "./sql-metadata.js"
export { Postgres } from "./postgres/postgres.js"
