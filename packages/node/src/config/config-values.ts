/**
 * Value parsers: one function for each kind of value. Each returns the checked value, or throws `invalidConfig` with
 * one line that states the expected form; `where` names the flag, variable or key of the text.
 */
import { bytesOfSize } from "@hayloft/base/text/quantity-text.js"
import { isAbsolute, relative, resolve } from "node:path"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, DEVICES_MAX, GIB, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { parseAccessKeyId, parseBucketName, type AccessKeyId, type BucketName } from "@hayloft/base/ids.js"
import { parsePolicy, type MatrixKind, type Policy } from "@hayloft/base/policy.js"
import type { ListenAddress } from "./config.js"

/** Upper bound for one brace expression, before the check against `DEVICES_MAX`. */
const EXPANSION_MAX = 1024
const ISSUER_CHARACTERS_MAX = 255
const SECRET_CHARACTERS_MIN = 8
const SECRET_CHARACTERS_MAX = 128

const refuse = (where: string, text: string, advice: string): never => {
  throw fail("invalidConfig", { message: `${where}: "${text.slice(0, 80)}" is not ${advice}` })
}

/** Expands every `{a...b}` of whole numbers; `{01...12}` keeps the width. Returns text without braces unchanged. */
export function expandBraces(text: string, where: string): string[] {
  const brace = /\{(\d{1,6})\.\.\.(\d{1,6})\}/.exec(text)
  if (!brace) {
    if (/[{}]/.test(text)) refuse(where, text, "a folder or a range of folders like disk{1...7}")
    return [text]
  }
  const [whole, first = "", last = ""] = brace
  const count = Number(last) - Number(first) + 1
  if (count < 1 || count > EXPANSION_MAX) refuse(where, text, "an ascending range of folders like disk{1...7}")
  const width = first.startsWith("0") || last.startsWith("0") ? Math.max(first.length, last.length) : 0
  const before = text.slice(0, brace.index)
  const rests = expandBraces(text.slice(brace.index + whole.length), where)
  if (count * rests.length > EXPANSION_MAX) refuse(where, text, `a range of at most ${EXPANSION_MAX} folders`)
  return Array.from({ length: count }, (_, i) => String(Number(first) + i).padStart(width, "0")).flatMap(number =>
    rests.map(rest => `${before}${number}${rest}`),
  )
}

/** Parses data folders into absolute paths: no duplicates, none inside another, at most `DEVICES_MAX`. */
export function parseDataFolders(
  texts: readonly string[],
  where: string,
  workingFolder: string,
  foldersMax: number = DEVICES_MAX,
): string[] {
  const folders = texts
    .flatMap(text => {
      if (text === "") refuse(where, text, "a folder")
      if (text.includes(","))
        refuse(where, text, "one folder; repeat the setting for several, or use a range like disk{1...7}")
      return expandBraces(text, where)
    })
    .map(path => resolve(workingFolder, path))
  if (folders.length > foldersMax) {
    throw fail("invalidConfig", {
      message: `${where}: ${folders.length} data folders, but at most ${foldersMax} are possible`,
    })
  }
  for (const [i, folder] of folders.entries()) {
    for (const other of folders.slice(i + 1)) {
      if (folder === other) throw fail("invalidConfig", { message: `${where}: the folder ${folder} is named twice` })
      const inside = isInside(folder, other) ? [folder, other] : isInside(other, folder) ? [other, folder] : undefined
      if (inside) {
        throw fail("invalidConfig", {
          message: `${where}: ${inside[0]} is inside ${inside[1]}; use a separate folder for each device`,
        })
      }
    }
  }
  return folders
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way !== "" && !way.startsWith("..") && !isAbsolute(way)
}

export function parseRedundancy(text: string, where: string, matrix: MatrixKind | undefined): Policy {
  try {
    const policy = parsePolicy(text, matrix)
    if (policy.kind === "replica" && matrix !== undefined) {
      throw fail("invalidConfig", { message: `replica:N uses no matrix: omit --matrix, or choose ec:K+M` })
    }
    if (policy.kind === "ec" && matrix !== undefined && policy.matrix !== matrix) {
      throw fail("invalidConfig", { message: `the matrix is set twice, to ${policy.matrix} and to ${matrix}` })
    }
    return policy
  } catch (error) {
    if (isFailure(error, "invalidConfig")) throw fail("invalidConfig", { message: `${where}: ${error.message}` })
    throw error
  }
}

export function parseChoice<const T extends string>(text: string, where: string, choices: readonly T[]): T {
  const choice = choices.find(candidate => candidate === text)
  return choice ?? refuse(where, text, `one of ${choices.join(", ")}`)
}

export function parseCount(text: string, where: string, range: { min: number; max: number }): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  if (!(value >= range.min && value <= range.max))
    refuse(where, text, `a whole number from ${range.min} to ${range.max}`)
  return value
}

export function parseBlockSize(text: string, where: string): number {
  const bytes = bytesOfSize(text)
  const valid =
    bytes !== undefined && bytes >= BLOCK_BYTES_MIN && bytes <= BLOCK_BYTES_MAX && bytes % SUB_BLOCK_BYTES === 0
  return valid ? bytes : refuse(where, text, "a block size: 1MiB to 64MiB, in steps of 64KiB (4MiB is usual)")
}

/** Memory for a cache. */
export function parseMemory(text: string, where: string): number {
  const bytes = bytesOfSize(text)
  const valid = bytes !== undefined && bytes >= MIB && bytes <= 1024 * GIB
  return valid ? bytes : refuse(where, text, "a size from 1MiB to 1TiB, like 512MiB")
}

const DURATION_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses `30s`, `10m`, `1h` or `7d` into milliseconds, from a second to a year. */
export function parseDuration(text: string, where: string): number {
  const [, number, unit] = /^(\d{1,8})([smhd])$/.exec(text) ?? []
  const durationMs = Number(number) * (DURATION_MS[unit ?? ""] ?? NaN)
  const isInRange = durationMs >= 1_000 && durationMs <= 366 * 86_400_000
  return isInRange ? durationMs : refuse(where, text, "a duration like 30s, 10m, 1h or 7d")
}

/** Parses `HOST:PORT` or `[::1]:PORT`; port 0 means any free port. */
export function parseListen(text: string, where: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) {
    return refuse(where, text, "HOST:PORT (try 127.0.0.1:9000, or 0.0.0.0:9000 for every interface)")
  }
  return { host, port }
}

export function parseDomain(text: string, where: string): string {
  const name = text.toLowerCase().replace(/\.$/, "")
  const valid =
    name.length <= 253 && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(name)
  if (!valid || /^[\d.]+$/.test(name)) refuse(where, text, "a domain name like s3.example.org")
  return name
}

/** The origin of a web page, or a pattern with one `*`. */
export function parseOrigin(text: string, where: string): string {
  const valid = /^(\*|https?:\/\/[A-Za-z0-9.:*[\]-]+)$/.test(text) && text.split("*").length <= 2
  return valid ? text : refuse(where, text, "an origin like https://app.example.org, https://*.example.org or *")
}

/** The message does not repeat the text, which may contain a password. */
export function parseDatabaseUrl(text: string, where: string): string {
  if (/^postgres(ql)?:\/\//.test(text)) return text
  throw fail("invalidConfig", { message: `${where}: expected the URL of a PostgreSQL database, postgres://…` })
}

/** The address of a service: its origin. The message does not repeat the text, which may contain a password. */
export function parseServiceUrl(text: string, where: string, example = "https://vault.example.org:8200"): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isOrigin = url?.href === `${url?.origin}/` && (url.protocol === "https:" || url.protocol === "http:")
  if (url !== undefined && isOrigin) return url.origin
  throw fail("invalidConfig", {
    message: `${where}: expected the address of a server without a path, like ${example}`,
  })
}

/** The issuer of OpenID Connect tokens: it is compared letter by letter. */
export function parseIssuer(text: string, where: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.username === "" && url.password === "" && url.hash === "" && url.search === ""
  if (url !== undefined && isPlain && /^https?:$/.test(url.protocol) && text.length <= ISSUER_CHARACTERS_MAX)
    return text
  throw fail("invalidConfig", {
    message: `${where}: expected the issuer of a provider, like https://login.example.org/realms/main, as it spells it`,
  })
}

export function parseRoleArn(text: string, where: string): string {
  return /^arn:aws:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/.test(text)
    ? text
    : refuse(where, text, "the ARN of a role: arn:aws:iam::123456789012:role/NAME")
}

export function parseScopes(text: string, where: string): string {
  const words = text.split(/[ ,]+/).filter(word => word !== "")
  const isValid = words.every(word => /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(word)) && words.includes("openid")
  return isValid ? words.join(" ") : refuse(where, text, 'scopes with spaces between them, "openid" among them')
}

/** The id or the secret of a client at a provider; a secret is not shown. */
export function parseClientText(text: string, where: string): string {
  if (/^[\x20-\x7e]{1,512}$/.test(text)) return text
  throw fail("invalidConfig", { message: `${where}: expected 1 to 512 printable characters` })
}

/** The address of a webhook, without user, password and fragment. */
export function parseWebhook(text: string, where: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.username === "" && url.password === "" && url.hash === ""
  if (url !== undefined && isPlain && /^https?:$/.test(url.protocol)) return url.href
  throw fail("invalidConfig", {
    message: `${where}: expected an address like https://siem.example.org/hayloft, without user and password`,
  })
}

export function parseAuditBucket(text: string, where: string): BucketName {
  try {
    return parseBucketName(text)
  } catch {
    return refuse(where, text, "the name of a bucket")
  }
}

/** A path in a key service, without slashes at its ends. */
export function parseServicePath(text: string, where: string): string {
  const path = text.replace(/^\/|\/$/g, "")
  return /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+){0,15}$/.test(path)
    ? path
    : refuse(where, text, "a path like team/transit")
}

export function parseRegion(text: string, where: string): string {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text) ? text : refuse(where, text, "a region name like us-east-1")
}

export function parseRootAccessKey(text: string, where: string): AccessKeyId {
  try {
    return parseAccessKeyId(text)
  } catch {
    return refuse(where, text, "an access key: 3 to 128 letters, digits or . _ = + / @ -")
  }
}

/** Messages never contain the secret. */
export function parseRootSecret(text: string, where: string): string {
  if (text.length >= SECRET_CHARACTERS_MIN && text.length <= SECRET_CHARACTERS_MAX && /^[\x21-\x7e]+$/.test(text))
    return text
  throw fail("invalidConfig", {
    message: `${where}: a secret key has ${SECRET_CHARACTERS_MIN} to ${SECRET_CHARACTERS_MAX} printable characters without spaces`,
  })
}

export function parseFile(text: string, where: string, workingFolder: string): string {
  return text === "" ? refuse(where, text, "a file") : resolve(workingFolder, text)
}

/** A section of Swift's `/info`, or a part of one. */
export function parseInfoSection(text: string, where: string): string {
  if (/^[a-z_]+(?:\.[a-z_]+)*$/.test(text)) return text
  throw fail("invalidConfig", { message: `${where}: a section of /info is needed, as tempurl or swift.policies` })
}

/** A node, zone or machine. */
export function parseName(text: string, where: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text))
    refuse(where, text, "a name of 1 to 63 letters, digits, dots, hyphens and underscores")
  return text
}
