/** The content of the address of a bucket's objects: the folder, the search and the filter; and links to others. */
import type { ObjectName } from "../api/s3.js"
import { pathTo, place } from "../shell/router.js"

export interface Shown {
  readonly bucket: string
  readonly folder: string
  readonly search: string
  /** Names that begin with the search, not those that contain it. */
  readonly isPrefix: boolean
  readonly isFlat: boolean
  readonly hasVersions: boolean
  /** A local time; "": now. */
  readonly at: string
}

export function shownOf(bucket: string): Shown {
  const { query } = place.value
  const has = (name: string) => query.get(name) !== null
  const at = query.get("at") ?? ""
  return {
    bucket,
    folder: query.get("folder") ?? "",
    search: query.get("search") ?? "",
    isPrefix: has("begins"),
    isFlat: has("flat"),
    hasVersions: has("versions") && at === "",
    at,
  }
}

/** Only names of present objects are searched within: versions and former objects by their beginnings. */
export const isSearchWithin = ({ search, isPrefix, hasVersions, at }: Shown): boolean =>
  search !== "" && !isPrefix && !hasVersions && at === ""

/** The prefix that all rows have which are shown: those of a search within names have that of the folder. */
export const prefixOf = (shown: Shown): string => shown.folder + (isSearchWithin(shown) ? "" : shown.search)

export const filterOf = ({ isPrefix, isFlat, hasVersions, at }: Shown) => ({
  ...(at === "" ? {} : { at }),
  ...(isPrefix ? { begins: "yes" } : {}),
  ...(isFlat ? { flat: "yes" } : {}),
  ...(hasVersions ? { versions: "yes" } : {}),
})

/** The address of a folder of a bucket, with the same filter. */
export const folderPath = (shown: Shown, folder: string): string =>
  pathTo(["buckets", shown.bucket], { ...filterOf(shown), folder: folder || undefined })

export const bucketPage = (bucket: string, folder = ""): string =>
  pathTo(["buckets", bucket], { folder: folder || undefined })

/** The address of an object, or a version. */
export const objectPath = (
  { bucket, key, versionId }: ObjectName,
  more: Readonly<Record<string, string | undefined>> = {},
): string => pathTo(["buckets", bucket], { ...more, key, version: versionId })

/** The folders above one, the outermost first, as whole prefixes. */
export const foldersAbove = (folder: string): readonly string[] => {
  const parts = folder.split("/").slice(0, -1)
  return parts.map((_, at) => `${parts.slice(0, at + 1).join("/")}/`)
}

/** The name of a folder without those above it. */
export const lastPart = (folder: string): string => folder.split("/").at(-2) ?? folder

/** The name of an object without its folders. */
export const fileName = (key: string): string => key.split("/").at(-1) ?? key
