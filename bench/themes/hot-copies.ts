/**
 * Reads of one hot object with copies in memory, against the same reads without: on one machine, and through gateways of two
 * nodes. The figures are GETs for each second of processor time of all processes of the store.
 */
import { KIB, MIB } from "@hayloft/base/limits.js"
import { must } from "@hayloft/base/assert.js"
import type { RequestForge } from "@hayloft/client/load/request-forge.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { S3Client } from "@hayloft/client/s3-client.js"
import type { Bench } from "../bench.js"
import { OwnNodes } from "../own-nodes.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"
import { loadOf } from "../work-rate.js"

const REDUNDANCY = ["--redundancy", "ec:4+2"]
const COPIES = ["--hot-copies", "64MiB", "--hot-reads", "2"]
const SIZES = [4 * MIB, 64 * KIB] as const

interface Served {
  readonly forge: RequestForge
  cpuSeconds(): Promise<number>
}

/** The same objects through a process without copies, and through one with them. */
interface Pair {
  readonly without: Served
  readonly withCopies: Served
}

class HotReads implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly stores: readonly OwnStore[],
    private readonly nodes: OwnNodes,
  ) {}

  static async open(bench: Bench): Promise<HotReads> {
    const opened: { close(): Promise<void> }[] = []
    try {
      const plain = await OwnStore.open(bench, { name: "plain", folders: 6, args: REDUNDANCY })
      opened.push(plain)
      const hot = await OwnStore.open(bench, { name: "hot", folders: 6, args: [...REDUNDANCY, ...COPIES] })
      opened.push(hot)
      const nodes = await OwnNodes.open(bench, { name: "nodes", nodes: 2, foldersEach: 3, args: REDUNDANCY })
      opened.push(nodes)
      await nodes.add(0, REDUNDANCY)
      await nodes.add(0, [...REDUNDANCY, ...COPIES])
      await nodes.client.createBucket(BUCKET)
      const put = async (client: S3Client): Promise<void> => {
        for (const size of SIZES) await client.put({ bucket: BUCKET, key: String(size), body: noiseOf(size) })
      }
      for (const client of [plain.client, hot.client, nodes.client]) await put(client)
      return new HotReads(bench, [plain, hot], nodes)
    } catch (error) {
      for (const each of opened.reverse()) await each.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.nodes.close()
    for (const store of this.stores) await store.close()
  }

  get oneMachine(): Pair {
    const [plain, hot] = this.stores
    return { without: must(plain, "the first"), withCopies: must(hot, "the second") }
  }

  get gateways(): Pair {
    const { nodes } = this
    const [, , plain, hot] = nodes.forges
    const cpuSeconds = () => nodes.cpuSeconds()
    return {
      without: { forge: must(plain, "the third"), cpuSeconds },
      withCopies: { forge: must(hot, "the fourth"), cpuSeconds },
    }
  }

  async gets({ without, withCopies }: Pair, size: number): Promise<Measured> {
    const limit = await this.perCpuSecond(without, size)
    const figure = await this.perCpuSecond(withCopies, size)
    return { figure, unit: "/CPU s", limit }
  }

  private async perCpuSecond(served: Served, size: number): Promise<number> {
    // Programs are compiled, and copies made.
    await this.load(served, size)
    const before = await served.cpuSeconds()
    const done = await this.load(served, size)
    return done / ((await served.cpuSeconds()) - before)
  }

  private async load({ forge }: Served, size: number): Promise<number> {
    const next = () => ({ request: forge.forge({ method: "GET", bucket: BUCKET, key: String(size) }), bytes: size })
    return (await loadOf(this.bench, forge.endpoint, next)).count
  }
}

export const HOT_COPIES = theme({
  name: "hot-copies",
  isOnRequest: true,
  open: bench => HotReads.open(bench),
  rows: () =>
    SIZES.flatMap(size => [
      {
        work: `get one object of ${size / KIB} KiB with copies, against without`,
        measure: (it: HotReads) => it.gets(it.oneMachine, size),
      },
      {
        work: `the same of ${size / KIB} KiB through a gateway of two nodes`,
        measure: (it: HotReads) => it.gets(it.gateways, size),
      },
    ]),
})
