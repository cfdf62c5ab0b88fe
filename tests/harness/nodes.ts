/** A store of several nodes as real processes on loopback, one zone each by default, over a real PostgreSQL. */
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { AdminClient, S3Client } from "@hayloft/client/index.js"
import { ROOT_KEY, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { Databases } from "../sql/databases.js"
import { clusterEnvironment } from "./cluster.js"
import { freePort } from "./free-port.js"

interface NodesOptions {
  readonly nodes: number
  readonly foldersEach: number
  /** Further arguments of every `serve`. */
  readonly args?: readonly string[]
  /** Nodes wait less for each other than in a store of users. */
  readonly isHurried?: boolean
  /** The Node that runs the program, such as `NODE_24`. Default: the one that runs the tests. */
  readonly node?: string | undefined
  /** The server that gets the database of these nodes, and that its caller stops. Default: one of their own. */
  readonly databases?: Databases
}

type Environment = Readonly<Record<string, string>>

/** Nodes wait for each other so many times less than in a store of users. */
const HASTE = { HAYLOFT_TEST_HASTE: "4" }

const environmentIn = async (url: string, folder: string, isHurried = false): Promise<Environment> => ({
  ...(await clusterEnvironment(url, folder)),
  ...(isHurried && HASTE),
})

/** One machine of the store: the same name and ports for each of its processes. */
export class TestNode {
  process: StoreProcess | undefined
  /** The command that its next process runs; undefined for this program. */
  command: string | undefined
  /** The Node that runs it; undefined for the one that runs the tests. */
  node: string | undefined
  private open: S3Client | undefined
  /** The token of the store: it stays the same. */
  private token: string | undefined

  constructor(
    readonly name: string,
    readonly zone: string,
    /** The folders of its next process; a gateway has none. */
    public folders: readonly string[],
    private readonly ports: { readonly s3: string; readonly admin: string },
    private readonly environment: Environment,
    private readonly args: readonly string[],
  ) {}

  /** Returns where clients reach it, whenever it runs. */
  get access() {
    return { endpoint: `http://${this.ports.s3}`, region: REGION_DEFAULT, ...ROOT_KEY }
  }

  /** For requests that are built by hand, whenever it runs. */
  get rawClient(): Client {
    const { endpoint, region, accessKeyId, secretAccessKey } = this.access
    return new Client(parseEndpoint(endpoint), { accessKey: accessKeyId, secretKey: secretAccessKey }, region)
  }

  get adminEndpoint(): string {
    return `http://${this.ports.admin}`
  }

  /** A process of it, which need not become ready. */
  spawn(args: readonly string[] = []): StoreProcess {
    const { name, zone, environment, folders, ports } = this
    const all = ["--node", name, "--zone", zone, "--log-level", "debug", ...this.args, ...args]
    const listen = { listen: ports.s3, adminListen: ports.admin }
    const program = {
      ...(this.command !== undefined && { command: this.command }),
      ...(this.node !== undefined && { node: this.node }),
    }
    return StoreProcess.spawn({ dataFolders: folders, args: all, environment, ...listen, ...program }, CLOCK)
  }

  /** Resolves when the node is ready. */
  async start(args: readonly string[] = []): Promise<void> {
    const process = this.spawn(args)
    this.process = process
    try {
      await process.ready()
    } catch (error) {
      await this.stop()
      throw error
    }
    this.open = new S3Client(this.access, CLOCK, NEVER, { attemptsMax: 10 })
  }

  /** The message with which a process of it ends that must not start. */
  async refusal(): Promise<string> {
    const process = this.spawn()
    const started = await process.ready().then(
      () => true,
      () => false,
    )
    await process.stop()
    if (started) throw new Error(`node ${this.name} has started:\n${process.output}`)
    return process.output
  }

  get client(): S3Client {
    if (this.open === undefined) throw new Error(`node ${this.name} does not run`)
    return this.open
  }

  get output(): string {
    return this.process?.output ?? ""
  }

  /** The admin API of the node, with the token that the folders of `of` have. */
  async admin(of: Pick<TestNode, "folders"> = this): Promise<AdminClient> {
    // Reading it is more work than most requests: a control record has the layout.
    this.token ??= (await unsealRootCredentials(of.folders, this.environment["HAYLOFT_MASTER_KEY_FILE"])).adminToken
    return new AdminClient({ endpoint: `http://${this.ports.admin}`, token: this.token }, NEVER)
  }

  signal(signal: NodeJS.Signals): void {
    if (this.process === undefined) throw new Error(`node ${this.name} does not run`)
    this.process.kill(signal)
  }

  /** Its process ends as in a crash. */
  async kill(): Promise<void> {
    await this.process?.crash()
    this.over()
  }

  /** Drains it; returns its exit code. */
  async stop(): Promise<number | null | undefined> {
    const code = await this.process?.stop()
    this.over()
    return code
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
  readonly all: TestNode[] = []

  private constructor(
    private readonly own: Databases | undefined,
    readonly url: string,
    private readonly folder: string,
    private readonly environment: Environment,
    private readonly args: readonly string[],
  ) {}

  /** No node yet, over an empty database, which its caller stops. */
  static async over(url: string, folder: string, args: readonly string[] = [], isHurried = false): Promise<TestNodes> {
    return new TestNodes(undefined, url, folder, await environmentIn(url, folder, isHurried), args)
  }

  /** An empty database, and no node yet. `isHurried`: nodes wait less for each other. */
  static async empty(folder: string, args: readonly string[] = [], isHurried = false): Promise<TestNodes> {
    const databases = await Databases.start()
    try {
      const url = await databases.create()
      return new TestNodes(databases, url, folder, await environmentIn(url, folder, isHurried), args)
    } catch (error) {
      await databases.stop()
      throw error
    }
  }

  /** The nodes start one after another; the first one makes the store. Data folders are in `folder`. */
  static async start(folder: string, options: NodesOptions): Promise<TestNodes> {
    const { nodes, foldersEach, databases, args, isHurried, node } = options
    const store =
      databases === undefined
        ? await TestNodes.empty(folder, args, isHurried)
        : await TestNodes.over(await databases.create(), folder, args, isHurried)
    try {
      for (let i = 0; i < nodes; i += 1) {
        const added = await store.add(foldersEach)
        added.node = node
        await added.start()
      }
      return store
    } catch (error) {
      await store.end()
      throw error
    }
  }

  /** The database of these nodes. */
  get databases(): Databases {
    if (this.own === undefined) throw new Error("the database is the caller's")
    return this.own
  }

  get masterKeyFile(): string | undefined {
    return this.environment["HAYLOFT_MASTER_KEY_FILE"]
  }

  /** One more node, by default in a zone of its own; not started. `folders`: how many new ones, or which. */
  async add(
    folders: number | readonly string[],
    {
      name = `node-${this.all.length + 1}`,
      zone = String.fromCharCode(97 + this.all.length),
      environment = {},
    }: { readonly name?: string; readonly zone?: string; readonly environment?: Environment } = {},
  ): Promise<TestNode> {
    const number = this.all.length + 1
    const newFolder = (_: unknown, disk: number) => join(this.folder, `node${number}-disk${disk + 1}`)
    const paths = typeof folders === "number" ? Array.from({ length: folders }, newFolder) : folders
    const ports = { s3: `127.0.0.1:${await freePort()}`, admin: `127.0.0.1:${await freePort()}` }
    const node = new TestNode(name, zone, paths, ports, { ...this.environment, ...environment }, this.args)
    this.all.push(node)
    return node
  }

  /** A new, empty folder. */
  async newFolder(name: string): Promise<string> {
    const path = join(this.folder, name)
    await mkdir(path)
    return path
  }

  at(number: number): TestNode {
    const node = this.all[number - 1]
    if (node === undefined) throw new Error(`there is no node ${number}`)
    return node
  }

  /** Ends their processes, without a drain, and their database. */
  async end(): Promise<void> {
    await Promise.all(this.all.map(node => node.kill()))
    await this.own?.stop()
  }
}
