/**
 * A store of several nodes for measurements: processes on loopback, each in a zone of its own, over a PostgreSQL that
 * writes durably, in folders below the bench's. Nodes can be added that have no folders.
 */
import { randomBytes } from "node:crypto"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { AdminClient } from "@hayloft/client/admin-client.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { S3Client } from "@hayloft/client/s3-client.js"
import { findPostgres, PostgresProcess } from "@hayloft/client/testing-postgres.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import { freePort } from "../tests/harness/free-port.js"
import type { Bench } from "./bench.js"
import { cpuSecondsOf, cpuSecondsOfFamily } from "./process-usage.js"
import { Unmeasured } from "./row.js"

const WHOLE_MS_MAX = 300_000
const POLL_MS = 200

interface OwnNode {
  readonly process: StoreProcess
  readonly client: S3Client
  readonly forge: RequestForge
}

/** A PostgreSQL with durable writes. Its folder is not below the bench's, which its user may not be allowed to enter. */
export async function openPostgres(bench: Bench): Promise<PostgresProcess> {
  if (findPostgres() === undefined) throw new Unmeasured("PostgreSQL is not installed")
  const folder = await mkdtemp(join(tmpdir(), "hayloft-bench-database-"))
  const place = { folder, port: await freePort(), onSpawn: () => undefined }
  const postgres = new PostgresProcess(place, bench.clock)
  try {
    await postgres.open()
    return postgres
  } catch (error) {
    await removePostgres(postgres)
    throw error
  }
}

/** Stops it and removes its folder. */
export async function removePostgres(postgres: PostgresProcess): Promise<void> {
  await postgres.stop()
  await rm(postgres.folder, { recursive: true, force: true })
}

export class OwnNodes {
  private readonly nodes: OwnNode[] = []

  private constructor(
    private readonly bench: Bench,
    private readonly root: string,
    private readonly postgres: PostgresProcess,
    private readonly keyFile: string,
  ) {}

  /** Resolves when all devices are in use. `args`: further ones of `serve`. */
  static async open(
    bench: Bench,
    { name, nodes, foldersEach, args }: { name: string; nodes: number; foldersEach: number; args: readonly string[] },
  ): Promise<OwnNodes> {
    const root = join(bench.workFolder, name)
    await mkdir(root)
    const keyFile = join(root, "master.key")
    await writeFile(keyFile, randomBytes(32).toString("hex"), { mode: 0o600 })
    const store = new OwnNodes(bench, root, await openPostgres(bench), keyFile)
    try {
      for (let i = 0; i < nodes; i += 1) await store.add(foldersEach, args)
      await store.untilWhole(nodes * foldersEach)
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Starts one more node, in a zone of its own. */
  async add(folders: number, args: readonly string[] = []): Promise<OwnNode> {
    const number = this.nodes.length + 1
    const dataFolders = Array.from({ length: folders }, (_, i) => join(this.root, `node${number}-disk${i + 1}`))
    for (const folder of dataFolders) await mkdir(folder)
    const own = ["--node", `node-${number}`, "--zone", `zone-${number}`, "--node-listen", "127.0.0.1:0"]
    const process = StoreProcess.spawn(
      {
        dataFolders,
        listen: `127.0.0.1:${await freePort()}`,
        adminListen: `127.0.0.1:${await freePort()}`,
        args: ["--log-level", "warn", ...own, ...args],
        environment: { HAYLOFT_CLUSTER: this.postgres.url, HAYLOFT_MASTER_KEY_FILE: this.keyFile },
      },
      this.bench.clock,
    )
    try {
      const access = await process.access()
      const { clock, signal } = this.bench
      const client = new S3Client(access, clock, signal, { md5: false })
      const node = { process, client, forge: new RequestForge(access, clock) }
      this.nodes.push(node)
      return node
    } catch (error) {
      await process.stop()
      throw error
    }
  }

  /** Waits until this many devices are in use and no shard has to move. */
  private async untilWhole(devices: number): Promise<void> {
    const { clock, signal } = this.bench
    const { process } = this.first
    const { adminToken: token } = await unsealRootCredentials(process.dataFolders, this.keyFile)
    const admin = new AdminClient({ endpoint: (await process.ready()).adminEndpoint, token }, signal)
    const endMs = clock.monotonicMs() + WHOLE_MS_MAX
    try {
      for (;;) {
        const layout = STORE_SCHEMAS.LAYOUT_DETAILS.parse(await admin.get("/v1/layout"))
        const active = layout.devices.filter(({ state, slots }) => state === "active" && slots > 0)
        if (active.length === devices && layout.transition === undefined) return
        if (clock.monotonicMs() > endMs) throw new Error("the devices of the nodes are not in use after five minutes")
        await clock.sleep(POLL_MS, signal)
      }
    } finally {
      admin.close()
    }
  }

  private get first(): OwnNode {
    return must(this.nodes[0], "there is a node")
  }

  get client(): S3Client {
    return this.first.client
  }

  /** In the order of their starts. */
  get processes(): readonly { readonly forge: RequestForge; cpuSeconds(): Promise<number> }[] {
    return this.nodes.map(({ forge, process }) => ({ forge, cpuSeconds: () => cpuSecondsOf(process.pid) }))
  }

  get forges(): readonly RequestForge[] {
    return this.nodes.map(({ forge }) => forge)
  }

  /** Returns the CPU seconds of all nodes and the database. */
  async cpuSeconds(): Promise<number> {
    const nodes = await Promise.all(this.nodes.map(({ process }) => cpuSecondsOf(process.pid)))
    return nodes.reduce((sum, each) => sum + each, await cpuSecondsOfFamily(this.postgres.pid))
  }

  /** Ends them without a drain, and removes everything that they wrote. */
  async close(): Promise<void> {
    for (const { client, process } of this.nodes) {
      client.close()
      await process.crash()
    }
    await removePostgres(this.postgres)
    await rm(this.root, { recursive: true, force: true })
  }
}
