/** The metadata store of a device: sorted tables. */
export { TableStores } from "./stores.js"
export { TABLE_LIMITS, WRITER_OPTIONS } from "./limits.js"
