/**
 * The commands for coordination: `coord locks`, `files`, `get`, `put`, `remove` and `follow`; and `lock`. They are requests of
 * `/coord/`, with a key or a token, and not operations of the admin API.
 */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { CoordClient, type CoordLock } from "@hayloft/client/index.js"
import { CliError, messageOf, ProgramEnded } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { group, numberOf, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { coordAccess, type StoreOptions } from "../stores.js"
import { printable, sizeText, tableText } from "../text.js"

interface CoordOptions extends StoreOptions, OutputOptions {}

interface PutOptions extends CoordOptions {
  readonly ifVersion?: string
  readonly new?: true
  readonly fence?: string
}

interface LockOptions extends CoordOptions {
  readonly shared?: true
  readonly wait?: string | true
  readonly value?: string
  readonly lease?: string
  readonly grace?: string
}

export function addCoordCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const coord = group(program, "coord").description("locks and small files that programs coordinate with")
  const of = (name: string, text: string) => withStore(coord.command(name)).description(text)
  of("locks", "locks below a prefix, with who holds them")
    .argument("<NAMESPACE/PREFIX/>")
    .action((prefix: string, options: CoordOptions) => locks(io, prefix, options, signal))
  of("files", "small files below a prefix")
    .argument("<NAMESPACE/PREFIX/>")
    .action((prefix: string, options: CoordOptions) => files(io, prefix, options, signal))
  of("get", "write a small file to standard output")
    .argument("<PATH>")
    .action(async (path: string, options: CoordOptions) => {
      const found = await withCoord(io, options, signal, client => client.read(path))
      if (found === undefined) throw new CliError("notFound", `the file ${path} does not exist`)
      await io.out(found.content)
    })
  of("put", "write a small file")
    .argument("<PATH>")
    .argument("<FILE>", "- for standard input")
    .option("--if-version <NUMBER>", "only if this version is there")
    .option("--new", "only if there is no file yet")
    .option("--fence <FENCE>", "only while the lock is held with this fence")
    .action((path: string, file: string, options: PutOptions) => put(io, { path, file }, options, signal))
  of("remove", "delete a small file")
    .argument("<PATH>")
    .action(async (path: string, options: CoordOptions) => {
      await withCoord(io, options, signal, client => client.remove(path))
      await answer(io, options, { path, deleted: true }, `deleted ${path}\n`)
    })
  of("follow", "print changes of locks and files below a prefix, as they come")
    .argument("<NAMESPACE/PREFIX/>")
    .action((prefix: string, options: CoordOptions) => follow(io, prefix, options, signal))
  withStore(program.command("lock"))
    .description("run a program while this holds a lock; it ends the program if the lock is lost")
    .argument("<PATH>", "of the lock: NAMESPACE/NAME")
    .argument(
      "<COMMAND...>",
      "after --: the program and its arguments; HAYLOFT_FENCE in its environment is the fence to send with its writes",
    )
    .option("--shared", "others may hold the lock as shared, too")
    .option(
      "--wait [SECONDS]",
      "wait until the lock is free, perhaps for so long; otherwise exit code 6 tells that it is held",
    )
    .option("--value <TEXT>", "what others see of the holder")
    .option("--lease <SECONDS>", "how long the lock is safe without contact to the store (12)")
    .option("--grace <SECONDS>", "how much longer it is kept for this program (8)")
    .action((path: string, command: readonly string[], options: LockOptions) =>
      runLocked(io, { path, command }, options, signal),
    )
}

async function withCoord<T>(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
  use: (client: CoordClient) => Promise<T>,
): Promise<T> {
  const client = new CoordClient(await coordAccess(io, options), io.clock, signal)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

async function locks(io: CliIo, prefix: string, options: CoordOptions, signal: AbortSignal): Promise<void> {
  const found = await withCoord(io, options, signal, client => client.locks(prefix))
  const rows = found.flatMap(({ path, mode, holders, waiting }) =>
    holders.map(({ session, token, value }) => [
      path,
      mode ?? "",
      session,
      String(token),
      printable(value),
      waiting.length === 0 ? "" : String(waiting.length),
    ]),
  )
  const table = tableText(["lock", "mode", "session", "token", "value", "waiting"], rows)
  await answer(io, options, { locks: found }, found.length === 0 ? "nobody holds a lock there\n" : table)
}

async function files(io: CliIo, prefix: string, options: CoordOptions, signal: AbortSignal): Promise<void> {
  const found = await withCoord(io, options, signal, async client => {
    const all = []
    for await (const file of client.files(prefix)) all.push(file)
    return all
  })
  const rows = found.map(({ path, version, bytes, session }) => [path, String(version), sizeText(bytes), session ?? ""])
  const table = tableText(["file", "version", "bytes", "session"], rows)
  await answer(io, options, { files: found }, found.length === 0 ? "there are no files\n" : table)
}

async function bytesOf(io: CliIo, file: string): Promise<Uint8Array> {
  if (file !== "-") return readFile(resolve(io.workingFolder, file))
  const pieces: Uint8Array[] = []
  for await (const piece of io.input) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function put(
  io: CliIo,
  { path, file }: { readonly path: string; readonly file: string },
  options: PutOptions,
  signal: AbortSignal,
): Promise<void> {
  const { ifVersion, new: isNew, fence } = options
  const conditions = {
    ...(ifVersion !== undefined && { ifVersion: numberOf(ifVersion, "--if-version") }),
    ...(isNew === true && { isNew }),
    ...(fence !== undefined && { fence }),
  }
  const content = await bytesOf(io, file)
  const version = await withCoord(io, options, signal, client => client.write(path, content, conditions))
  await answer(io, options, { path, version }, `${path} has the version ${version}\n`)
}

async function follow(io: CliIo, prefix: string, options: CoordOptions, signal: AbortSignal): Promise<void> {
  await withCoord(io, options, signal, async client => {
    let { upTo } = await client.changes(prefix)
    while (!signal.aborted) {
      const page = await client.changes(prefix, upTo)
      if (page.isReset) io.error("some changes are not kept any more: list the files and locks\n")
      for (const change of page.changes)
        await answer(io, options, change, `${change.number}  ${change.kind.padEnd(8)}  ${change.path}\n`)
      upTo = page.upTo
    }
  })
}

/** The program is killed so long after SIGTERM at the latest, and this margin before another session can get the lock. */
const KILL_MS_MAX = 10_000
const KILL_MARGIN_MS = 500

/** Throws `ProgramEnded` with the exit code of the program, unless that is 0. */
async function runLocked(
  io: CliIo,
  { path, command }: { readonly path: string; readonly command: readonly string[] },
  options: LockOptions,
  signal: AbortSignal,
): Promise<void> {
  const { shared, wait, value = "", lease, grace } = options
  await withCoord(io, options, signal, async client => {
    const session = await client.begin({
      name: `${io.hostName}: ${command.join(" ")}`.slice(0, 100),
      ...(lease !== undefined && { leaseSeconds: numberOf(lease, "--lease") }),
      ...(grace !== undefined && { graceSeconds: numberOf(grace, "--grace") }),
    })
    try {
      const waitSeconds = wait === undefined ? 0 : wait === true ? Infinity : numberOf(wait, "--wait")
      const mode = shared === true ? "shared" : "exclusive"
      const lock = await session.acquire(path, { mode, value, waitSeconds })
      if (lock === undefined) throw new CliError("conflict", `another session holds the lock ${path}`)
      const killAfterMs = Math.min(KILL_MS_MAX, Math.max(0, session.graceMs - KILL_MARGIN_MS))
      await runWith(io, lock, command, signal, killAfterMs)
    } finally {
      await session.end().catch((error: unknown) => {
        io.error(`hayloft: the session ends by itself: ${messageOf(error)}\n`)
      })
    }
  })
}

async function runWith(
  io: CliIo,
  lock: CoordLock,
  command: readonly string[],
  signal: AbortSignal,
  killAfterMs: number,
): Promise<void> {
  const variables = { HAYLOFT_FENCE: lock.fence, HAYLOFT_LOCK: lock.path }
  const code = await io.programs.run(command, variables, lock.signal, killAfterMs)
  if (lock.signal.aborted && !signal.aborted)
    throw new CliError(
      "failed",
      `the lock ${lock.path} was lost, and the program was ended: its last writes may be missing`,
    )
  if (code !== 0) throw new ProgramEnded(code)
}
