/**
 * The interface that the npm package offers to programs as `hayloft/table`; declarations/table.d.ts describes it for
 * their compilers.
 */
import { fail } from "@hayloft/base/failures.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { buildTable as build, type BuildOptions, type InputRow } from "./build-table.js"
import { keyBytes, type TableKey } from "./contract.js"
import { TableFile, type OpenTableOptions } from "./table-file.js"

/** A key and its value: a text, bytes, or what `JSON.stringify` takes, as `values` says. */
type Pair = readonly [key: TableKey, value: unknown]

const BATCH_ROWS = 1_000

/** Throws `invalidArgument` for a value of another kind. */
function valueBytes(value: unknown, values: BuildOptions["values"]): Uint8Array {
  if (values === "bytes" && value instanceof Uint8Array) return value
  if (values === "text" && typeof value === "string") return Buffer.from(value, "utf8")
  const text: unknown = values === "json" ? JSON.stringify(value) : undefined
  if (typeof text === "string") return Buffer.from(text, "utf8")
  throw fail("invalidArgument", { message: `a value is no ${values === "bytes" ? "Uint8Array" : values}` })
}

async function* batchesOf(
  source: Iterable<Pair> | AsyncIterable<Pair>,
  values: BuildOptions["values"],
): AsyncGenerator<readonly InputRow[]> {
  let rows: InputRow[] = []
  let line = 0
  for await (const [key, value] of source) {
    line += 1
    rows.push({ key: keyBytes(key), value: valueBytes(value, values), line })
    if (rows.length < BATCH_ROWS) continue
    yield rows
    rows = []
  }
  yield rows
}

export const openTable = (path: string, options: OpenTableOptions = {}): Promise<TableFile> =>
  TableFile.open(new RealDisk(), path, options)

export const buildTable = (
  path: string,
  source: Iterable<Pair> | AsyncIterable<Pair>,
  options: BuildOptions,
): Promise<void> =>
  build({ disk: new RealDisk(), random: new RealRandom() }, path, batchesOf(source, options.values), options)
