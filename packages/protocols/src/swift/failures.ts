/**
 * Failures as Swift answers them: those of S3, with Swift's status where it has another one.
 *
 * Source  "Object Storage API", OpenStack, and the proxy server's source for 408, 422, 498 and 507.
 */
import type { Failure, FailureKind } from "@hayloft/base/failures.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { s3ErrorOf } from "../s3/index.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

interface SwiftError {
  readonly status: number
  readonly title: string
  readonly message: string
  readonly fields: readonly HeaderField[]
  /** The message is the whole body. */
  readonly isPlain: boolean
}

const STATUS: Partial<Readonly<Record<FailureKind, number>>> = {
  accessDenied: 403,
  invalidAccessKey: 401,
  signatureMismatch: 401,
  invalidToken: 401,
  tokenExpired: 401,
  badDigest: 422,
  invalidDigest: 422,
  entityTooLarge: 413,
  quotaExceeded: 413,
  missingLength: 411,
  invalidBucketName: 400,
  bucketExists: 409,
  requestTimeout: 408,
  rateExceeded: 498,
  deviceFull: 507,

  noSuchAccount: 404,
  accountDeleted: 410,
  isDeleteMarker: 404,
  noSuchVersion: 404,
  invalidUri: 412,
  incompleteBody: 499,
}

const TITLES: ReadonlyMap<number, string> = new Map([
  [400, "Bad Request"],
  [401, "Unauthorized"],
  [403, "Forbidden"],
  [404, "Not Found"],
  [405, "Method Not Allowed"],
  [408, "Request Timeout"],
  [409, "Conflict"],
  [410, "Gone"],
  [411, "Length Required"],
  [412, "Precondition Failed"],
  [413, "Request Entity Too Large"],
  [416, "Requested Range Not Satisfiable"],
  [422, "Unprocessable Entity"],
  [498, "Rate Limited"],
  [499, "Client Disconnect"],
  [501, "Not Implemented"],
  [503, "Service Unavailable"],
  [507, "Insufficient Storage"],
])

/** Returns the status that a report shows for a failure, like "404 Not Found". */
export const statusOf = (failure: Failure): string => {
  const { status, title } = swiftErrorOf(failure, false)
  return `${status} ${title}`
}

/** `isAnonymous`: nobody has signed in, so that signing in may help. */
export function swiftErrorOf(failure: Failure, isAnonymous: boolean): SwiftError {
  const error = s3ErrorOf(failure)
  const asked = failure.kind === "accessDenied" && isAnonymous ? 401 : STATUS[failure.kind]
  const status = asked ?? error.status
  const challenge: HeaderField[] = status === 401 ? [["Www-Authenticate", 'Swift realm="hayloft"']] : []
  const own = error.headers.filter(([name]) => !name.toLowerCase().startsWith("x-amz-"))
  const shown = own.map(([name, value]): HeaderField => [
    name,
    name === "ETag" && failure.details["quotesEtags"] !== true ? value.replaceAll('"', "") : value,
  ])
  const { deleteMarker, versionId } = failure.details
  const isMarker = failure.kind === "isDeleteMarker" || deleteMarker === true
  if (isMarker && typeof versionId === "string" && versionId !== NULL_VERSION)
    shown.push(["X-Object-Version-Id", versionId])
  if (failure.kind === "notModified") shown.push(["Accept-Ranges", "bytes"])
  const title = TITLES.get(status) ?? "Error"
  const isPlain = failure.details["isPlain"] === true
  return { status, title, message: error.message, fields: [...challenge, ...shown], isPlain }
}
