/**
 * Random sets of policies and random requests, from a seed. The vocabulary is small, so that policies and requests
 * match often.
 */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { OTHER, OWNER } from "@hayloft/access/policy/testing-requests.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import type { PlainPolicy, PlainRequest, PlainStatement, PlainWorld, Text } from "./oracle.js"

export class Dice {
  readonly #random: SimRandom

  constructor(seed: number) {
    this.#random = new SimRandom(seed)
  }

  below(limit: number): number {
    return this.#random.below(limit)
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  pick<const T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }

  some<const T>(items: readonly [T, ...T[]], most: number): [T, ...T[]] {
    return [this.pick(items), ...Array.from({ length: this.below(most) }, () => this.pick(items))]
  }

  /** A single text is usually written without a list. */
  texts(items: readonly [string, ...string[]], most: number): Text {
    const texts = this.some(items, most)
    return texts.length === 1 && this.chance(70) ? texts[0] : texts
  }
}

const NOW_MS = Date.UTC(2026, 4, 1, 12)
const PROVIDER = `arn:aws:iam::${OWNER}:oidc-provider/id.example.com`

type Words = readonly [string, ...string[]]

const ACTIONS: Words = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"]
const ACTION_PATTERNS: Words = [
  "*",
  "s3:*",
  "s3:Get*",
  "S3:putobject",
  "s3:?etObject",
  "s3:*Object",
  "s3:ListBucket",
  "iam:*",
]
const RESOURCES: Words = [
  "arn:aws:s3:::photos",
  "arn:aws:s3:::photos/bob/1.jpg",
  "arn:aws:s3:::photos/ann/\u{1f600}.jpg",
  "arn:aws:s3:::photos/red/x",
  "arn:aws:s3:::photos/a*b",
  "arn:aws:s3:::photos/a:b:c",
  `arn:aws:s3:::photos/\${aws:username}/x`,
]
const RESOURCE_PATTERNS: Words = [
  "*",
  "arn:aws:s3:::photos",
  "arn:aws:s3:::photos/*",
  "arn:aws:s3:::photos*",
  "arn:aws:s3:::photos/bob/*",
  `arn:aws:s3:::photos/\${aws:username}/*`,
  `arn:aws:s3:::photos/\${aws:PrincipalTag/team, 'red'}/*`,
  `arn:aws:s3:::photos/\${s3:prefix}*`,
  `arn:aws:s3:::photos/a\${*}b`,
  `arn:aws:s3:::photos/\${$}{aws:username}/x`,
  "arn:aws:s3:::photos/*/?.jpg",
  "arn:aws:s3:::photos/?*?/*.jpg",
  "arn:*:s3:*:*:photos/*b*",
  "arn:aws:s3:*:*:c",
  "arn:aws:s3:::other/*",
]

/** A condition key: the values in requests, the values in policies, and the operators that fit. */
interface Key {
  readonly name: string
  readonly operators: Words
  readonly policyValues: Words
  /** The values are absent for keys of the principal, the owner or the time. */
  readonly requestValues?: readonly [Text, ...Text[]]
}

const STRINGS: Words = [
  "StringEquals",
  "StringNotEquals",
  "StringEqualsIgnoreCase",
  "StringNotEqualsIgnoreCase",
  "StringLike",
  "StringNotLike",
]
const ARNS: Words = ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringLike"]
const relations = (family: string): Words => [
  `${family}Equals`,
  `${family}NotEquals`,
  `${family}LessThan`,
  `${family}LessThanEquals`,
  `${family}GreaterThan`,
  `${family}GreaterThanEquals`,
]

const KEYS: readonly [Key, ...Key[]] = [
  {
    name: "s3:prefix",
    operators: STRINGS,
    policyValues: [
      "",
      "bob/",
      `\${aws:username}/`,
      `\${aws:username}*`,
      "b?b/*",
      "b*b",
      `\${?}`,
      "BOB/",
      `\${aws:PrincipalTag/Team, '*'}`,
    ],
    requestValues: ["", "b", "bob/", "bob/x", "?", "*", "ann/"],
  },
  {
    name: "s3:max-keys",
    operators: relations("Numeric"),
    policyValues: ["0", "10", "10.0", "-1"],
    requestValues: ["0", "10", "11"],
  },
  {
    name: "aws:SourceIp",
    operators: ["IpAddress", "NotIpAddress"],
    policyValues: ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1", "::/0", "10.1.2.0/23"],
    requestValues: ["10.1.2.3", "10.1.3.4", "10.1.4.4", "192.0.2.1", "2001:db8::1", "2001:db9:0:0:0:0:0:1"],
  },
  {
    name: "aws:SecureTransport",
    operators: ["Bool"],
    policyValues: ["true", "false", "True"],
    requestValues: ["true", "false"],
  },
  {
    name: "s3:RequestObjectTagKeys",
    operators: STRINGS,
    policyValues: ["team", "cost*", "Owner", `\${aws:username}`],
    requestValues: [[], ["team"], ["team", "cost"], ["owner", "bob", ""], "team"],
  },
  {
    name: "s3:ExistingObjectTag/Team",
    operators: STRINGS,
    policyValues: ["red", "R*", `\${aws:PrincipalTag/team}`],
    requestValues: ["red", "blue"],
  },
  {
    name: "s3:x-amz-content-sha256",
    operators: ["BinaryEquals"],
    policyValues: ["QUJD", "QQ=="],
    requestValues: ["QUJD", "QQ=="],
  },
  {
    name: "aws:CurrentTime",
    operators: relations("Date"),
    policyValues: ["2026-05-01T12:00:00Z", "2026-05-01", "2026-05-01T14:00:00+01:00"],
  },
  {
    name: "aws:EpochTime",
    operators: [...relations("Numeric"), ...relations("Date")],
    policyValues: [String(NOW_MS / 1000), "0"],
  },
  { name: "aws:TokenIssueTime", operators: relations("Date"), policyValues: ["2026-05-01T11:00:00Z", "1777633200"] },
  {
    name: "aws:PrincipalArn",
    operators: ARNS,
    policyValues: [
      `arn:aws:iam::${OWNER}:user/bob`,
      "arn:aws:iam::*:role/*",
      `arn:aws:iam::${OTHER}:*`,
      `arn:aws:iam::111111111111:*/\${aws:username}`,
    ],
  },
  { name: "AWS:username", operators: STRINGS, policyValues: ["bob", "B?B", "*"] },
  {
    name: "aws:userid",
    operators: STRINGS,
    policyValues: ["AIDABOB000000000", "AROAWRITER000000:*", "anonymous", OWNER],
  },
  { name: "aws:PrincipalType", operators: STRINGS, policyValues: ["User", "AssumedRole", "Anonymous", "account"] },
  {
    name: "aws:PrincipalAccount",
    operators: STRINGS,
    policyValues: [OWNER, OTHER, "anonymous", `\${aws:ResourceAccount}`],
  },
  { name: "aws:PrincipalTag/team", operators: STRINGS, policyValues: ["red", "blue", "RED"] },
  { name: "aws:MultiFactorAuthPresent", operators: ["Bool"], policyValues: ["true", "false"] },
  { name: "id.example.com:sub", operators: STRINGS, policyValues: ["carol", "c*"] },
]

function drawCondition(dice: Dice): Readonly<Record<string, Readonly<Record<string, Text>>>> {
  const condition: Record<string, Record<string, Text>> = {}
  for (const key of dice.some(KEYS, 2)) {
    if (dice.chance(10)) {
      condition["Null"] = { ...condition["Null"], [key.name]: dice.pick(["true", "false"]) }
      continue
    }
    const set = dice.chance(30) ? dice.pick(["ForAnyValue:", "ForAllValues:"]) : ""
    const operator = `${set}${dice.pick(key.operators)}${dice.chance(20) ? "IfExists" : ""}`
    // Use patterns only for principals that accept them: others refuse an ARN with a variable before its colons.
    condition[operator] = { ...condition[operator], [key.name]: dice.texts(key.policyValues, 3) }
  }
  return condition
}

const AWS_PRINCIPALS: Words = [
  "*",
  OWNER,
  `arn:aws:iam::${OWNER}:root`,
  OTHER,
  `arn:aws:iam::${OTHER}:root`,
  `arn:aws:iam::${OWNER}:user/bob`,
  `arn:aws:iam::${OTHER}:user/bob`,
  "AIDABOB000000000",
  `arn:aws:iam::${OWNER}:role/writer`,
  "AROAWRITER000000",
  `arn:aws:iam::${OTHER}:role/writer`,
  "AROAOTHER0000000",
  "AROAWRITER000000:one",
  `arn:aws:sts::${OWNER}:assumed-role/writer/one`,
  `arn:aws:sts::${OTHER}:assumed-role/writer/two`,
]

function drawPrincipal(dice: Dice): NonNullable<PlainStatement["Principal"]> {
  if (dice.chance(20)) return "*"
  return {
    ...(dice.chance(80) && { AWS: dice.texts(AWS_PRINCIPALS, 3) }),
    ...(dice.chance(20) && { CanonicalUser: dice.texts(["owner", "other"], 2) }),
    ...(dice.chance(20) && { Federated: dice.texts([PROVIDER, "graph.example.com"], 2) }),
    Service: "logging.s3.amazonaws.com",
  }
}

export type DocumentKind = "identity" | "resource" | "trust"

export function randomStatement(dice: Dice, kind: DocumentKind, effect: "Allow" | "Deny"): PlainStatement {
  const actions =
    kind === "trust" ? dice.texts(["sts:AssumeRole", "sts:*", "sts:Get*"], 2) : dice.texts(ACTION_PATTERNS, 3)
  const resources = dice.texts(RESOURCE_PATTERNS, 3)
  const isSpared = kind === "resource" && effect === "Deny" && dice.chance(30)
  const principal = drawPrincipal(dice)
  return {
    Effect: effect,
    ...(kind !== "identity" && (isSpared ? { NotPrincipal: principal } : { Principal: principal })),
    ...(dice.chance(12) && kind !== "trust" ? { NotAction: actions } : { Action: actions }),
    ...(kind !== "trust" && (dice.chance(12) ? { NotResource: resources } : { Resource: resources })),
    ...(dice.chance(45) && { Condition: drawCondition(dice) }),
  }
}

function drawPolicy(dice: Dice, kind: DocumentKind): PlainPolicy {
  const statements = Array.from({ length: 1 + dice.below(3) }, () =>
    randomStatement(dice, kind, dice.chance(75) ? "Allow" : "Deny"),
  )
  return { Version: dice.chance(85) ? "2012-10-17" : "2008-10-17", Statement: statements }
}

const drawPolicies = (dice: Dice, most: number): PlainPolicy[] =>
  Array.from({ length: dice.below(most + 1) }, () => drawPolicy(dice, "identity"))

export function randomWorld(dice: Dice): PlainWorld {
  const isTrust = dice.chance(12)
  const hasResource = isTrust || dice.chance(70)
  return {
    identity: drawPolicies(dice, 3),
    boundary: dice.chance(25) ? drawPolicy(dice, "identity") : undefined,
    session: dice.chance(25) ? drawPolicies(dice, 2) : undefined,
    resource: hasResource ? drawPolicy(dice, isTrust ? "trust" : "resource") : undefined,
    isTrust,
    acl: !isTrust && dice.chance(10) ? dice.pick(["account", "caller"]) : undefined,
  }
}

type Caller = Omit<PlainRequest, "ownerAccount" | "action" | "resource">

function drawCaller(dice: Dice): Caller {
  const account = dice.chance(70) ? OWNER : OTHER
  const canonicalId = account === OWNER ? "owner" : "other"
  const none = { account: "", canonicalId: "", arn: "", sessionArn: "", userId: "", provider: "" }
  const tags = dice.chance(50) ? { "aws:principaltag/Team": [dice.pick(["red", "blue", "*"])] } : {}
  const isTemporary = dice.chance(40)
  const times = { "aws:tokenissuetime": ["2026-05-01T11:00:00.000Z"], "aws:multifactorauthpresent": ["false"] }
  const of = (type: string, arn: string, userId: string) => ({
    "aws:principalarn": [arn],
    "aws:principalaccount": [account],
    "aws:principaltype": [type],
    "aws:userid": [userId],
    ...tags,
  })
  switch (dice.pick(["anonymous", "federated", "root", "user", "user", "session", "session"])) {
    case "anonymous": {
      const keys = {
        "aws:principalaccount": ["anonymous"],
        "aws:principaltype": ["Anonymous"],
        "aws:userid": ["anonymous"],
      }
      return { ...none, kind: "anonymous", keys }
    }
    case "federated":
      return { ...none, kind: "federated", provider: PROVIDER, keys: { "id.example.com:sub": ["carol"] } }
    case "root": {
      const arn = `arn:aws:iam::${account}:root`
      return { ...none, kind: "root", account, canonicalId, arn, userId: account, keys: of("Account", arn, account) }
    }
    case "user": {
      const name = dice.pick(["bob", "ann"])
      const arn = `arn:aws:iam::${account}:user/${name}`
      const userId = account === OWNER && name === "bob" ? "AIDABOB000000000" : `AIDA${account}${name}`
      const keys = { ...of("User", arn, userId), "aws:username": [name], ...(isTemporary && times) }
      return { ...none, kind: "user", account, canonicalId, arn, userId, keys }
    }
    case "session": {
      const arn = `arn:aws:iam::${account}:role/writer`
      const name = dice.pick(["one", "two"])
      const userId = `${account === OWNER ? "AROAWRITER000000" : "AROAOTHER0000000"}:${name}`
      const claims = dice.chance(30) ? { "id.example.com:sub": ["carol"] } : {}
      const sessionArn = `arn:aws:sts::${account}:assumed-role/writer/${name}`
      const keys = { ...of("AssumedRole", arn, userId), ...times, ...claims }
      return { ...none, kind: "session", account, canonicalId, arn, sessionArn, userId, keys }
    }
  }
}

/** Keys that a request sets itself; each may be absent. */
function drawKeys(dice: Dice): Readonly<Record<string, readonly string[]>> {
  const requestValues = KEYS.flatMap(({ name, requestValues: values }) => {
    if (values === undefined || dice.chance(35)) return []
    const value = dice.pick(values)
    return [[name.replace(/^[^/]*/, head => head.toLowerCase()), typeof value === "string" ? [value] : value] as const]
  })
  return Object.fromEntries(requestValues)
}

export function randomRequest(dice: Dice, { isTrust }: PlainWorld): PlainRequest {
  const caller = drawCaller(dice)
  const keys = {
    ...drawKeys(dice),
    "aws:currenttime": [isoDate(NOW_MS)],
    "aws:epochtime": [String(NOW_MS / 1000)],
    "aws:resourceaccount": [OWNER],
    ...caller.keys,
  }
  const action = isTrust ? "sts:AssumeRole" : dice.pick(ACTIONS)
  const resource = isTrust ? `arn:aws:iam::${OWNER}:role/writer` : dice.pick(RESOURCES)
  return { ...caller, keys, action, resource, ownerAccount: OWNER }
}

export { NOW_MS }
