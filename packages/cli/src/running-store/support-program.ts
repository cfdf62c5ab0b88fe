/**
 * `hayloft support bundle`: one file for a bug report: versions, settings, what doctor finds, and what the running store
 * says about itself.
 *
 * Promises  It contains no secret: settings are shown as `hayloft config show` shows them, files are not read for their
 *           contents, and secrets that the command itself knows are hidden in every part. An existing file stays.
 * Limits    PART_BYTES_MAX a part, ANSWER_MS_MAX for the store. What is missing is named in the README of the bundle.
 */
import { readFile, writeFile } from "node:fs/promises"
import { arch, cpus, platform, release, totalmem } from "node:os"
import { resolve } from "node:path"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import type { Command } from "commander"
import { limited } from "@hayloft/base/life/index.js"
import { MIB } from "@hayloft/base/limits.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { SETTINGS, type ConfigSources, type ServeConfig } from "@hayloft/node/config/index.js"
import { inspectSources, shownSettings } from "./config-sources.js"
import { examine } from "../stopped-store/doctor-command.js"
import { messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { group, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { flagsOf, isElsewhere, localCredentials, withAdmin, type StoreOptions } from "../stores.js"
import { withoutSecrets } from "./support-secrets.js"
import { tarOf } from "./support-tar.js"
import { sizeText } from "../text.js"
import { readVersion } from "../version.js"

const PART_BYTES_MAX = 4 * MIB
const ANSWER_MS_MAX = 30_000
/** The maximum size of a file with one secret. */
const SECRET_BYTES_MAX = 4_096

/** Documents of the running store, by the name in the bundle. */
const DOCUMENTS = {
  "status.json": "/v1/status",
  "nodes.json": "/v1/nodes",
  "layout.json": "/v1/layout",
  "devices.json": "/v1/devices",
  "redundancy.json": "/v1/redundancy",
  "repair.json": "/v1/repair",
  "scrub.json": "/v1/scrub",
  "jobs.json": "/v1/jobs",
  "metrics.txt": "/metrics",
} as const

const README = `A support bundle of Hayloft: what this machine and its store are like.

It contains no secrets. It does contain names: of folders, nodes, devices and accounts, addresses, access key ids, and, if
objects are damaged, their buckets and keys. Look through it before you pass it on.

versions.json   Hayloft, Node, operating system
settings.json   settings in effect and their sources, as of hayloft config show
doctor.json     findings of hayloft doctor
status.json, nodes.json, layout.json, devices.json, redundancy.json, repair.json, scrub.json, jobs.json, metrics.txt
                answers of the admin API of the running store
`

export function addSupportCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const support = group(program, "support").description("what a bug report needs")
  withStore(support.command("bundle"))
    .description(
      "write a tar.gz with versions, settings, findings of doctor, status, layout, jobs and metrics, for a bug report; no secrets are in it",
    )
    .argument("[FILE]", "default: hayloft-support-TIME.tar.gz")
    .action((file: string | undefined, options: StoreOptions & OutputOptions) =>
      bundleCommand(io, file, options, signal),
    )
}

interface Part {
  readonly name: string
  readonly text: string
}

async function bundleCommand(
  io: CliIo,
  argument: string | undefined,
  options: StoreOptions & OutputOptions,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = io.clock.wallMs()
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, "")
  const file = resolve(io.workingFolder, argument ?? `hayloft-support-${stamp}.tar.gz`)
  const { parts, missing } = await bundleParts(io, options, signal)
  const folder = `hayloft-support-${stamp}`
  const files = parts.map(({ name, text }) => ({ name: `${folder}/${name}`, bytes: Buffer.from(text, "utf8") }))
  const bytes = await promisify(gzip)(tarOf(files, nowMs))
  await writeFile(file, bytes, { flag: "wx", mode: 0o600 })
  const without = missing.map(line => `missing: ${line}\n`).join("")
  await answer(io, options, { file, bytes: bytes.length, missing }, `${without}${file}: ${sizeText(bytes.length)}\n`)
}

async function bundleParts(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
): Promise<{ readonly parts: readonly Part[]; readonly missing: readonly string[] }> {
  const { sources, config } = await inspectSources(io, flagsOf(options), options.config)
  const secrets = await secretsOf(io, options, config)
  const parts: Part[] = [
    { name: "versions.json", text: jsonText(versions()) },
    { name: "settings.json", text: jsonText(await shownSettings(sources)) },
    { name: "doctor.json", text: jsonText(await examine(io, options, signal)) },
  ]
  const missing: string[] = []
  let isLate = false
  const late = (): Error => {
    isLate = true
    return new Error("the store is too slow")
  }
  try {
    await limited({ clock: io.clock, durationMs: ANSWER_MS_MAX, late }, [signal], either =>
      withAdmin(io, options, either, client => addDocuments(client, parts, missing)),
    )
  } catch (error) {
    signal.throwIfAborted()
    missing.push(`what the running store says: ${messageOf(error)}`)
  }
  if (isLate) missing.push(`the store did not answer within ${ANSWER_MS_MAX / 1000} s`)
  const readme = [README, ...missing.map(line => `Missing: ${line}\n`)].join("")
  const shown = await hidingIn(sources, secrets)
  const all = [{ name: "README.txt", text: readme }, ...parts]
  return { parts: all.map(({ name, text }) => ({ name, text: cut(shown(text)) })), missing: missing.map(shown) }
}

async function addDocuments(client: AdminClient, parts: Part[], missing: string[]): Promise<void> {
  for (const [name, path] of Object.entries(DOCUMENTS)) {
    // Only a store whose metadata is in a database has nodes.
    const isOnOneMachine = parts.some(part => part.name === "status.json" && !part.text.includes('\n  "database": {'))
    if (name === "nodes.json" && isOnOneMachine) continue
    try {
      const text = path.startsWith("/v1/") ? jsonText(await client.get(path)) : await client.text(path)
      parts.push({ name, text })
    } catch (error) {
      missing.push(`${name}: ${messageOf(error)}`)
    }
  }
}

/** Returns what JSON.parse and the admin API give, in lines that people can read. */
const jsonText = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

function cut(text: string): string {
  const bytes = Buffer.from(text, "utf8")
  if (bytes.length <= PART_BYTES_MAX) return text
  return `${bytes.subarray(0, PART_BYTES_MAX).toString("utf8")}\n(cut: it had ${bytes.length} bytes)\n`
}

const versions = (): object => ({
  hayloft: readVersion(),
  node: process.versions.node,
  openssl: process.versions.openssl,
  system: platform(),
  release: release(),
  architecture: arch(),
  memoryBytes: totalmem(),
  processors: { count: cpus().length, model: cpus()[0]?.model },
})

const SECRET_VARIABLES = [
  SETTINGS.rootSecretKey.environment,
  "HAYLOFT_ADMIN_TOKEN",
  "HAYLOFT_IMPORT_SECRET_KEY",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
]

/** The secrets that this command can know, so that no part shows them whatever it is made from. */
async function secretsOf(io: CliIo, options: StoreOptions, config: ServeConfig): Promise<readonly string[]> {
  const ofEnvironment = SECRET_VARIABLES.map(name => io.environment[name] ?? "")
  const ofStore = isElsewhere(io, options) ? undefined : await localCredentials(io, options).catch(() => undefined)
  const { vault } = config.keyServices
  const paths = [config.masterKeyFile, config.nextMasterKeyFile, vault?.tokenFile].filter(path => path !== undefined)
  const ofFiles = paths.map(async path => {
    const text = await readFile(path, "latin1").catch(() => "")
    return text.length > SECRET_BYTES_MAX ? "" : text.trim()
  })
  return [...ofEnvironment, ofStore?.secretAccessKey ?? "", ofStore?.adminToken ?? "", ...(await Promise.all(ofFiles))]
}

/** Also hides the passwords of database URLs, from whichever source. */
async function hidingIn(
  { flags, environment, file }: ConfigSources,
  secrets: readonly string[],
): Promise<(text: string) => string> {
  const { withoutPasswords } = await import("@hayloft/engine/sql/index.js")
  const urls = [flags.cluster?.[0], environment[SETTINGS.cluster.environment], file?.settings.cluster?.[0]]
  const known = urls.filter(url => url !== undefined)
  return text => known.reduce((shown, url) => withoutPasswords(url, shown), withoutSecrets(text, secrets))
}
