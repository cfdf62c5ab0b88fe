/**
 * The callers of a stream: two accounts, users and sessions with different permissions, created through the admin
 * API and IAM.
 *
 * Promises  Names, ids of accounts, access keys and secrets are derived from the stream's number, so that they are
 *           equal on every server; session tokens differ between servers. Streams share only the store's root.
 */
import { exchange, parseEndpoint } from "../../conformance/raw-client.js"
import { amzDate, authorization, signRequest } from "../../conformance/sign-v4.js"
import type { Credentials } from "../../conformance/sign-v4.js"
import { sha256Hex } from "../../conformance/checksums.js"
import { CREDENTIALS, type ServerProcess } from "../harness/server.js"

export type Person = (typeof PEOPLE)[number]

/** The signers of requests, with their permissions. */
export const PEOPLE = [
  "owner", // root of the account that owns the buckets
  "admin", // a user with all permissions
  "reader", // reads
  "writer", // writes, but not below dir/
  "picky", // permissions with conditions
  "grouped", // permissions of a group
  "bounded", // a boundary
  "nobody", // no permissions
  "service", // a key with a policy of its own
  "session", // a session of admin
  "role", // an assumed role with a session policy
  "stale", // a session that has ended
  "expired", // a key that has expired
  "inactive", // a disabled key
  "other", // root of another account
  "otherUser", // a user there
  "store", // the store's root
  "mixed", // a session token with another key
  "badToken", // a damaged session token
  "unknown", // no such key
  "wrongSecret",
] as const

export type People = Readonly<Record<Person, Credentials>>

const SECRET = "fuzz/secret+of/a/key/000000000000000000000"
const HOUR_MS = 3_600_000

export const accountId = (stream: number, which: "a" | "b"): string => `fuzz-${stream}${which}`

const key = (stream: number, name: string): Credentials => ({
  accessKey: `FUZZ${stream}${name.toUpperCase()}`.padEnd(20, "0"),
  secretKey: SECRET,
})

type Statement = Readonly<Record<string, unknown>>
const document = (...statements: readonly Statement[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements })
const allow = (Action: unknown, Resource: unknown = "*", more: Statement = {}): Statement => ({
  Effect: "Allow",
  Action,
  Resource,
  ...more,
})
const deny = (...args: Parameters<typeof allow>): Statement => ({ ...allow(...args), Effect: "Deny" })

const READS = ["s3:Get*", "s3:List*"]

const POLICIES: Readonly<Partial<Record<Person, string>>> = {
  admin: document(allow(["s3:*", "sts:AssumeRole"])),
  reader: document(allow(READS)),
  writer: document(allow("s3:*"), deny(["s3:PutObject", "s3:DeleteObject*"], "arn:aws:s3:::*/dir/*")),
  picky: document(
    allow("s3:ListBucket", "*", { Condition: { StringLike: { "s3:prefix": ["dir/*", "a"] } } }),
    allow(["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"], "*", {
      Condition: { StringEqualsIfExists: { "s3:ExistingObjectTag/color": "red" } },
    }),
    allow("s3:PutObject", "*", { Condition: { StringEqualsIfExists: { "s3:x-amz-acl": "private" } } }),
    deny("s3:*", "*", { Condition: { NumericGreaterThan: { "s3:max-keys": "100" } } }),
    allow("s3:DeleteObject", "*", { Condition: { IpAddress: { "aws:SourceIp": "127.0.0.0/8" } } }),
  ),
  bounded: document(allow("s3:*")),
  otherUser: document(allow("s3:*")),
}

/** Sends the requests that create the callers. */
export class Setup {
  constructor(
    private readonly server: ServerProcess,
    /** How far the clock of the server is behind. */
    private readonly behindMs = 0,
  ) {}

  private async post(port: number, headers: readonly (readonly [string, string])[], target: string, text: string) {
    const body = Buffer.from(text)
    const all = [...headers, ["Content-Length", String(body.length)] as const]
    const response = await exchange(parseEndpoint(`http://127.0.0.1:${port}`), {
      method: "POST",
      target,
      headers: all,
      body: [body],
    })
    if (response.status >= 300) throw new Error(`${target} ${text}: ${response.status} ${response.text}`)
    return response.text
  }

  async admin(path: string, value: unknown = {}): Promise<string> {
    const headers = [
      ["Host", "localhost"],
      ["Authorization", `Bearer ${await this.server.adminToken()}`],
    ] as const
    const json = [...headers, ["Content-Type", "application/json"] as const]
    return this.post(this.server.adminPort, json, path, JSON.stringify(value))
  }

  /** An action of IAM or STS. */
  async ask(who: Credentials, Action: string, values: Readonly<Record<string, string>>, service = "iam") {
    const Version = service === "sts" ? "2011-06-15" : "2010-05-08"
    const form = new URLSearchParams({ Action, Version, ...values }).toString()
    const timeMs = Date.now() - this.behindMs
    const headers: (readonly [string, string])[] = [
      ["Host", "localhost"],
      ["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"],
      ["x-amz-date", amzDate(timeMs)],
    ]
    const payloadHash = sha256Hex(Buffer.from(form))
    const terms = { timeMs, region: "us-east-1", service, payloadHash, unsignedHeaders: [] }
    const signed = signRequest({ method: "POST", target: "/", headers }, who, terms)
    return this.post(this.server.port, [...headers, ["Authorization", authorization(who, signed)]], "/", form)
  }
}

const textOf = (xml: string, name: string): string => new RegExp(`<${name}>([^<]*)`).exec(xml)?.[1] ?? ""

const sessionIn = (xml: string): Credentials => ({
  accessKey: textOf(xml, "AccessKeyId"),
  secretKey: textOf(xml, "SecretAccessKey"),
  sessionToken: textOf(xml, "SessionToken"),
})

async function makeKey(setup: Setup, account: string, owned: Credentials, more: object = {}): Promise<void> {
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = owned
  await setup.admin("/v1/keys", { accountId: account, accessKeyId, secretAccessKey, ...more })
}

async function makeUser(setup: Setup, root: Credentials, account: string, stream: number, name: Person): Promise<void> {
  const UserName = `${name}-${stream}`
  await setup.ask(root, "CreateUser", { UserName })
  const PolicyDocument = POLICIES[name]
  if (PolicyDocument !== undefined)
    await setup.ask(root, "PutUserPolicy", { UserName, PolicyName: "own", PolicyDocument })
  const more = name === "service" ? { policy: document(allow(READS)) } : {}
  await makeKey(setup, account, key(stream, name), { userName: UserName, ...more })
}

async function limitUsers(setup: Setup, root: Credentials, stream: number): Promise<void> {
  const GroupName = `group-${stream}`
  await setup.ask(root, "CreateGroup", { GroupName })
  const PolicyDocument = document(allow([...READS, "s3:PutObject"]))
  await setup.ask(root, "PutGroupPolicy", { GroupName, PolicyName: "own", PolicyDocument })
  for (const name of ["grouped", "service"])
    await setup.ask(root, "AddUserToGroup", { GroupName, UserName: `${name}-${stream}` })
  const made = await setup.ask(root, "CreatePolicy", {
    PolicyName: `boundary-${stream}`,
    PolicyDocument: document(allow([...READS, "s3:PutObject", "s3:AbortMultipartUpload"])),
  })
  const PermissionsBoundary = textOf(made, "Arn")
  await setup.ask(root, "PutUserPermissionsBoundary", { UserName: `bounded-${stream}`, PermissionsBoundary })
}

/** Creates the callers of a stream that need no session. */
export async function makePeople(setup: Setup, stream: number): Promise<void> {
  const [a, b] = [accountId(stream, "a"), accountId(stream, "b")]
  const [owner, other] = [key(stream, "owner"), key(stream, "other")]
  for (const [id, root] of [[a, owner] as const, [b, other] as const]) {
    await setup.admin("/v1/accounts", { id, displayName: `Account ${id}`, email: `${id}@example.com` })
    await makeKey(setup, id, root)
  }
  for (const name of ["admin", "reader", "writer", "picky", "grouped", "bounded", "nobody", "service"] as const)
    await makeUser(setup, owner, a, stream, name)
  await makeUser(setup, other, b, stream, "otherUser")
  await limitUsers(setup, owner, stream)
  await makeKey(setup, a, key(stream, "expired"), { expiresMs: Date.now() - HOUR_MS })
  await makeKey(setup, a, key(stream, "inactive"))
  await setup.admin(`/v1/keys/${key(stream, "inactive").accessKey}/disable`)
  const trust = document({ Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" })
  await setup.ask(owner, "CreateRole", { RoleName: `role-${stream}`, AssumeRolePolicyDocument: trust })
  await setup.ask(owner, "PutRolePolicy", {
    RoleName: `role-${stream}`,
    PolicyName: "own",
    PolicyDocument: document(allow("s3:*")),
  })
}

/** A session of the account's admin. */
export const newSession = async (setup: Setup, stream: number, seconds: number): Promise<Credentials> =>
  sessionIn(await setup.ask(key(stream, "admin"), "GetSessionToken", { DurationSeconds: String(seconds) }, "sts"))

const SESSION_SECONDS = 12 * 3_600

/** Returns all callers of a created stream, with sessions that are valid now. */
export async function openPeople(setup: Setup, stream: number, stale: Credentials): Promise<People> {
  const session = await newSession(setup, stream, SESSION_SECONDS)
  const role = await setup.ask(key(stream, "owner"), "GetRole", { RoleName: `role-${stream}` })
  const assumed = await setup.ask(
    key(stream, "admin"),
    "AssumeRole",
    {
      RoleArn: textOf(role, "Arn"),
      RoleSessionName: "fuzz",
      DurationSeconds: "3600",
      Policy: document(allow("s3:*"), deny("s3:DeleteObjectVersion")),
    },
    "sts",
  )
  const token = session.sessionToken ?? ""
  const own = Object.fromEntries(PEOPLE.map(name => [name, key(stream, name)]))
  return Object.assign(own as Record<Person, Credentials>, {
    session,
    role: sessionIn(assumed),
    stale,
    store: CREDENTIALS,
    mixed: { ...key(stream, "admin"), sessionToken: token },
    badToken: { ...session, sessionToken: `${token.slice(0, -8)}AAAAAAAA` },
    wrongSecret: { ...key(stream, "owner"), secretKey: `${SECRET}x` },
  })
}
