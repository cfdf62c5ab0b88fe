/** Tables of users: files of keys and values that never change. */
export { buildTable, type BuildOptions, type InputRow } from "./build-table.js"
export { keyText, textOf } from "./contract.js"
export type { TableKey, TableRange, TableRow, TableStat, ValueKind } from "./contract.js"
export { FILE_LIMITS, TABLE_FILE_LIMITS } from "./limits.js"
export { TableFile, type OpenTableOptions } from "./table-file.js"
export { TableStream } from "./table-stream.js"
export { TEXT_FORMATS, type TextFormat } from "./text-core.js"
export { textRows } from "./text-rows.js"
