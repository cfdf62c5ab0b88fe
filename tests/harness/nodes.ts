/** A store of several nodes as real processes on loopback, one zone each by default, over a real PostgreSQL. */
import { join } from "node:path"
import { AdminClient, S3Client } from "../../src/client/index.js"
import { StoreProcess } from "../../src/client/testing-store-process.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { Databases } from "../sql/databases.js"
import { clusterEnvironment } from "./cluster.js"

interface NodesOptions {
  readonly nodes: number
  readonly foldersEach: number
  /** Further arguments of every `serve`. */
  readonly args?: readonly string[]
}

/** One machine of the store: the same name and folders for each of its processes. */
export class TestNode {
  process: StoreProcess | undefined
  private open: S3Client | undefined

  constructor(
    readonly name: string,
    readonly zone: string,
    readonly folders: readonly string[],
    private readonly environment: Readonly<Record<string, string>>,
    private readonly args: readonly string[],
  ) {}

  /** Resolves when the node is ready. */
  async start(args: readonly string[] = []): Promise<void> {
    const { name, zone, environment } = this
    const all = ["--node", name, "--zone", zone, "--log-level", "debug", ...this.args, ...args]
    this.process = await StoreProcess.start({ dataFolders: this.folders, args: all, environment }, CLOCK)
    this.open = new S3Client(await this.process.access(), CLOCK, NEVER, { attemptsMax: 10 })
  }

  get client(): S3Client {
    if (this.open === undefined) throw new Error(`node ${this.name} does not run`)
    return this.open
  }

  get output(): string {
    return this.process?.output ?? ""
  }

  async admin(): Promise<AdminClient> {
    if (this.process === undefined) throw new Error(`node ${this.name} does not run`)
    const { adminEndpoint } = await this.process.ready()
    return new AdminClient({ endpoint: adminEndpoint, token: this.environment["ADMIN"] ?? "" }, NEVER)
  }

  /** Its process ends as in a crash. */
  async kill(): Promise<void> {
    this.process?.kill("SIGKILL")
    await this.process?.exited
    this.over()
  }

  async stop(): Promise<void> {
    await this.process?.stop()
    this.over()
  }

  private over(): void {
    this.open?.close()
    this.open = undefined
    this.process = undefined
  }
}

const CLOCK = new RealClock()
const NEVER = new AbortController().signal

export class TestNodes {
  private constructor(
    readonly databases: Databases,
    readonly url: string,
    readonly all: readonly TestNode[],
  ) {}

  /** The nodes start one after another; the first one makes the store. Data folders are in `folder`. */
  static async start(folder: string, { nodes, foldersEach, args = [] }: NodesOptions): Promise<TestNodes> {
    const databases = await Databases.start()
    const url = await databases.create()
    const environment = await clusterEnvironment(url, folder)
    const all = Array.from({ length: nodes }, (_, i) => {
      const name = `node-${i + 1}`
      const folders = Array.from({ length: foldersEach }, (_, disk) => join(folder, `${name}-disk${disk + 1}`))
      return new TestNode(name, String.fromCharCode(97 + i), folders, environment, args)
    })
    const store = new TestNodes(databases, url, all)
    try {
      for (const node of all) await node.start()
      return store
    } catch (error) {
      await store.stop()
      throw error
    }
  }

  at(number: number): TestNode {
    const node = this.all[number - 1]
    if (node === undefined) throw new Error(`there is no node ${number}`)
    return node
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map(node => node.stop()))
    await this.databases.stop()
  }
}
