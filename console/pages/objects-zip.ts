/**
 * Several objects as one ZIP file, made in this browser: each is read with the rights of who has signed in.
 *
 * Promises  The archive has all of them, or none is made. Names are UTF-8, differ, and never leave the archive's folder.
 * Limits    `ZIP_OBJECTS_MAX` and `ZIP_BYTES_MAX`: the browser keeps what it has read until the file is stored. Objects are
 *           stored as they are, not compressed.
 */
import { ApiError } from "../api/client.js"
import { contentOf, keysBelow, type Row } from "../api/s3.js"
import { countText, sizeText } from "../parts/format.js"
import type { Item } from "./objects-selection.js"

export const ZIP_OBJECTS_MAX = 2_000
/** Offsets and sizes of a plain archive are numbers of 32 bits. */
export const ZIP_BYTES_MAX = 2 * 2 ** 30

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
/** The version of the format, the flag for names in UTF-8, and no compression. */
const COMMON = [20, 0x0800, 0] as const

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  return crc
})

async function crcOf(content: Blob): Promise<number> {
  let crc = ~0
  const reader = content.stream().getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return ~crc >>> 0
    for (const byte of value) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0)
  }
}

/** Numbers of 16 and 32 bits, little endian, in their order. */
function numbers(fields: readonly (readonly [bits: 16 | 32, value: number])[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bits]) => sum + bits / 8, 0)))
  let at = 0
  for (const [bits, value] of fields) {
    if (bits === 16) view.setUint16(at, value, true)
    else view.setUint32(at, value, true)
    at += bits / 8
  }
  return view.buffer
}

/** A time as archives have it, local, in steps of two seconds from 1980 on. */
function timeFields(timeMs: number): readonly (readonly [16, number])[] {
  const time = new Date(Math.max(timeMs, Date.UTC(1980, 0, 2)))
  const clock = (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1)
  const day = ((time.getFullYear() - 1980) << 9) | ((time.getMonth() + 1) << 5) | time.getDate()
  return [
    [16, clock],
    [16, day],
  ]
}

interface Entry {
  readonly name: string
  readonly modifiedMs: number
  readonly content: Blob
}

/** The archive of the entries. Pure, apart from the time zone. */
export async function zipOf(entries: AsyncIterable<Entry>): Promise<Blob> {
  const [parts, central]: [BlobPart[], BlobPart[]] = [[], []]
  let [offset, centralBytes, count] = [0, 0, 0]
  for await (const { name, modifiedMs, content } of entries) {
    const bytes = new TextEncoder().encode(name)
    const facts = [
      ...COMMON.map(value => [16, value] as const),
      ...timeFields(modifiedMs),
      [32, await crcOf(content)] as const,
      [32, content.size] as const,
      [32, content.size] as const,
      [16, bytes.length] as const,
      [16, 0] as const,
    ]
    const local = numbers([[32, LOCAL], ...facts])
    const listed = numbers([[32, CENTRAL], [16, 20], ...facts, [16, 0], [16, 0], [16, 0], [32, 0], [32, offset]])
    parts.push(local, bytes, content)
    central.push(listed, bytes)
    offset += local.byteLength + bytes.length + content.size
    centralBytes += listed.byteLength + bytes.length
    count += 1
  }
  const end = numbers([
    [32, END],
    [16, 0],
    [16, 0],
    [16, count],
    [16, count],
    [32, centralBytes],
    [32, offset],
    [16, 0],
  ])
  return new Blob([...parts, ...central, end], { type: "application/zip" })
}

/**
 * A name within the archive: behind the folder that is shown, without steps that lead out of it, also on systems that separate
 * folders by backslashes. A name that is taken gets a number: `a//b` and `a/b` are two objects.
 */
function nameIn(key: string, folder: string, taken: Set<string>): string {
  const name = key
    .slice(key.startsWith(folder) ? folder.length : 0)
    .replaceAll("\\", "_")
    .split("/")
    .filter(part => part !== "" && part !== "." && part !== "..")
    .join("/")
  let free = name
  for (let number = 2; taken.has(free); number += 1) free = `${name} (${number})`
  taken.add(free)
  return free
}

const tooMuch = (): ApiError => {
  const most = `${countText(ZIP_OBJECTS_MAX)} objects and ${sizeText(ZIP_BYTES_MAX)}`
  return new ApiError(0, "tooMuch", `An archive has ${most} at most: select less, or use an S3 client.`)
}

async function rowsOf(bucket: string, items: readonly Item[]): Promise<readonly Row[]> {
  const rows = new Map<string, Row>()
  for (const item of items) {
    const found = item.kind === "row" ? [item.row] : await keysBelow(bucket, item.prefix, ZIP_OBJECTS_MAX)
    for (const row of found) rows.set(row.key, row)
    const bytes = [...rows.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    if (rows.size > ZIP_OBJECTS_MAX || bytes > ZIP_BYTES_MAX) throw tooMuch()
  }
  return [...rows.values()].filter(({ key, isMarker }) => !isMarker && !key.endsWith("/"))
}

/** Reads the objects and has the browser store them. `progress` is told how many have been read. */
export async function downloadZip(
  archived: {
    readonly bucket: string
    readonly folder: string
    readonly items: readonly Item[]
    readonly name: string
  },
  progress: (done: number, all: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { bucket, folder, items, name } = archived
  const rows = await rowsOf(bucket, items)
  async function* entries(): AsyncGenerator<Entry> {
    const taken = new Set<string>()
    let bytes = 0
    for (const [at, { key, modifiedMs }] of rows.entries()) {
      progress(at, rows.length)
      const content = await contentOf({ bucket, key }, signal)
      // It may have grown since it was listed.
      bytes += content.size
      if (bytes > ZIP_BYTES_MAX) throw tooMuch()
      yield { name: nameIn(key, folder, taken), modifiedMs, content }
    }
  }
  const url = URL.createObjectURL(await zipOf(entries()))
  const link = document.createElement("a")
  link.href = url
  link.download = `${name}.zip`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), REVOKED_MS)
}

/** The browser has begun to store the file by then. */
const REVOKED_MS = 60_000
