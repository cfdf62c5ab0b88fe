/** All rows, in the order of the list of behaviours. */
import { lineOf } from "../row.js"
import type { Row } from "../row.js"
import { aclRows } from "./acl.js"
import { archiveRows } from "./archives.js"
import { bucketAndRestRows } from "./buckets.js"
import { conditionRows } from "./conditions.js"
import { copyAndVersionRows } from "./copy-versions.js"
import { corsRows } from "./cors.js"
import { encryptionRows } from "./encryption.js"
import { formRows } from "./forms.js"
import { httpRows } from "./http.js"
import { lifecycleRows } from "./lifecycle.js"
import { listingRows } from "./listing.js"
import { lockRows } from "./lock.js"
import { multipartRows } from "./multipart.js"
import { objectRows } from "./objects.js"
import { pathRows } from "./paths.js"
import { payloadRows } from "./payloads.js"
import { refusalRows } from "./refusals.js"
import { renameRows } from "./renames.js"
import { reportedRows } from "./reported.js"
import { settingRows } from "./settings.js"
import { signatureV2Rows } from "./signatures-v2.js"
import { signatureRows } from "./signatures.js"
import { storageClassRows } from "./storage-classes.js"
import { websiteRows } from "./websites.js"

const all: readonly Row[] = [
  ...pathRows,
  ...refusalRows,
  ...httpRows,
  ...signatureRows,
  ...signatureV2Rows,
  ...payloadRows,
  ...objectRows,
  ...conditionRows,
  ...listingRows,
  ...multipartRows,
  ...copyAndVersionRows,
  ...bucketAndRestRows,
  ...formRows,
  ...settingRows,
  ...aclRows,
  ...corsRows,
  ...encryptionRows,
  ...lockRows,
  ...lifecycleRows,
  ...archiveRows,
  ...storageClassRows,
  ...websiteRows,
  ...renameRows,
  ...reportedRows,
]

const place = (row: Row): number => lineOf(row) * 1000 + Number(row.id.split(".")[1])

export const ROWS: readonly Row[] = [...all].sort((left, right) => place(left) - place(right))

/** Rows about requests alone: signatures, HTTP, bodies on their way, and refusals, wherever a server keeps its metadata. */
export const ROWS_OF_REQUESTS: ReadonlySet<Row> = new Set([
  ...refusalRows,
  ...httpRows,
  ...signatureRows,
  ...signatureV2Rows,
  ...payloadRows,
])

/** Lines of the list, first and last, that rows can belong to. */
export const LINES = { first: 1, last: 101 } as const

/** Lines that no request from outside can decide, and why. */
export const LINES_WITHOUT_ROWS: Readonly<Record<number, string>> = {
  25: "overload, full disks and failures in the middle of a body need faults from inside",
}
