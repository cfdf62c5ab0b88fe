/** A remote bucket beside an ordinary one, and beside the store that it stands for, which is on the same machine. */
import { KIB, MIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { S3Client } from "@hayloft/client/s3-client.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured, Row } from "../row.js"
import { shareOf, type Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { ratePerSecond } from "../work-rate.js"

const SMALL = noiseOf(16 * KIB)
const LARGE_MIB = 64
const LISTED = 1_000
/** More than a row reads. */
const COLD_MAX = 20_000
const WORKERS = 8
const [THROUGH, BACK] = ["through", "back"]

class Remotes implements Fixture {
  private written = 0
  private cold = 0

  private constructor(
    private readonly bench: Bench,
    private readonly far: OwnStore,
    private readonly near: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Remotes> {
    const { far, near } = await OwnStore.openPair(bench, "remote")
    const remotes = new Remotes(bench, far, near)
    for (const [bucket, writes] of [
      [THROUGH, "Through"],
      [BACK, "Back"],
    ] as const) {
      await far.client.createBucket(bucket)
      await near.client.createBucket(bucket)
      const document = `<RemoteConfiguration><Store>far</Store><Bucket>${bucket}</Bucket><Writes>${writes}</Writes></RemoteConfiguration>`
      await near.client.putSetting(bucket, "remote", document)
    }
    const large = noiseOf(shareOf(bench.scale, LARGE_MIB) * MIB)
    for (const client of [far.client, near.client])
      for (const [key, body] of [
        ["small", SMALL],
        ["large", large],
      ] as const)
        await client.put({ bucket: client === far.client ? THROUGH : BUCKET, key, body })
    for (let i = 0; i < shareOf(bench.scale, LISTED); i += 1) {
      await far.client.put({ bucket: THROUGH, key: `list/${i}`, body: new Uint8Array() })
      await near.client.put({ bucket: BUCKET, key: `list/${i}`, body: new Uint8Array() })
    }
    return remotes
  }

  async close(): Promise<void> {
    await this.near.close()
    await this.far.close()
  }

  async beside(one: () => Promise<void>, other: () => Promise<void>, workers = WORKERS): Promise<Measured> {
    await one()
    const figure = await ratePerSecond(this.bench, workers, one)
    const limit = await ratePerSecond(this.bench, workers, other)
    return { figure, unit: "/s", limit }
  }

  readonly nearly = (key: string, range?: string) => () => read(this.near.client, THROUGH, key, range)
  readonly ordinarily = (key: string, range?: string) => () => read(this.near.client, BUCKET, key, range)

  /** An object that was never read. */
  readonly readCold = async (): Promise<void> => {
    const key = `cold/${(this.cold += 1) % COLD_MAX}`
    await this.far.client.put({ bucket: THROUGH, key, body: SMALL })
    await read(this.near.client, THROUGH, key)
  }

  readonly readFar = async (): Promise<void> => {
    const key = `cold/${(this.cold += 1) % COLD_MAX}`
    await this.far.client.put({ bucket: THROUGH, key, body: SMALL })
    await read(this.far.client, THROUGH, key)
  }

  readonly write = (where: "near" | "far", bucket: string) => async (): Promise<void> => {
    const key = `new/${(this.written += 1)}`
    await this[where].client.put({ bucket, key, body: SMALL })
  }

  readonly list = (bucket: string) => async (): Promise<void> => {
    await this.near.client.list(bucket, { prefix: "list/", delimiter: "" })
  }
}

async function read(client: S3Client, bucket: string, key: string, range?: string): Promise<void> {
  const { body } = await client.get(bucket, key, { range })
  for await (const _ of body);
}

/** 64 KiB in the middle of the large object. */
function middleOf(largeMib: number): string {
  const from = (largeMib * MIB) / 2
  return `${from}-${from + 64 * KIB - 1}`
}

export const REMOTES = theme({
  name: "remotes",
  open: bench => Remotes.open(bench),
  rows: rowsOf,
})

function rowsOf(scale: Scale): Row<Remotes>[] {
  const [largeMib, listed] = [shareOf(scale, LARGE_MIB), shareOf(scale, LISTED)]
  const part = middleOf(largeMib)
  return [
    {
      work: "GET of 16 KiB of a remote bucket, cached, against an ordinary bucket",
      measure: it => it.beside(it.nearly("small"), it.ordinarily("small")),
    },
    {
      work: `GET of ${largeMib} MiB of a remote bucket, cached, by one client, against an ordinary bucket`,
      measure: it => it.beside(it.nearly("large"), it.ordinarily("large"), 1),
    },
    {
      work: "GET of a range of 64 KiB of a remote bucket, cached, against an ordinary bucket",
      measure: it => it.beside(it.nearly("large", part), it.ordinarily("large", part)),
    },
    {
      work: "PUT of 16 KiB to the remote and GET of it, cold, through a remote bucket, against both at the remote",
      measure: it => it.beside(it.readCold, it.readFar),
    },
    {
      work: "PUT of 16 KiB, write-through, against a PUT to the remote",
      measure: it => it.beside(it.write("near", THROUGH), it.write("far", THROUGH)),
    },
    {
      work: "PUT of 16 KiB, write-back, against an ordinary bucket",
      measure: it => it.beside(it.write("near", BACK), it.write("near", BUCKET)),
    },
    {
      work: `LIST of ${listed} keys of a remote bucket, against an ordinary bucket`,
      measure: it => it.beside(it.list(THROUGH), it.list(BUCKET), 1),
    },
  ]
}
