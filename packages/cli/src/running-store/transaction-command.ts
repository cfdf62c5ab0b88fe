/**
 * `hayloft transaction`: sends the JSON of a transaction, from a file or standard input, and prints what each operation has done.
 * A token that the document lacks is added, so that the request can be repeated after a broken connection.
 */
import type { Command } from "commander"
import type { TransactionEntry } from "@hayloft/client/index.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { readDocument } from "../document-file.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { withS3, type StoreOptions } from "../stores.js"
import { printable, tableText } from "../text.js"

const TOKEN_BYTES = 16
const HINT = "; docs/guide/transactions.md shows how one is written"

export function addTransactionCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("transaction"))
    .description("do the puts, deletes, renames and checks of a JSON document, of any buckets: all of them, or none")
    .argument("<FILE>", "- for standard input")
    .action((file: string, options: StoreOptions & OutputOptions) => transactionCommand(io, file, options, signal))
}

async function transactionCommand(
  io: CliIo,
  file: string,
  options: StoreOptions & OutputOptions,
  signal: AbortSignal,
): Promise<void> {
  const { token, operations } = documentOf(await readDocument(io, file, HINT))
  await withS3(io, options, signal, async client => {
    const results = await client.transaction(operations, { token })
    const rows = results.map((result, number) => [
      String(number + 1),
      Object.keys(operations[number] ?? {})[0] ?? "",
      result.etag ?? "",
      result.versionId ?? "",
      result.deleteMarker === true ? "delete marker" : "",
    ])
    const shown = rows.map(row => row.map(printable))
    await answer(io, options, { token, results }, tableText(["OPERATION", "KIND", "ETAG", "VERSION", ""], shown))
  })
}

/** The store checks what the operations say. Throws a `CliError`. */
function documentOf(document: unknown): {
  readonly token: string
  readonly operations: readonly TransactionEntry[]
} {
  if (typeof document !== "object" || document === null || !("operations" in document))
    throw new CliError("usage", `the document has no operations${HINT}`)
  const { operations } = document
  if (!Array.isArray(operations)) throw new CliError("usage", `operations must be a list${HINT}`)
  const token = "token" in document ? document.token : hexOf(new RealRandom().bytes(TOKEN_BYTES))
  if (typeof token !== "string") throw new CliError("usage", `token must be text${HINT}`)
  return { token, operations: operations.map(parseOperation) }
}

/** An operation of any kind: the store refuses unknown ones, with their number. */
const parseOperation = (operation: unknown): TransactionEntry => operation as TransactionEntry
