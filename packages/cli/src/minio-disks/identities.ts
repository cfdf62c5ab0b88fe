/**
 * MinIO's users, groups, policies and access keys, from the files in `.minio.sys/config/iam`. Pure.
 *
 * They are JSON, unless MinIO has a KMS or is old: then they are sealed. Throws `sealed`, `damaged`.
 */
import { z } from "zod"
import { isUtf8 } from "node:buffer"
import { damaged, DiskFailure } from "./failure.js"

export const IDENTITIES_FOLDER = "config/iam/"

interface MinioKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly isActive: boolean
  /** The end of the key, in milliseconds since 1970; undefined if it has none. */
  readonly expiresMs: number | undefined
}

export interface MinioServiceKey extends MinioKey {
  /** The access key of its user, or of the root user. */
  readonly parent: string
  readonly description: string
  /** A policy as JSON that limits it; undefined: it may do what its user may. */
  readonly policy: string | undefined
}

export interface MinioGroup {
  readonly name: string
  readonly members: readonly string[]
  readonly isActive: boolean
}

/** The content of one file. */
export type IdentityFile =
  | { readonly kind: "user"; readonly key: MinioKey }
  | { readonly kind: "serviceKey"; readonly key: MinioServiceKey }
  | { readonly kind: "group"; readonly group: MinioGroup }
  | { readonly kind: "policy"; readonly name: string; readonly document: unknown }
  | {
      readonly kind: "attached"
      readonly to: "user" | "group"
      readonly name: string
      readonly policies: readonly string[]
    }

const CREDENTIALS = z.object({
  accessKey: z.string(),
  secretKey: z.string(),
  status: z.string().default("on"),
  expiration: z.string().optional(),
  sessionToken: z.string().default(""),
  parentUser: z.string().default(""),
  name: z.string().default(""),
  description: z.string().default(""),
})
const IDENTITY = z.object({ credentials: CREDENTIALS })
const GROUP = z.object({ status: z.string().default("enabled"), members: z.array(z.string()).nullish() })
const POLICY = z.object({ Policy: z.unknown().optional() })
const ATTACHED = z.object({ policy: z.string().default("") })
const CLAIMS = z.object({ sessionPolicy: z.string().optional() })

/** `path`: below `config/iam/`. Returns undefined for files of other kinds, such as those of sessions. */
export function parseIdentityFile(path: string, bytes: Uint8Array): IdentityFile | undefined {
  const [, folder = "", name = ""] =
    /^(users|service-accounts|groups|policies|policydb\/users|policydb\/groups)\/(.+)$/.exec(path) ?? []
  const owner = folder.startsWith("policydb/") ? name.replace(/\.json$/, "") : name.replace(/\/[^/]+\.json$/, "")
  switch (folder) {
    case "users":
      return { kind: "user", key: keyOf(read(IDENTITY, bytes).credentials) }
    case "service-accounts":
      return { kind: "serviceKey", key: serviceKeyOf(read(IDENTITY, bytes).credentials) }
    case "groups": {
      const { members, status } = read(GROUP, bytes)
      return { kind: "group", group: { name: owner, members: members ?? [], isActive: status !== "disabled" } }
    }
    case "policies": {
      const json = jsonOf(bytes)
      // Old files are the policy itself.
      return { kind: "policy", name: owner, document: POLICY.safeParse(json).data?.Policy ?? json }
    }
    case "policydb/users":
    case "policydb/groups": {
      const policies = read(ATTACHED, bytes)
        .policy.split(",")
        .map(each => each.trim())
      const to = folder === "policydb/users" ? "user" : "group"
      return { kind: "attached", to, name: owner, policies: policies.filter(each => each !== "") }
    }
    default:
      return undefined
  }
}

function keyOf({ accessKey, secretKey, status, expiration }: z.output<typeof CREDENTIALS>): MinioKey {
  const expiresMs = expiration === undefined ? Number.NaN : Date.parse(expiration)
  return {
    accessKeyId: accessKey,
    secretAccessKey: secretKey,
    isActive: status !== "off" && status !== "disabled",
    // The years 1 and 1970 stand for none.
    expiresMs: expiresMs > 0 ? expiresMs : undefined,
  }
}

function serviceKeyOf(credentials: z.output<typeof CREDENTIALS>): MinioServiceKey {
  const { parentUser, name, description, sessionToken } = credentials
  return {
    ...keyOf(credentials),
    parent: parentUser,
    description: [name, description].filter(each => each !== "").join(": "),
    policy: policyOf(sessionToken),
  }
}

/** The policy is in the claims of the key's own token, in base64. */
function policyOf(token: string): string | undefined {
  const [, claims = ""] = token.split(".")
  if (claims === "") return undefined
  const { sessionPolicy } = read(CLAIMS, Buffer.from(claims, "base64url"))
  return sessionPolicy === undefined ? undefined : Buffer.from(sessionPolicy, "base64").toString("utf8")
}

function read<T>(schema: z.ZodType<T>, bytes: Uint8Array): T {
  const { data, success } = schema.safeParse(jsonOf(bytes))
  if (!success) throw damaged("it lacks what such a file has")
  return data
}

function jsonOf(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes))
    throw new DiskFailure("sealed", "it is encrypted, by MinIO's KMS or with the root key of an old MinIO")
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    throw damaged("it is not JSON")
  }
}
