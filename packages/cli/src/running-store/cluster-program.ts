/** Commands for a store on several machines: whether a database is fit for it, the way there and back, and after a rollback. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { SETTINGS } from "@hayloft/node/config/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { CheckFinding } from "@hayloft/engine/sql/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { initCluster, leaveCluster, type InitOptions, type LeaveOptions } from "./cluster-conversion.js"
import { group, numberOf, withJson, withLocked, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { reconcileCommand, type ReconcileOptions } from "./reconcile-command.js"
import { labelled, printable } from "../text.js"

const URL_VARIABLE = SETTINGS.cluster.environment

interface DatabaseOptions {
  readonly databaseUrlFile?: string
}

interface CheckDatabaseOptions extends OutputOptions, DatabaseOptions {
  readonly rounds?: string
}

export function addClusterCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const cluster = group(program, "cluster").description("a store on several machines")
  addReconcileCommand(cluster, io, signal)
  withJson(cluster.command("check-database"))
    .description(
      "whether metadata may be kept in a database that speaks PostgreSQL's protocol; exit code 1 if writes could be lost or races have two winners",
    )
    .argument("[URL]", `postgres://USER:PASSWORD@HOST:PORT/NAME (default: ${URL_VARIABLE})`)
    .option("--database-url-file <FILE>", "a file that contains the URL, so that no process list shows it")
    .option("--rounds <NUMBER>", "rounds of each race (default: as many as fit into 20 seconds)")
    .action((url: string | undefined, options: CheckDatabaseOptions) => checkDatabaseCommand(io, url, options, signal))
  withStore(cluster.command("init"))
    .description("move the metadata of a running store on one machine to an empty database; clients work meanwhile")
    .argument("[URL]", `postgres://USER:PASSWORD@HOST:PORT/NAME (default: ${URL_VARIABLE})`)
    .option("--database-url-file <FILE>", "a file that contains the URL, so that no process list shows it")
    .option(`--node <${SETTINGS.node.value}>`, "name of the node that the process becomes (default: the host name)")
    .option(`--zone <${SETTINGS.zone.value}>`, "what fails together with this node")
    .option(`--machine <${SETTINGS.machine.value}>`, "name of the machine (default: the node's name)")
    .option(`--node-listen <${SETTINGS.nodeListen.value}>`, "address for the other nodes")
    .option(`--node-address <${SETTINGS.nodeAddress.value}>`, "where the other nodes reach this one")
    .action(async (url: string | undefined, options: DatabaseOptions & InitOptions) =>
      initCluster(io, await databaseUrl(io, url, options), options, signal),
    )
  withLocked(withStore(cluster.command("leave")))
    .description(
      "move the metadata back to the devices of the only node that is left; requests wait or fail with 503 meanwhile",
    )
    .action((options: LeaveOptions) => leaveCluster(io, options, signal))
}

const REPORT_NAME = "hayloft-reconcile.jsonl"

function addReconcileCommand(cluster: Command, io: CliIo, signal: AbortSignal): void {
  withStore(cluster.command("reconcile"))
    .description(
      "after the database was restored, or has failed over with a loss: compare it with the bytes on all devices, put back what is certain, list the rest, and let the store go on",
    )
    .option("--without <DEVICE...>", "go on without a device that is out of reach, given by its id")
    .option("--report <FILE>", `where the list is written (default: ${REPORT_NAME})`)
    .option("--yes", "carry out the plan without asking")
    .action((options: ReconcileOptions) => reconcileCommand(io, { report: REPORT_NAME, ...options }, signal))
}

async function checkDatabaseCommand(
  io: CliIo,
  argument: string | undefined,
  options: CheckDatabaseOptions,
  signal: AbortSignal,
): Promise<void> {
  const url = await databaseUrl(io, argument, options)
  const rounds = options.rounds === undefined ? undefined : roundsOf(options.rounds)
  // Loaded on demand, because no other command talks to a database.
  const { checkDatabase, maskedUrl } = await import("@hayloft/engine/sql/index.js")
  if (options.json !== true) await io.out(`${printable(maskedUrl(url))}\n`)
  const { isSafe, sentence, trouble } = await checkDatabase({
    url,
    rounds,
    clock: io.clock,
    random: new RealRandom(),
    signal,
    onFinding: finding => answer(io, options, finding, findingText(finding)),
  })
  await answer(io, options, { isSafe, verdict: sentence }, `\n${printable(sentence)}\n`)
  if (!isSafe) throw new CliError(trouble ?? "failed", sentence)
}

const LEVELS = { ok: "ok", warn: "warn", fail: "FAIL", unknown: "unknown" } as const

function findingText({ level, found, meaning }: CheckFinding): string {
  return `${labelled(LEVELS[level], printable(meaning === undefined ? found : `${found}: ${meaning}`))}\n`
}

function roundsOf(text: string): number {
  const rounds = numberOf(text, "--rounds")
  if (Number.isSafeInteger(rounds) && rounds > 0) return rounds
  throw new CliError("usage", "--rounds must be a whole number above 0")
}

async function databaseUrl(
  io: CliIo,
  argument: string | undefined,
  { databaseUrlFile }: DatabaseOptions,
): Promise<string> {
  if (argument !== undefined && databaseUrlFile !== undefined)
    throw new CliError("usage", "pass the URL, or --database-url-file, not both")
  const inFile = databaseUrlFile === undefined ? undefined : await readUrl(resolve(io.workingFolder, databaseUrlFile))
  const url = (argument ?? inFile ?? io.environment[URL_VARIABLE] ?? "").trim()
  if (/^postgres(ql)?:\/\//.test(url)) return url
  // The text may contain a password.
  const what = url === "" ? "no database URL" : "the database URL does not begin with postgres://"
  throw new CliError("usage", `${what}; pass it as an argument, in --database-url-file or in ${URL_VARIABLE}`)
}

async function readUrl(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch {
    throw new CliError("notFound", `cannot read ${path}`)
  }
}
