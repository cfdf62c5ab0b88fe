/**
 * The remote of a bucket: the bucket of another S3 store that has its objects, and how they are read and written.
 *
 * Amazon has no such document. The prefix is text, of which remote keys have the UTF-8.
 *
 * Refuses  With `malformedXml` what the schema excludes; with `invalidRequest` names, prefixes and ages that cannot be right.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { REMOTE_WRITES, type Freshness, type RemoteSetting } from "@hayloft/features/remote-buckets/index.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childNamed, childText, requiredText, type XmlElement } from "@hayloft/base/text/xml-reader.js"
import { S3SettingReader, wordOf } from "./setting.js"
import type { S3Setting, SettingSource } from "./setting.js"

const STORE = /^[a-z0-9-]{1,64}$/
/** Whatever the remote allows, but nothing that would end a segment of a path, or leave it. */
const BUCKET = /^(?!\.{1,2}$)[^/\p{Cc}\ufffe\uffff]{1,255}$/u
const PREFIX_BYTES_MAX = 512
/** The stored document would have other characters in their place. */
const NOT_CARRIED_BY_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/
const AGE_SECONDS_MAX = 31_536_000

const CHECKS = ["Never", "Always", "Age"] as const satisfies readonly Freshness["check"][]

export const BUCKET_REMOTE: S3Setting<RemoteSetting> = {
  name: "remote",
  root: "RemoteConfiguration",
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: "NoSuchRemoteConfiguration",
  read(root) {
    checkChildren(root, ["Store", "Bucket", "Prefix", "Freshness", "ServeStale", "Writes", "OpaqueETags"])
    return {
      store: storeOf(root),
      bucket: bucketOf(root),
      prefix: prefixOf(root),
      freshness: freshnessOf(childNamed(root, "Freshness")),
      serveStale: isOn(root, "ServeStale"),
      writes: wordOf(childText(root, "Writes") ?? "Through", REMOTE_WRITES),
      opaqueEtags: isOn(root, "OpaqueETags"),
    }
  },
  write(xml, { store, bucket, prefix, freshness, serveStale, writes, opaqueEtags }) {
    const maxAgeSeconds = freshness.check === "Age" ? freshness.maxAgeSeconds : undefined
    xml
      .text("Store", store)
      .text("Bucket", bucket)
      .text("Prefix", prefix === "" ? undefined : prefix)
      .group("Freshness", one => one.text("Check", freshness.check).text("MaxAgeSeconds", maxAgeSeconds))
      .text("ServeStale", serveStale)
      .text("Writes", writes)
      .text("OpaqueETags", opaqueEtags)
  },
}

/** Reads the remotes of buckets, for what is outside of S3; undefined: the bucket is not remote. */
export function bucketRemoteReader(buckets: SettingSource): (bucket: Bucket) => Soon<RemoteSetting | undefined> {
  const reader = new S3SettingReader(buckets, BUCKET_REMOTE)
  return bucket => reader.of(bucket)
}

const invalid = (message: string) => fail("invalidRequest", { message })

function storeOf(root: XmlElement): string {
  const store = requiredText(root, "Store")
  if (STORE.test(store)) return store
  throw invalid("The name of a remote store has 1 to 64 characters: a to z, 0 to 9, and -.")
}

function bucketOf(root: XmlElement): string {
  const bucket = requiredText(root, "Bucket")
  if (BUCKET.test(bucket)) return bucket
  throw invalid("The name of a remote bucket has 1 to 255 characters, no / or control character, and is not . or ..")
}

function prefixOf(root: XmlElement): string {
  const prefix = childText(root, "Prefix") ?? ""
  if (Buffer.byteLength(prefix) > PREFIX_BYTES_MAX)
    throw invalid(`The prefix of a remote bucket has at most ${PREFIX_BYTES_MAX} bytes.`)
  if (NOT_CARRIED_BY_XML.test(prefix)) throw invalid("The prefix of a remote bucket has a character that XML lacks.")
  return prefix
}

function freshnessOf(element: XmlElement | undefined): Freshness {
  if (element === undefined) return { check: "Never" }
  checkChildren(element, ["Check", "MaxAgeSeconds"])
  const check = wordOf(childText(element, "Check"), CHECKS)
  const age = childText(element, "MaxAgeSeconds")?.trim()
  if (check === "Age") return { check, maxAgeSeconds: secondsOf(age) }
  if (age !== undefined) throw invalid(`MaxAgeSeconds is only for the check Age, not for ${check}.`)
  return { check }
}

function secondsOf(text: string | undefined): number {
  const seconds = text !== undefined && /^\d{1,8}$/.test(text) ? Number(text) : 0
  if (seconds >= 1 && seconds <= AGE_SECONDS_MAX) return seconds
  throw invalid(`The check Age needs MaxAgeSeconds, a whole number from 1 to ${AGE_SECONDS_MAX}.`)
}

const isOn = (root: XmlElement, name: string): boolean =>
  wordOf(childText(root, name)?.toLowerCase() ?? "false", ["true", "false"]) === "true"
