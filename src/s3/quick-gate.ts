/**
 * Who asks for which object, for the requests that come by the thousand, signed in the
 * Authorization header. Nothing here waits.
 *
 * Promises  Whoever is let through `Gatekeeper` and `Authority` would let through too. Nothing is refused here: undefined
 *           means that the handler has to judge.
 * Limits    `KNOWN_MAX` names and hosts are remembered.
 */
import type { Account, Keyring } from "../access/contract.js"
import { QuickVerifier } from "../access/index.js"
import { unlessRefused } from "../base/failures.js"
import { parseBucketName, parsePlainKey } from "../base/ids.js"
import type { BucketName, ObjectKey } from "../base/ids.js"
import type { HeaderShape } from "../base/request-headers.js"
import { percentDecode } from "../base/uri.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { AtOnce, Bucket } from "../object/contract.js"
import { SIGNATURE_SERVICE } from "./authenticate.js"
import { headerRow } from "./headers.js"
import { headersOf } from "./request-headers.js"
import type { RequestMeters } from "./request-meters.js"
import type { ActionName } from "./rights/actions.js"
import { headOfListing, type RequestHead } from "./rights/condition-values-core.js"
import { LISTING, type Place } from "./rights/authority.js"
import { mayAtOnce } from "./rights/plain-rights.js"
import { DEFAULT_REGION } from "./operations/buckets.js"
import type { BucketPolicy } from "./settings/bucket-policy.js"
import type { SettingReader } from "./settings/setting.js"
import { Query } from "./wire/query.js"
import { bucketOfHost, keyOfByteString } from "./wire/target.js"

/** A header whose answer depends on the rules of the bucket. */
const CROSS_ORIGIN = "origin"

/** The `x-amz-` headers that belong to the signature. */
const SIGNING_AMZ: ReadonlySet<string> = new Set(["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"])

const HEARING_OF_ABSENCE = [LISTING.noSuchKey] as const
const KNOWN_MAX = 1_000
/** Of what it says about buckets and versions, requests here have none. */
const NO_QUERY = new Query([])
/** What SDKs add to every request; it names the operation and changes nothing. */
const OPERATION_QUERY = /^x-id=[A-Za-z]+$/

export interface QuickSettings {
  readonly accounts: Keyring
  readonly bucketPolicies: SettingReader<BucketPolicy>
  readonly atOnce: AtOnce
  readonly region: string | undefined
  readonly domains: readonly string[]
  readonly meters: RequestMeters
  readonly hostId: string
}

/** An operation, and the actions that the request needs to be allowed. */
export interface QuickOperation {
  readonly name: string
  readonly actions: readonly ActionName[]
}

/** An object of the caller's own, and how the request's body is signed. */
export interface Admission {
  readonly operation: string
  readonly account: Account
  readonly accessKeyId: string
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly payloadHash: string
  /** Whether the caller is told that an object is not there. */
  readonly hearsOfAbsence: () => boolean
}

export class QuickGate {
  private readonly verifier: QuickVerifier
  /** Undefined: no bucket can have the name. */
  private readonly names = new Remembered<BucketName | undefined>(bucketNameOf)
  /** The bucket that a host names; undefined: the path does. */
  private readonly hosts: Remembered<string | undefined>
  private readonly hostLine: string

  constructor(private readonly settings: QuickSettings) {
    const { accounts, region, domains, hostId } = settings
    this.hostLine = HeaderLines.of(["x-amz-id-2", hostId]).text
    this.verifier = new QuickVerifier(
      { service: SIGNATURE_SERVICE, region },
      (...key) => accounts.knownSecret(...key)?.secret,
    )
    this.hosts = new Remembered(host => bucketOfHost(host, domains))
  }

  admit(exchange: Exchange, nowMs: number, { name: operation, actions }: QuickOperation): Admission | undefined {
    const { method, rawTarget, headers } = exchange
    const mark = rawTarget.indexOf("?")
    const path = mark < 0 ? rawTarget : rawTarget.slice(0, mark)
    const query = mark < 0 ? "" : rawTarget.slice(mark + 1)
    if (mark >= 0 && !OPERATION_QUERY.test(query)) return undefined
    const hostBucket = this.hosts.of(headers.get("host") ?? "")
    const slash = hostBucket === undefined ? path.indexOf("/", 1) : 0
    const key = slash < 0 ? undefined : keyIn(path.slice(slash + 1))
    if (key === undefined) return undefined
    const name = this.names.of(hostBucket ?? path.slice(1, slash))
    if (name === undefined) return undefined
    const verified = this.verifier.verify({ method, path, query, headers }, nowMs)
    if (verified === undefined) return undefined
    const { accessKeyId, token, signedMs, payloadHash } = verified
    const { accounts, atOnce, bucketPolicies, region = DEFAULT_REGION } = this.settings
    const known = accounts.knownSecret(accessKeyId, token, nowMs)
    const bucket = atOnce.bucket(name)
    if (known === undefined || bucket === undefined || bucket.owner !== known.account.id) return undefined
    const policy = bucketPolicies.now(bucket)
    if (policy === undefined) return undefined
    const headNow = () => headOf(exchange, { operation, nowMs, signedMs, region })
    const may = (asked: readonly ActionName[], place: Place, head: () => RequestHead): boolean => {
      // The policy may deny also the owner.
      if (known.isWholeRoot && policy.value === undefined) return true
      return mayAtOnce(known, policy.value?.named, asked, place, nowMs, head)
    }
    if (!may(actions, { bucket, key }, headNow)) return undefined
    accounts.noteUse(known, nowMs, SIGNATURE_SERVICE, region)
    const hearsOfAbsence = (): boolean => may(HEARING_OF_ABSENCE, { bucket }, () => headOfListing(headNow(), key))
    return { operation, account: known.account, accessKeyId, bucket, key, payloadHash, hearsOfAbsence }
  }

  /** The lines that every answer begins with. */
  idLines(requestId: string): string {
    return `x-amz-request-id: ${requestId}\r\n${this.hostLine}`
  }

  /** Keeps of a request that is answered here what the handler would. */
  note(exchange: Exchange, { operation, account, accessKeyId, bucket }: Admission): void {
    const { meters } = this.settings
    exchange.note({ operation, bucket: bucket.name, accessKeyId })
    exchange.countIn(meters.ofAccount(account.id))
    exchange.countIn(meters.ofBucket(bucket.name))
  }
}

/** Whether a header leaves a request as it is, by its lower-case name, but for those that the caller judges. */
export const leavesAsItIs = (name: string): boolean =>
  name.startsWith("x-amz-")
    ? SIGNING_AMZ.has(name) || headerRow(name)?.answer.kind === "noise"
    : name !== CROSS_ORIGIN && !name.startsWith("if-")

/** What policies may ask of a request for an object, signed in the Authorization header. */
function headOf(
  exchange: Exchange,
  known: Pick<RequestHead, "operation" | "nowMs" | "region"> & { readonly signedMs: number },
): RequestHead {
  const { rawHeaders, remoteAddress, tlsVersion } = exchange
  return {
    ...known,
    ...{ isOfBucket: false, query: NO_QUERY, headers: headersOf(rawHeaders), formTags: undefined, form: "header" },
    signatureVersion: "AWS4-HMAC-SHA256",
    ...{ userAgent: exchange.header("user-agent"), referer: exchange.header("referer"), remoteAddress, tlsVersion },
  }
}

/** What follows from the names of a request's headers, worked out once for each set of them; undefined: not for here. */
export class ByShape<Verdict> {
  private readonly known = new WeakMap<HeaderShape, Verdict | false>()

  constructor(private readonly judge: (shape: HeaderShape) => Verdict | undefined) {}

  of(shape: HeaderShape): Verdict | undefined {
    const known = this.known.get(shape)
    if (known !== undefined) return known === false ? undefined : known
    const verdict = this.judge(shape)
    this.known.set(shape, verdict ?? false)
    return verdict
  }
}

/** What follows from a text, worked out once; the last one asked for is found fastest. */
export class Remembered<Value> {
  private readonly known = new Map<string, Value>()
  private lastText = ""
  private lastValue: Value

  constructor(private readonly make: (text: string) => Value) {
    this.lastValue = make("")
  }

  of(text: string): Value {
    if (text === this.lastText) return this.lastValue
    const value = this.known.get(text) ?? this.make(text)
    if (this.known.size >= KNOWN_MAX) this.known.clear()
    this.known.set(text, value)
    this.lastText = text
    this.lastValue = value
    return value
  }
}

const bucketNameOf = (text: string): BucketName | undefined => unlessRefused(() => parseBucketName(text))

/** Undefined: no object can have the key. */
const keyIn = (rawKey: string): ObjectKey | undefined =>
  rawKey.includes("%") ? unlessRefused(() => keyOfByteString(percentDecode(rawKey))) : parsePlainKey(rawKey)
