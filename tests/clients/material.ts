/** Test data of the clients: awkward keys, sizes around the store's limits, trees of files. */
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { md5Hex } from "../../conformance/checksums.js"
import { bodyOf, claimOf } from "../../sim/history/index.js"

const KIB = 1024
const MIB = 1024 * KIB

/** Keys that clients, proxies and servers often alter in transit. */
export const KEYS: readonly string[] = [
  "plain.txt",
  "with space and  two",
  "plus+sign",
  "100%",
  "%41%2F",
  "caf\u00e9",
  "cafe\u0301",
  "emoji \u{1f600}",
  "/leading",
  "double//slash",
  "trailing/",
  "../up",
  "a/../b",
  "a/./b",
  "quote\"'<&>",
  "semi;colon:at@eq=comma,dollar$excl!star*(paren)~hash#question?",
  "k".repeat(1000) + "/" + "m".repeat(23),
]

/** Keys that are valid file names. */
export const FILE_KEYS: readonly string[] = [
  "plain.txt",
  "with space and  two",
  "plus+sign",
  "100%",
  "%41%2F",
  "caf\u00e9",
  "cafe\u0301",
  "emoji \u{1f600}",
  "deep/er/and deeper/file",
  "quote\"'&",
]

/** Sizes around 0, the inline limit, the block, and the parts of common clients. */
export const SIZES: readonly number[] = [
  0,
  1,
  4 * KIB - 1,
  4 * KIB,
  4 * KIB + 1,
  4 * MIB - 1,
  4 * MIB,
  4 * MIB + 1,
  5 * MIB,
  8 * MIB - 1,
  8 * MIB + 1,
  17 * MIB,
]

/** The sizes of bodies that fit in one large block, or do just not. */
export const SIZES_TO_A_BLOCK: readonly number[] = SIZES.filter(size => size <= 4 * MIB + 1)

/** Bytes of this size, different for each name. */
export const bytesFor = (name: string, lengthBytes: number): Uint8Array =>
  bodyOf(claimOf({ seed: 1, key: name, number: 1, lengthBytes }))

/** Writes a tree of files: a small file for each awkward name, and one file of each size. */
export async function writeTree(folder: string, sizes: readonly number[]): Promise<void> {
  const files = [
    ...FILE_KEYS.map(key => [key, 100] as const),
    ...sizes.map(size => [`sizes/${size}.bin`, size] as const),
  ]
  for (const [name, size] of files) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytesFor(name, size))
  }
}

/** Returns each file below a folder with the MD5 of its bytes. */
export async function treeOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath ?? entry.path, entry.name))
  const pairs = await Promise.all(
    paths.map(async path => [relative(folder, path), md5Hex(await readFile(path))] as const),
  )
  return Object.fromEntries(pairs.sort(([left], [right]) => (left < right ? -1 : 1)))
}

export { KIB, MIB }
