/**
 * The ways of keeping objects that a simulation compares: policies of Hayloft, and what Garage and MinIO do with the same
 * devices.
 *
 * `replica:3`, `ec:4+2`: Hayloft. `garage` or `garage:2`: copies in as many zones, in 256 partitions. `minio` or
 * `minio:12+4`: erasure sets of fixed drives; if no size is named, the size and parity that MinIO chooses by default.
 */
import { PARTITIONS } from "@hayloft/base/limits.js"
import { asFailure, sentenceOf } from "@hayloft/base/failures.js"
import { parsePolicy, shardCount, shardsNeeded, textOfPolicy } from "@hayloft/base/policy.js"
import { setsOf } from "./chances-core.js"

type System = "hayloft" | "garage" | "minio"

export interface Scheme {
  /** The scheme as text that `parseScheme` can read, with all numbers. */
  readonly text: string
  readonly system: System
  readonly shards: number
  /** Shards that must be left. */
  readonly needed: number
  /** Devices of a group that must answer. */
  readonly neededToRead: number
  /** The same for a write that is as redundant as the policy says. Hayloft also writes to fewer, under a narrower one. */
  readonly neededToWrite: number
  /** Distinct sets of devices that hold an object together. */
  readonly groups: number
  /** The place where a lost device is rebuilt: on all others, or on the spare that replaces it. */
  readonly rebuild: "others" | "spare"
}

interface Problem {
  readonly problem: string
}

/** Partitions of a Garage cluster. */
const GARAGE_PARTITIONS = 256
const MINIO_SET_MAX = 16
const MINIO_SET_MIN = 2
const POLICIES = "replica:3, ec:4+2, garage, garage:2, minio or minio:12+4"

/** The schemes that are compared if no policy is named. */
export const COMPARED_DEFAULT: readonly string[] = ["replica:3", "ec:4+2", "ec:8+3", "ec:10+4", "garage", "minio"]

/** The scheme on so many devices, or why there is none. */
export function parseScheme(text: string, devices: number): Scheme | Problem {
  const scheme = schemeOf(text, devices)
  if ("problem" in scheme || scheme.shards <= devices) return scheme
  return { problem: `needs ${scheme.shards} devices; the layout has ${devices}` }
}

function schemeOf(text: string, devices: number): Scheme | Problem {
  const garage = /^garage(?::([1-9]))?$/.exec(text)
  if (garage !== null) return garageOf(Number(garage[1] ?? 3), devices)
  const minio = /^minio(?::(\d{1,2})\+(\d{1,2}))?$/.exec(text)
  if (minio !== null) return minioOf(minio[1] && Number(minio[1]), Number(minio[2] ?? 0), devices)
  return hayloftOf(text, devices)
}

function hayloftOf(text: string, devices: number): Scheme | Problem {
  try {
    const policy = parsePolicy(text)
    const [shards, needed] = [shardCount(policy), shardsNeeded(policy)]
    return {
      text: textOfPolicy(policy),
      system: "hayloft",
      shards,
      needed,
      neededToRead: needed,
      neededToWrite: Math.min(shards, needed + 1),
      groups: Math.min(PARTITIONS, setsOf(shards, devices)),
      // Slots of a lost device go to the others only if the layout stays as wide (docs/decisions/0012).
      rebuild: devices > shards ? "others" : "spare",
    }
  } catch (error) {
    const failure = asFailure(error)
    return failure.kind === "invalidConfig"
      ? { problem: `${sentenceOf(failure)}; policies are ${POLICIES}` }
      : { problem: `not a policy; policies are ${POLICIES}` }
  }
}

function garageOf(copies: number, devices: number): Scheme {
  const quorum = Math.floor(copies / 2) + 1
  return {
    text: `garage:${copies}`,
    system: "garage",
    shards: copies,
    needed: 1,
    neededToRead: copies + 1 - quorum,
    neededToWrite: quorum,
    groups: Math.min(GARAGE_PARTITIONS, setsOf(copies, devices)),
    rebuild: "spare",
  }
}

function minioOf(data: number | "" | undefined, parity: number, devices: number): Scheme | Problem {
  const automatic = data === undefined || data === ""
  const size = automatic ? largestSet(devices) : data + parity
  if (size === undefined)
    return {
      problem: `MinIO divides drives into sets of ${MINIO_SET_MIN} to ${MINIO_SET_MAX}, and ${devices} has no such divisor`,
    }
  const m = automatic ? defaultParity(size) : parity
  const k = size - m
  if (size > MINIO_SET_MAX || m < 1 || m > k)
    return {
      problem: `a set of MinIO has up to ${MINIO_SET_MAX} drives, of which parity is at least 1 and at most half`,
    }
  if (devices % size !== 0) return { problem: `${devices} devices cannot be divided into sets of ${size} drives` }
  return {
    text: `minio:${k}+${m}`,
    system: "minio",
    shards: size,
    needed: k,
    neededToRead: k,
    neededToWrite: k === m ? k + 1 : k,
    groups: devices / size,
    rebuild: "spare",
  }
}

/** MinIO chooses the largest set that divides the drives. */
function largestSet(devices: number): number | undefined {
  for (let size = MINIO_SET_MAX; size >= MINIO_SET_MIN; size -= 1) if (devices % size === 0) return size
  return undefined
}

function defaultParity(drives: number): number {
  if (drives < 4) return 1
  if (drives < 6) return 2
  return drives < 8 ? 3 : 4
}
