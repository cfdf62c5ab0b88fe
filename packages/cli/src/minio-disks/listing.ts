/**
 * The objects of a bucket on the disks of MinIO, in the order of keys.
 *
 * A key is a path of folders; the last one has the metadata, and beside it folders of parts, and those of keys that go on. A key
 * that ends with a slash has a folder whose name ends with `__XLDIR__`.
 *
 * Promises  Keys come in the order of their UTF-8. A name that is not UTF-8 and a folder that cannot be read are told.
 * Limits    The names in each folder on the way to the current key are in memory, and the metadata of one key.
 */
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { mapBounded } from "@hayloft/base/life/index.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Drive } from "./drive-sets-core.js"
import type { MinioDrives } from "./drives.js"
import { DiskFailure } from "./failure.js"
import { parseXlJson } from "./legacy-object.js"
import { mergeReports, newestFirst, type DriveReport, type MergedObject } from "./merged.js"
import { parseXlMeta } from "./xl-meta.js"

export const XL_META = "xl.meta"
const XL_JSON = "xl.json"
const FOLDER_KEY = "__XLDIR__"
/** All of a set. */
const DRIVES_CONCURRENT = 16
const META_BYTES_MAX = 256 * MIB

export interface DiskObject extends MergedObject {
  readonly key: string
  /** The folder of the object, below that of a disk. */
  readonly path: string
}

/** The names in a folder of several disks. */
interface Names {
  readonly drives: ReadonlyMap<string, ReadonlySet<Drive>>
  /** Disks that did not answer. */
  readonly broken: ReadonlySet<Drive>
}

/** One of the two that can be at a name, in the order in which keys come. */
interface Item {
  readonly order: Buffer
  readonly name: string
  readonly key: string
  readonly kind: "object" | "tree"
}

export class Listing {
  constructor(
    private readonly drives: Pick<MinioDrives, "sets" | "unhealed">,
    private readonly onProblem: (message: string) => void,
  ) {}

  /** Folders in the root of any disk that may be buckets, also of an old MinIO, whose names stores refuse today. */
  async buckets(): Promise<readonly string[]> {
    const { drives } = await this.#names("")
    return [...drives.keys()].filter(name => /^[A-Za-z0-9][A-Za-z0-9._:-]{1,61}[A-Za-z0-9]$/.test(name)).sort()
  }

  async *objects(bucket: string, prefix: string): AsyncGenerator<DiskObject, void, void> {
    yield* this.#tree(bucket, "", prefix, new Set())
  }

  /** One object, if it is there. `path`: below the folder of a disk. */
  async object(path: string): Promise<MergedObject> {
    return this.#read(path, new Set(), () => true)
  }

  /** `parts`: folders of the parts of the object whose folder this is. */
  async *#tree(
    path: string,
    keyBefore: string,
    prefix: string,
    parts: ReadonlySet<string>,
  ): AsyncGenerator<DiskObject, void, void> {
    const { drives, broken } = await this.#names(path)
    const partsOf = new Map<string, ReadonlySet<string>>()
    for (const { name, key, kind } of itemsOf(drives.keys(), keyBefore, prefix, parts)) {
      const below = `${path}/${name}`
      if (kind === "tree") {
        yield* this.#tree(below, key, prefix, partsOf.get(name) ?? new Set())
        partsOf.delete(name)
        continue
      }
      const object = await this.#read(below, broken, drive => drives.get(name)?.has(drive) === true)
      partsOf.set(name, foldersOf(object))
      const isThere = object.versions.length > 0 || object.lost.length > 0 || object.leftovers > 0
      if (isThere && key.startsWith(prefix)) yield { ...object, key, path: below }
    }
  }

  async #read(path: string, broken: ReadonlySet<Drive>, has: (drive: Drive) => boolean): Promise<MergedObject> {
    const merged: MergedObject[] = []
    for (const set of this.drives.sets) {
      const reports = await mapBounded(set, DRIVES_CONCURRENT, async (drive): Promise<DriveReport> => {
        if (drive === undefined || broken.has(drive)) return { kind: "unknown", why: "" }
        return has(drive) ? reportOf(join(drive, path)) : { kind: "absent" }
      })
      merged.push(mergeReports(set, reports, this.drives.unhealed))
    }
    const [only] = merged
    if (merged.length === 1 && only !== undefined) return only
    // While a pool is emptied, two have the same version.
    const versions = new Map(
      merged.flatMap(({ versions }) => versions.map(one => [`${one.id} ${one.modifiedNs}`, one])),
    )
    return {
      versions: [...versions.values()].sort(newestFirst),
      lost: merged.flatMap(({ lost }) => lost.filter(({ id, modifiedNs }) => !versions.has(`${id} ${modifiedNs}`))),
      leftovers: merged.reduce((sum, { leftovers }) => sum + leftovers, 0),
      damaged: merged.flatMap(({ damaged }) => damaged),
      lacking: merged.flatMap(({ lacking }) => lacking),
    }
  }

  async #names(path: string): Promise<Names> {
    const found = new Map<string, Set<Drive>>()
    const broken = new Set<Drive>()
    for (const drive of this.drives.sets.flat()) {
      if (drive === undefined) continue
      const folder = join(drive, path)
      const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
        if (isAbsent(error)) return []
        broken.add(drive)
        this.onProblem(`${folder} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
        return []
      })
      for (const entry of entries) {
        if (!entry.isDirectory()) continue
        if (entry.name.includes("\ufffd")) this.onProblem(`${join(folder, entry.name)}: its name is not UTF-8`)
        else found.set(entry.name, (found.get(entry.name) ?? new Set()).add(drive))
      }
    }
    return { drives: found, broken }
  }
}

/** The order of keys is not that of names: `a-b` comes after the object `a`, and before what is in the folder `a`. */
function itemsOf(
  names: Iterable<string>,
  keyBefore: string,
  prefix: string,
  parts: ReadonlySet<string>,
): readonly Item[] {
  const items: Item[] = []
  const add = (name: string, keyEnd: string, kind: Item["kind"]): void => {
    const key = `${keyBefore}${keyEnd}`
    if (key.startsWith(prefix) || prefix.startsWith(key)) items.push({ order: Buffer.from(keyEnd), name, key, kind })
  }
  for (const name of names) {
    if (parts.has(name)) continue
    if (name.endsWith(FOLDER_KEY)) add(name, `${name.slice(0, -FOLDER_KEY.length)}/`, "object")
    else {
      add(name, name, "object")
      add(name, `${name}/`, "tree")
    }
  }
  // The object comes before what is below its key.
  const rank = ({ kind }: Item): number => (kind === "object" ? 0 : 1)
  return items.sort((a, b) => Buffer.compare(a.order, b.order) || rank(a) - rank(b))
}

const foldersOf = ({ versions }: MergedObject): ReadonlySet<string> =>
  new Set(versions.flatMap(version => (version.kind === "object" ? [version.stored.dataFolder] : [])))

/** Reads what the folder of an object on one disk says. */
async function reportOf(folder: string): Promise<DriveReport> {
  try {
    const path = join(folder, XL_META)
    const bytes = (await bytesOf(path)) ?? undefined
    if (bytes !== undefined) return { kind: "versions", versions: parseXlMeta(bytes) }
    const json = await bytesOf(join(folder, XL_JSON))
    return json === undefined
      ? { kind: "absent" }
      : { kind: "versions", versions: [parseXlJson(json.toString("utf8"))] }
  } catch (error) {
    return { kind: "unknown", why: `${folder}: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Returns undefined if there is no such file. */
async function bytesOf(path: string): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path)
    if (size > META_BYTES_MAX) throw new DiskFailure("unknownForm", `${path} is longer than ${META_BYTES_MAX} bytes`)
    return await readFile(path)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")
