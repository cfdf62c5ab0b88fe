/** `.minio.sys/format.json`: to which set of disks a folder belongs. Pure; throws `damaged`, `unknownForm`. */
import { jsonMember } from "@hayloft/base/json.js"
import { damaged, DiskFailure } from "./failure.js"

export interface DriveFormat {
  /** The id of the whole MinIO, which may have several pools. */
  readonly deployment: string
  readonly drive: string
  /** The drives of each set of the pool, in order. */
  readonly sets: readonly (readonly string[])[]
}

const FORMS = ["xl", "xl-single"]
const ID = /^[0-9a-f-]{36}$/

export function parseDriveFormat(text: string): DriveFormat {
  const json = parsed(text)
  const format = jsonMember(json, "format")
  if (format === "fs")
    throw new DiskFailure(
      "unknownForm",
      "it is of MinIO's mode FS, from before 2022: start that MinIO and use hayloft import --from URL",
    )
  const xl = jsonMember(json, "xl")
  if (typeof format !== "string" || !FORMS.includes(format) || jsonMember(xl, "version") !== "3")
    throw new DiskFailure("unknownForm", "its format.json has an unknown form")
  const [deployment, drive, sets] = [jsonMember(json, "id"), jsonMember(xl, "this"), jsonMember(xl, "sets")]
  if (!isId(deployment) || !isId(drive) || !isSets(sets)) throw damaged("its format.json lacks the ids of disks")
  if (!sets.some(set => set.includes(drive))) throw damaged("its format.json does not list the disk itself")
  return { deployment, drive, sets }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged("its format.json is not JSON")
  }
}

const isId = (value: unknown): value is string => typeof value === "string" && ID.test(value)
const isSets = (value: unknown): value is readonly (readonly string[])[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(set => Array.isArray(set) && set.length > 0 && set.every(isId))
