/**
 * Parses the bucket and key that a request addresses, from the raw request target and the Host header.
 *
 * Promises  Key bytes are the target's bytes, decoded once and never normalised. A Host of
 *           `<bucket>.<domain>[:port]` is virtual-host style for each configured domain and always
 *           for `*.localhost`; every other Host is path style.
 * Refuses   Broken escapes, and an absolute-form target whose authority is not the Host: `invalidUri`.
 */
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfBytes, bytesOfByteString, parsePlainKey } from "@hayloft/base/ids.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"

export interface S3Target {
  /** The bucket that the request addresses, not yet checked; undefined for the service itself. */
  readonly bucket: string | undefined
  /** The key's bytes as a byte string; undefined for a bucket or the service. */
  readonly rawKey: string | undefined
  /** The query that the client sent, without its "?". */
  readonly rawQuery: string
  readonly style: "path" | "virtualHost"
  /** The path as sent and signed, for `<Resource>`. */
  readonly rawPath: string
}

const ALWAYS_A_DOMAIN = "localhost"

/** The name in a Host header: without its port and the dot of the root (RFC 3986, 3.2.2), in lower case. */
export const nameOfHost = (host: string): string => host.toLowerCase().replace(/\.?(?::\d*)?$/, "")

/** The bucket in a Host header; undefined for path style. `domains` in lower case. */
export function bucketOfHost(host: string, domains: readonly string[]): string | undefined {
  const name = nameOfHost(host)
  // The longest domain first: with `a.b` and `b` configured, `x.a.b` is bucket `x`.
  const matching = [...domains, ALWAYS_A_DOMAIN]
    .filter(domain => name.endsWith(`.${domain}`) && name.length > domain.length + 1)
    .sort((a, b) => b.length - a.length)
  const isDomainItself = domains.includes(name)
  const [domain] = matching
  return domain === undefined || isDomainItself ? undefined : name.slice(0, -domain.length - 1)
}

/** `hostBucket`: the result of `bucketOfHost`. Throws `invalidUri`. */
export function parseTarget(rawTarget: string, host: string, hostBucket: string | undefined): S3Target {
  const { rawPath, rawQuery, authority } = splitTarget(rawTarget)
  if (authority !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    throw fail("invalidUri", { message: "the request target names another host than the Host header" })
  }
  const path = rawPath.slice(1)
  if (hostBucket !== undefined) {
    return {
      bucket: hostBucket,
      rawKey: path === "" ? undefined : percentDecode(path),
      rawQuery,
      style: "virtualHost",
      rawPath,
    }
  }
  const slash = path.indexOf("/")
  const bucket = percentDecode(slash < 0 ? path : path.slice(0, slash))
  const key = slash < 0 ? "" : percentDecode(path.slice(slash + 1))
  return {
    bucket: bucket === "" && key === "" ? undefined : bucket,
    rawKey: key === "" ? undefined : key,
    rawQuery,
    style: "path",
    rawPath,
  }
}

/** The key of a byte string. Throws `keyTooLong`, `invalidKey`. */
export const keyOfByteString = (rawKey: string): ObjectKey =>
  parsePlainKey(rawKey) ?? objectKeyOfBytes(bytesOfByteString(rawKey))
