/**
 * PostgreSQL servers under Patroni with one etcd, all on loopback: for tests of a database that fails over.
 *
 * Promises  As `PostgresProcess`: nothing of it runs as root, or outlives this process. A member ends and freezes as a
 *           machine does: Patroni, PostgreSQL and all their processes together.
 * Limits    Linux; the smallest times that Patroni 3 accepts.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { createWriteStream, existsSync, readFileSync } from "node:fs"
import { chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import { z } from "zod"
import { findPostgres, serverUser } from "@hayloft/client/testing-postgres.js"
import { bindChild, findProgram, runOk } from "./commands.js"
import { quietParent } from "./folders.js"
import { freePort } from "./free-port.js"
import { childrenOf, signalTree, titleOf } from "./process-tree.js"

/** Returns what to install, or undefined if everything is there. */
export function missingForPatroni(): string | undefined {
  if (process.platform !== "linux") return "a failover is played on Linux"
  const packages = [
    ...(findPostgres() === undefined ? ["postgresql"] : []),
    ...(findProgram("patroni") === undefined ? ["patroni"] : []),
    ...(findProgram("etcd") === undefined ? ["etcd-server"] : []),
  ]
  return packages.length === 0 ? undefined : `apt-get install ${packages.join(" ")}`
}

/** The key of the leader expires so long after its last renewal: Patroni accepts no less than 20. */
export const TTL_SECONDS = 20
const LOOP_WAIT_SECONDS = 2
const RETRY_TIMEOUT_SECONDS = 5
/** A standby that lacks this much may still be promoted. */
const LAG_BYTES_MAX = 2 ** 30
const ANSWER_MS_MAX = 2_000
const LOOK_MS = 200
/** Until a cluster has the state that is waited for. */
const STATE_MS_MAX = 180_000

const SCOPE = "hayloft"
const SUPERUSER = "hayloft"
const DATABASE = "hayloft"

const CLUSTER = z.object({
  members: z.array(z.object({ name: z.string(), role: z.string(), state: z.string() })),
})
type MemberState = z.output<typeof CLUSTER>["members"][number]

interface Ports {
  readonly postgres: number
  readonly api: number
}

/** A machine with PostgreSQL and its Patroni. */
export class PatroniMember {
  private child: ChildProcess | undefined
  isFrozen = false

  constructor(
    readonly name: string,
    readonly folder: string,
    readonly ports: Ports,
  ) {}

  get configFile(): string {
    return join(this.folder, "patroni.json")
  }

  get data(): string {
    return join(this.folder, "data")
  }

  get isRunning(): boolean {
    return this.child !== undefined && !this.isFrozen
  }

  /** Does not wait. */
  start(): void {
    const { uid, gid } = serverUser()
    const program = findProgram("patroni") ?? "patroni"
    const child = spawn(program, [this.configFile], {
      uid,
      gid,
      cwd: this.folder,
      detached: true,
      // Its first interpreter in the path may be another one than that of Debian's packages.
      env: { ...process.env, PATH: "/usr/bin:/bin", HOME: this.folder },
      stdio: ["ignore", "pipe", "pipe"],
    })
    bindChild(child)
    const log = createWriteStream(join(this.folder, "patroni.log"), { flags: "a" })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    this.child = child
  }

  get log(): string {
    return readFileSync(join(this.folder, "patroni.log"), "utf8")
  }

  /** The first process of PostgreSQL, which is no child of Patroni; undefined: it does not run. */
  private get postmaster(): number | undefined {
    const file = join(this.data, "postmaster.pid")
    const pid = existsSync(file) ? Number(readFileSync(file, "utf8").split("\n")[0]) : NaN
    return Number.isInteger(pid) && titleOf(pid).includes(this.data) ? pid : undefined
  }

  private get roots(): readonly number[] {
    return [this.child?.pid, this.postmaster].filter(pid => pid !== undefined)
  }

  /** Patroni and PostgreSQL end as their machine does that loses power. */
  kill(): void {
    signalTree(this.roots, "SIGKILL")
    this.child = undefined
    this.isFrozen = false
  }

  freeze(): void {
    this.isFrozen = true
    signalTree(this.roots, "SIGSTOP")
  }

  thaw(): void {
    signalTree(this.roots, "SIGCONT")
    this.isFrozen = false
  }

  /** From now on no standby gets anything that this primary commits. It goes on as long as no standby is synchronous. */
  stopReplication(): number {
    const senders = childrenOf(this.postmaster ?? 0).filter(pid => titleOf(pid).includes("walsender"))
    signalTree(senders, "SIGSTOP")
    return senders.length
  }

  /** Returns what Patroni says about all members, or undefined if it does not answer. */
  async members(): Promise<readonly MemberState[] | undefined> {
    if (!this.isRunning) return undefined
    try {
      const url = `http://127.0.0.1:${this.ports.api}/cluster`
      const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
      return CLUSTER.parse(await answer.json()).members
    } catch {
      return undefined
    }
  }

  /** Returns true if PostgreSQL on it is the primary, as its Patroni knows. */
  async isPrimary(): Promise<boolean> {
    if (!this.isRunning) return false
    try {
      const url = `http://127.0.0.1:${this.ports.api}/primary`
      return (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })).ok
    } catch {
      return false
    }
  }
}

interface PatroniOptions {
  readonly members: number
  /** Commits wait for a standby, and are not made without one. */
  readonly isSynchronous: boolean
}

const IS_WORKING = new Set(["running", "streaming"])

export class PatroniCluster {
  private etcd: ChildProcess | undefined
  private readonly onExit = () => this.killAll()

  private constructor(
    private readonly folder: string,
    private readonly etcdPort: number,
    readonly all: readonly PatroniMember[],
  ) {
    process.once("exit", this.onExit)
  }

  /** With an empty database; all members follow the first one. */
  static async start(options: PatroniOptions): Promise<PatroniCluster> {
    const folder = await mkdtemp(join(quietParent(), "hayloft-patroni-"))
    const members: PatroniMember[] = []
    for (let i = 1; i <= options.members; i += 1) {
      const ports = { postgres: await freePort(), api: await freePort() }
      members.push(new PatroniMember(`pg${i}`, join(folder, `pg${i}`), ports))
    }
    const cluster = new PatroniCluster(folder, await freePort(), members)
    try {
      await cluster.begin(options)
      return cluster
    } catch (error) {
      const logs = members.map(({ name, folder: own }) =>
        existsSync(join(own, "patroni.log"))
          ? `${name}: ${readFileSync(join(own, "patroni.log"), "utf8").slice(-3_000)}`
          : "",
      )
      await cluster.dispose()
      throw new Error(`Patroni did not start:\n${logs.join("\n")}`, { cause: error })
    }
  }

  private async begin(options: PatroniOptions): Promise<void> {
    const { uid, gid } = serverUser()
    await chown(this.folder, uid, gid)
    await this.startEtcd()
    for (const member of this.all) {
      await mkdir(member.folder, { mode: 0o700 })
      await writeFile(member.configFile, JSON.stringify(this.configOf(member, options)))
      for (const path of [member.folder, member.configFile]) await chown(path, uid, gid)
      member.start()
      await this.until(`${member.name} runs`, () => this.isWorking(member))
    }
    await this.isWhole()
    const primary = await this.primary()
    await this.sql(primary, `CREATE DATABASE ${DATABASE}`)
  }

  private async startEtcd(): Promise<void> {
    const { uid, gid } = serverUser()
    const own = join(this.folder, "etcd")
    await mkdir(own, { mode: 0o700 })
    await chown(own, uid, gid)
    const [clients, peers] = [`http://127.0.0.1:${this.etcdPort}`, `http://127.0.0.1:${await freePort()}`]
    const listen = ["--listen-client-urls", clients, "--advertise-client-urls", clients]
    const peer = ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
    // Patroni before 3.0.3 takes the leader's key without comparing it over the newer interface of etcd.
    const args = [
      "--enable-v2",
      "--data-dir",
      join(own, "data"),
      ...listen,
      ...peer,
      "--initial-cluster",
      `default=${peers}`,
    ]
    const child = spawn(findProgram("etcd") ?? "etcd", args, { uid, gid, cwd: own, detached: true, stdio: "ignore" })
    bindChild(child)
    this.etcd = child
    await this.until("etcd runs", async () => {
      const answer = await fetch(`${clients}/health`).catch(() => undefined)
      return answer?.ok === true
    })
  }

  private configOf({ name, folder, data, ports }: PatroniMember, { isSynchronous }: PatroniOptions): unknown {
    const trusted = ["all all", "replication all"].map(who => `host ${who} 127.0.0.1/32 trust`)
    return {
      scope: SCOPE,
      name,
      namespace: "/service/",
      restapi: { listen: `127.0.0.1:${ports.api}`, connect_address: `127.0.0.1:${ports.api}` },
      etcd: { host: `127.0.0.1:${this.etcdPort}` },
      bootstrap: {
        dcs: {
          ttl: TTL_SECONDS,
          loop_wait: LOOP_WAIT_SECONDS,
          retry_timeout: RETRY_TIMEOUT_SECONDS,
          maximum_lag_on_failover: LAG_BYTES_MAX,
          synchronous_mode: isSynchronous,
          synchronous_mode_strict: isSynchronous,
          postgresql: { use_pg_rewind: true, use_slots: true },
        },
        initdb: [{ encoding: "UTF8" }, { locale: "C" }, "data-checksums"],
      },
      postgresql: {
        listen: `127.0.0.1:${ports.postgres}`,
        connect_address: `127.0.0.1:${ports.postgres}`,
        data_dir: data,
        bin_dir: findPostgres(),
        pgpass: join(folder, "pgpass"),
        authentication: { superuser: { username: SUPERUSER }, replication: { username: "replicator" } },
        parameters: { unix_socket_directories: "", max_connections: "100" },
        pg_hba: trusted,
        basebackup: [{ checkpoint: "fast" }],
        remove_data_directory_on_diverged_timelines: true,
        remove_data_directory_on_rewind_failure: true,
      },
    }
  }

  /** Names all members, as an operator writes it. */
  get url(): string {
    const hosts = this.all.map(({ ports }) => `127.0.0.1:${ports.postgres}`)
    return `postgres://${SUPERUSER}@${hosts.join(",")}/${DATABASE}`
  }

  async sql(member: PatroniMember, text: string): Promise<string> {
    const { uid, gid } = serverUser()
    const where = ["-h", "127.0.0.1", "-p", String(member.ports.postgres), "-U", SUPERUSER, "-d", "postgres"]
    const args = [...where, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]
    return runOk(join(findPostgres() ?? "", "psql"), args, { uid, gid, cwd: member.folder })
  }

  /** Returns what the first member that answers says about all. */
  private async states(): Promise<readonly MemberState[]> {
    for (const member of this.all) {
      const found = await member.members()
      if (found !== undefined) return found
    }
    return []
  }

  private async isWorking({ name }: PatroniMember): Promise<boolean> {
    const found = (await this.states()).find(each => each.name === name)
    return found !== undefined && IS_WORKING.has(found.state)
  }

  /** The primary: one that accepts writes, other than this one. */
  async primary(otherThan?: PatroniMember): Promise<PatroniMember> {
    let found: PatroniMember | undefined
    await this.until("a member is the primary", async () => {
      for (const member of this.all) if (member !== otherThan && (await member.isPrimary())) found = member
      return found !== undefined
    })
    if (found === undefined) throw new Error("there is no primary")
    return found
  }

  /** Waits until all members work, one of them is the primary, and the others receive what it commits. */
  async isWhole(): Promise<void> {
    await this.until("all members follow the primary", async () => {
      const states = await this.states()
      const primaries = states.filter(({ role }) => role === "leader")
      if (states.length !== this.all.length || primaries.length !== 1) return false
      if (!states.every(({ state }) => IS_WORKING.has(state))) return false
      const primary = this.all.find(({ name }) => name === primaries[0]?.name)
      if (primary === undefined) return false
      const sent = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
      return Number(await this.sql(primary, sent).catch(() => "0")) >= this.all.length - 1
    })
  }

  /** Waits until commits wait for a standby. */
  async isSynchronous(): Promise<void> {
    await this.until("a standby is synchronous", async () => {
      const states = await this.states()
      return states.some(({ role }) => role === "sync_standby")
    })
  }

  /** Runs a switchover with `patronictl`, like an operator. */
  async switchOver(from: PatroniMember): Promise<void> {
    const { uid, gid } = serverUser()
    const args = ["-c", from.configFile, "switchover", SCOPE, "--master", from.name, "--force"]
    const env = { PATH: "/usr/bin:/bin", HOME: from.folder, LC_ALL: "C.UTF-8" }
    const output = await runOk(findProgram("patronictl") ?? "patronictl", args, { uid, gid, cwd: from.folder, env })
    // It ends with 0 also if it fails.
    if (!output.includes("Successfully switched over")) throw new Error(output)
  }

  private async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + STATE_MS_MAX
    while (!(await isSo())) {
      if (performance.now() > untilMs) {
        throw new Error(`not within ${STATE_MS_MAX / 1000} s: ${what}; ${JSON.stringify(await this.states())}`)
      }
      await wait(LOOK_MS)
    }
  }

  private killAll(): void {
    for (const member of this.all) member.kill()
    if (this.etcd?.pid !== undefined) signalTree([this.etcd.pid], "SIGKILL")
  }

  /** Ends everything and removes its folders. */
  async dispose(): Promise<void> {
    process.removeListener("exit", this.onExit)
    this.killAll()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}
