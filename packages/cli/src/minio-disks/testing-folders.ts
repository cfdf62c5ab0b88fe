/**
 * Folders that the real MinIO has written, each as one file: its files by path, in base64, as JSON, compressed.
 *
 * `golden/README.md` says how they were made.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib"
import { assert } from "@hayloft/base/assert.js"
import { isJsonObject } from "@hayloft/base/json.js"

/** Relative to dist/packages/cli/src/minio-disks/. */
const GOLDEN = fileURLToPath(new URL("../../../../../packages/cli/src/minio-disks/golden/", import.meta.url))
const WINDOW_BITS = 24

const fileOf = (name: string): string => join(GOLDEN, `${name}.json.br`)

/** Writes the files below `root`, but for those that MinIO removes at its next start. */
export async function packFolders(name: string, root: string): Promise<void> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter(entry => entry.isFile())
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .filter(path => !path.includes(".minio.sys/tmp/"))
    .sort()
  const files: Record<string, string> = {}
  for (const path of paths) files[path] = (await readFile(join(root, path))).toString("base64")
  const packed = brotliCompressSync(JSON.stringify(files), { params: { [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS } })
  await writeFile(fileOf(name), packed)
}

/** Writes the files of a golden folder below `root`. */
export async function unpackFolders(name: string, root: string): Promise<void> {
  const files: unknown = JSON.parse(brotliDecompressSync(await readFile(fileOf(name))).toString("utf8"))
  assert(isJsonObject(files), "a golden folder is an object")
  for (const [path, content] of Object.entries(files)) {
    const file = join(root, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, Buffer.from(String(content), "base64"))
  }
}
