/** Tables of users: files of keys and values that never change. */
export { buildTable } from "./build-table.js"
export { textOfBytes } from "./contract.js"
export type { TableRow, TableStat } from "./contract.js"
export { TableFile } from "./table-file.js"
export { TableStream } from "./table-stream.js"
export { TEXT_FORMATS, type TextFormat } from "./text-core.js"
export { textRows } from "./text-rows.js"
