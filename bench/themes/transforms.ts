/** Representations that are kept, made each time, cut out of archives and compressed, beside objects that are read as they are. */
import { KIB, MIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { ratePerSecond } from "../work-rate.js"

const SHAPES = Array.from({ length: 40 }, (_, i) => `  <rect  x="${i}.000" y="1.0000"  width="8.000" height="8.0" />\n`)
const SVG = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50">\n${SHAPES.join("")}</svg>\n`)
const TEXT_MIB = 16
const MEMBERS = 2_000
const MEMBER = noiseOf(8 * KIB)
const RULES =
  "<TransformConfiguration><Rule><Prefix>icons/</Prefix><When>GET</When><Steps>svgmin</Steps></Rule></TransformConfiguration>"
const WORKERS = 8

class Transformed implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Transformed> {
    const store = await OwnStore.open(bench, { name: "transforms", folders: 1, args: ["--transforms"] })
    const { client } = store
    await client.putSetting(BUCKET, "transforms", RULES)
    const headers = [["content-type", "image/svg+xml"]] as const
    for (const key of ["icons/a.svg", "a.svg"]) await client.put({ bucket: BUCKET, key, body: SVG, headers })
    await client.put({
      bucket: BUCKET,
      key: "text",
      body: textOf(shareOf(bench.scale, TEXT_MIB)),
      headers: [["content-type", "text/plain"]],
    })
    await client.put({ bucket: BUCKET, key: "member", body: MEMBER })
    await client.put({ bucket: BUCKET, key: "tar", body: archiveOf("member", MEMBER, shareOf(bench.scale, MEMBERS)) })
    return new Transformed(bench, store)
  }

  close(): Promise<void> {
    return this.store.close()
  }

  /** Reads of one beside reads of the other. */
  async beside(one: Read, other: Read, workers = WORKERS): Promise<Measured> {
    // The first reader makes what is kept.
    await this.read(one)
    const figure = await ratePerSecond(this.bench, workers, () => this.read(one))
    const limit = await ratePerSecond(this.bench, workers, () => this.read(other))
    return { figure, unit: "/s", limit }
  }

  private async read({ key, transform }: Read): Promise<void> {
    const { body } = await this.store.client.get(BUCKET, key, { transform })
    for await (const _ of body);
  }
}

interface Read {
  readonly key: string
  readonly transform?: string
}

const textOf = (mib: number): Uint8Array =>
  Buffer.from(Array.from({ length: (mib * MIB) / 16 }, (_, i) => `${String(i % 9973).padStart(15)}\n`).join(""))

const BLOCK_BYTES = 512

/** A ustar archive of members with the same bytes: `name-0`, `name-1` … */
function archiveOf(name: string, bytes: Uint8Array, members: number): Uint8Array {
  const padding = Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES)
  const all = Array.from({ length: members }, (_, i) => [headerOf(`${name}-${i}`, bytes.length), bytes, padding]).flat()
  return Buffer.concat([...all, Buffer.alloc(2 * BLOCK_BYTES)])
}

function headerOf(name: string, sizeBytes: number): Uint8Array {
  const header = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number, at: number, digits: number) => header.write(value.toString(8).padStart(digits, "0"), at)
  header.write(name, 0)
  octal(0o644, 100, 7)
  octal(sizeBytes, 124, 11)
  octal(0, 136, 11)
  header.write("        0", 148)
  header.write("ustar\x0000", 257, "latin1")
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  )
  return header
}

export const TRANSFORMS = theme({
  name: "transforms",
  open: bench => Transformed.open(bench),
  rows: scale => [
    {
      work: "GET of a small SVG through a rule (kept), against the original",
      measure: it => it.beside({ key: "icons/a.svg" }, { key: "a.svg" }),
    },
    {
      work: "GET of a small SVG with x-transform=svgmin (made each time), against the original",
      measure: it => it.beside({ key: "a.svg", transform: "svgmin" }, { key: "a.svg" }),
    },
    {
      work: `GET of a member of 8 KiB of an archive of ${shareOf(scale, MEMBERS)}, against an object of 8 KiB`,
      measure: it =>
        it.beside({ key: "tar", transform: `tar,member=member-${shareOf(scale, MEMBERS) / 2}` }, { key: "member" }),
    },
    {
      work: `GET of ${shareOf(scale, TEXT_MIB)} MiB of text with x-transform=gzip by one client, against the original`,
      measure: it => it.beside({ key: "text", transform: "gzip" }, { key: "text" }, 1),
    },
    {
      work: `GET of ${shareOf(scale, TEXT_MIB)} MiB of text with x-transform=zstd by one client, against the original`,
      measure: it => it.beside({ key: "text", transform: "zstd" }, { key: "text" }, 1),
    },
  ],
})
