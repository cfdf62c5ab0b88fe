/**
 * `hayloft dev up|down|clean`: a store to try things with, in the background: one node, or several over a database that is there.
 * Everything is in one folder: for each node its data folders, its config file, with which every other command works, and its
 * log.
 *
 * Promises  `up` starts what does not run, and changes nothing else: settings are those of the first `up`. `down` keeps all data.
 *           `clean` removes a folder only if it holds nothing but what `up` has made.
 * Limits    DEV_LIMITS.
 */
import { mkdir, open, readFile, readdir, rm, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import type { Command } from "commander"
import { hexOf } from "@hayloft/base/bytes.js"
import { AdminClient } from "@hayloft/client/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealLocks, type FolderLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { withoutSettings } from "@hayloft/node/config/index.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, numberOf, withJson } from "./options.js"
import { answerList, type OutputOptions } from "./output.js"
import { configOf, localCredentials } from "./stores.js"
import { plural, tableText } from "./text.js"

const DEV_LIMITS = {
  nodesMax: 9,
  foldersMax: 32,
  startMs: 60_000,
  stopMs: 120_000,
  silentMs: 30_000,
  pollMs: 50,
} as const
const ZONES = ["a", "b", "c"] as const
/** The ports of each node: S3, admin, calls of other nodes. */
const PORTS_EACH = 10
const CONFIG_OF_NODE = /^(node-\d)\.json$/
const MADE_BY_UP = /^(node-\d(\.json|\.log)?|master\.key)$/

interface UpOptions extends DevOptions {
  readonly nodes: string
  readonly folders: string
  readonly port: string
  readonly redundancy?: string
  readonly database?: string
}

interface DevOptions extends OutputOptions {
  readonly folder: string
}

interface DevNode {
  readonly name: string
  readonly config: string
  readonly data: readonly string[]
}

export function addDevCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const dev = group(program, "dev").description("dev: a store in the background to try things with")
  const withFolder = (command: Command): Command =>
    withJson(command).option("--folder <DIR>", "everything is in this folder", "hayloft-dev")
  withFolder(dev.command("up"))
    .description("start it, or what does not run of it; the options below count for the first time only")
    .option("--nodes <NUMBER>", "nodes, in three zones; more than one need --database", "1")
    .option("--folders <NUMBER>", "data folders of each node", "4")
    .option("--redundancy <POLICY>", "such as replica:3 or ec:2+2")
    .option("--port <PORT>", "of S3 on the first node; 0: any free ports", "9000")
    .option("--database <URL>", "an empty PostgreSQL for the metadata of several nodes")
    .action((options: UpOptions) => new DevStore(io, options, signal).up(options))
  withFolder(dev.command("down"))
    .description("stop it and keep the data")
    .action((options: DevOptions) => new DevStore(io, options, signal).down())
  withFolder(dev.command("clean"))
    .description("stop it and remove the folder with all data")
    .action((options: DevOptions) => new DevStore(io, options, signal).clean())
}

class DevStore {
  private readonly folder: string
  private readonly locks = new RealLocks()
  /** Nodes whose process has ended although this one has just started it. */
  private readonly ended = new Set<string>()
  private readonly io: CliIo

  constructor(
    io: CliIo,
    private readonly options: DevOptions,
    private readonly signal: AbortSignal,
  ) {
    this.folder = resolve(io.workingFolder, options.folder)
    // The settings are those of the config files alone.
    this.io = { ...io, environment: withoutSettings(io.environment) }
  }

  async up(options: UpOptions): Promise<void> {
    if ((await this.nodes()).length === 0) await this.configure(options)
    const nodes = await this.nodes()
    for (const node of nodes) {
      if ((await this.pidOf(node)) !== undefined) continue
      const log = await open(this.logOf(node), "a", 0o600)
      void this.io.programs.launch(node.config, log.fd).then(() => this.ended.add(node.name))
      await log.close()
    }
    const shown = []
    for (const node of nodes) shown.push(await this.readyOf(node))
    const rows = shown.map(({ name, pid, endpoint, adminEndpoint }) => [name, String(pid), endpoint, adminEndpoint])
    const [first] = shown
    const next = `eval "$(hayloft env --config ${first?.config})"   # and then: aws s3 mb s3://photos\n`
    await answerList(this.io, this.options, shown, `${tableText(["NODE", "PROCESS", "S3", "ADMIN"], rows)}${next}`)
  }

  async down(): Promise<void> {
    const stopped = await this.stop()
    await answerList(this.io, this.options, stopped, `${plural(stopped.length, "node")} stopped; the data is kept\n`)
  }

  async clean(): Promise<void> {
    const others = (await namesIn(this.folder)).filter(name => !MADE_BY_UP.test(name))
    if (others.length > 0) {
      throw new CliError(
        "conflict",
        `${this.folder} holds other files (${others.slice(0, 3).join(", ")}); remove it yourself`,
      )
    }
    const stopped = await this.stop()
    await rm(this.folder, { recursive: true, force: true })
    await answerList(this.io, this.options, stopped, `${this.folder} is gone\n`)
  }

  /** Writes a config file for each node. */
  private async configure({ nodes, folders, port, redundancy, database }: UpOptions): Promise<void> {
    const count = within("--nodes", nodes, 1, DEV_LIMITS.nodesMax)
    const each = within("--folders", folders, 1, DEV_LIMITS.foldersMax)
    const firstPort = within("--port", port, 0, 65_000)
    if (count > 1 && database === undefined) {
      throw new CliError("usage", "several nodes keep their metadata in a database: name an empty one with --database")
    }
    await mkdir(this.folder, { recursive: true })
    const masterKeyFile = join(this.folder, "master.key")
    if (database !== undefined)
      await writeFile(masterKeyFile, `${hexOf(new RealRandom().bytes(32))}\n`, { mode: 0o600 })
    for (let number = 1; number <= count; number += 1) {
      const node = `node-${number}`
      const at = (offset: number): string =>
        `127.0.0.1:${firstPort === 0 ? 0 : firstPort + (number - 1) * PORTS_EACH + offset}`
      const ofCluster = {
        cluster: database,
        node,
        zone: ZONES[(number - 1) % ZONES.length],
        nodeListen: at(2),
        masterKeyFile,
      }
      const data = Array.from({ length: each }, (_, i) => join(this.folder, node, `disk${i + 1}`))
      for (const path of data) await mkdir(path, { recursive: true })
      const settings = {
        // All nodes share the cores of this machine.
        threads: 0,
        data,
        listen: at(0),
        adminListen: at(1),
        ...(redundancy === undefined ? {} : { redundancy }),
        ...(database === undefined ? {} : ofCluster),
      }
      await writeFile(join(this.folder, `${node}.json`), `${JSON.stringify(settings, undefined, 2)}\n`, { mode: 0o600 })
    }
  }

  /** Returns the nodes that `up` has configured. */
  private async nodes(): Promise<readonly DevNode[]> {
    const nodes: DevNode[] = []
    for (const file of await namesIn(this.folder)) {
      const name = CONFIG_OF_NODE.exec(file)?.[1]
      if (name === undefined) continue
      const config = join(this.folder, file)
      nodes.push({ name, config, data: (await configOf(this.io, {}, config)).dataFolders })
    }
    return nodes
  }

  private logOf({ name }: DevNode): string {
    return join(this.folder, `${name}.log`)
  }

  private pidOf(node: DevNode): Promise<number | undefined> {
    return ownerOf(node, this.locks, this.io.clock, this.signal)
  }

  private async readyOf(node: DevNode) {
    const endMs = this.io.clock.monotonicMs() + DEV_LIMITS.startMs
    while (this.io.clock.monotonicMs() < endMs && !this.ended.has(node.name)) {
      const pid = await this.pidOf(node)
      const answer = pid === undefined ? undefined : await this.endpointsOf(node)
      if (pid !== undefined && answer !== undefined) return { name: node.name, config: node.config, pid, ...answer }
      await this.io.clock.sleep(DEV_LIMITS.pollMs, this.signal)
    }
    const log = this.logOf(node)
    const last = (await readFile(log, "utf8").catch(() => "")).trimEnd().split("\n").at(-1) ?? ""
    throw new CliError("failed", `${node.name} did not start; ${log} ends with: ${last}`)
  }

  /** Returns undefined until the node is ready. */
  private async endpointsOf({ config }: DevNode) {
    try {
      const { endpoint, adminEndpoint, adminToken } = await localCredentials(this.io, { config })
      const client = new AdminClient({ endpoint: adminEndpoint, token: adminToken }, this.signal)
      try {
        await client.text("/health/ready")
      } finally {
        client.close()
      }
      return { endpoint, adminEndpoint }
    } catch (error) {
      if (this.signal.aborted) throw error
      return undefined
    }
  }

  /** Stops the nodes one after the other; returns those that ran. */
  private async stop(): Promise<readonly { readonly name: string; readonly pid: number }[]> {
    const stopped: { name: string; pid: number }[] = []
    for (const node of await this.nodes()) {
      const pid = await this.pidOf(node)
      if (pid === undefined) continue
      process.kill(pid, "SIGTERM")
      const endMs = this.io.clock.monotonicMs() + DEV_LIMITS.stopMs
      while ((await this.pidOf(node)) !== undefined) {
        if (this.io.clock.monotonicMs() > endMs)
          throw new CliError("failed", `process ${pid} of ${node.name} does not end`)
        await this.io.clock.sleep(DEV_LIMITS.pollMs, this.signal)
      }
      stopped.push({ name: node.name, pid })
    }
    return stopped
  }
}

/**
 * The process that has the node's folders; undefined if there is none. An owner that does not answer may be a node that
 * starts on a busy machine: it is asked again. Throws `CliError` if it still does not answer after `silentMs`.
 */
export async function ownerOf(
  { name, data }: Pick<DevNode, "name" | "data">,
  locks: Pick<FolderLocks, "ownerOf">,
  clock: Clock,
  signal: AbortSignal,
): Promise<number | undefined> {
  const endMs = clock.monotonicMs() + DEV_LIMITS.silentMs
  for (;;) {
    let silent: string | undefined
    for (const folder of data) {
      const owner = await locks.ownerOf(folder).catch(() => undefined)
      if (owner?.pid !== undefined) return owner.pid
      if (owner !== undefined) silent ??= folder
    }
    if (silent === undefined) return undefined
    if (clock.monotonicMs() >= endMs) {
      throw new CliError(
        "conflict",
        `${name}: ${silent} is in use by a process that has not answered for ${DEV_LIMITS.silentMs / 1_000} s, or runs in another container`,
      )
    }
    await clock.sleep(DEV_LIMITS.pollMs, signal)
  }
}

function within(flag: string, text: string, from: number, to: number): number {
  const number = numberOf(text, flag)
  if (Number.isInteger(number) && number >= from && number <= to) return number
  throw new CliError("usage", `${flag} is a number from ${from} to ${to}`)
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return (
    await readdir(folder).catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return []
      throw error
    })
  ).sort()
}
