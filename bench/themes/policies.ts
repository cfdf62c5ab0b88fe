/**
 * The cost of access policies: a decision over a hundred of two KiB each, in microseconds of processor time. The
 * main thread decides every request of a caller other than root, so the figure adds to the cost of such a request.
 */
import { KIB } from "@hayloft/base/limits.js"
import type { AccessPolicy, AccessRequest, Decision } from "@hayloft/access/policy/contract.js"
import { decide, NO_RESOURCE_POLICIES } from "@hayloft/access/policy/decide.js"
import { parseAccessPolicy } from "@hayloft/access/policy/parse-access-policy.js"
import { OWNER, requestOf, userOf } from "@hayloft/access/policy/testing-requests.js"
import type { Bench } from "../bench.js"
import { all, atMost, type Measured, type Row } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const POLICIES = 100
const POLICY_BYTES = 2 * KIB
const DECISION_MICROSECONDS_MAX = 20
const WARM_DECISIONS = 20_000
const ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging"]

/** The resource of each policy: a bucket, or a folder in a bucket that all of them share. */
type PlaceOf = (n: number) => string

const ownBucket: PlaceOf = n => `team-${n}-data`
const ownFolder: PlaceOf = n => `shared-data/team-${n}`

/** Typical policies: lists of actions, a folder of the user, a few conditions, a Deny for everything. */
function statementsOf(place: string): readonly object[] {
  const arn = `arn:aws:s3:::${place}`
  return [
    { Effect: "Allow", Action: ["s3:ListBucket", "s3:GetBucketLocation"], Resource: arn },
    { Effect: "Allow", Action: ["s3:GetObject", "s3:GetObjectVersion"], Resource: `${arn}/*` },
    { Effect: "Allow", Action: ["s3:PutObject", "s3:DeleteObject"], Resource: `${arn}/home/\${aws:username}/*` },
    {
      Effect: "Deny",
      Action: "s3:*",
      Resource: [arn, `${arn}/*`],
      Condition: { Bool: { "aws:SecureTransport": "false" } },
    },
    {
      Effect: "Allow",
      Action: "s3:ListBucket",
      Resource: arn,
      Condition: {
        StringLike: { "s3:prefix": ["", "home/", `home/\${*}/*`] },
        NumericLessThanEquals: { "s3:max-keys": "100" },
      },
    },
    {
      Effect: "Deny",
      NotAction: ["s3:GetObject", "s3:ListBucket"],
      Resource: `${arn}/archive/*`,
      Condition: { NotIpAddress: { "aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"] } },
    },
  ]
}

function policyOf(place: string): string {
  const statements = [...statementsOf(place)]
  const text = (): string => JSON.stringify({ Version: "2012-10-17", Statement: statements })
  for (let more = 0; ; more += 1) {
    const one = { Effect: "Allow", Action: ACTIONS, Resource: `arn:aws:s3:::${place}-${more}/shared/*` }
    if (text().length + JSON.stringify(one).length + 1 > POLICY_BYTES) return text()
    statements.push(one)
  }
}

const request = (place: string): AccessRequest =>
  requestOf({
    principal: userOf(OWNER, "ann"),
    resource: `arn:aws:s3:::${place}/home/ann/2026/05/01/picture-0001.jpg`,
    keys: { "aws:securetransport": "true" },
  })

const parsed = (text: string): AccessPolicy => parseAccessPolicy(text, "identity")

class Policies implements Fixture {
  constructor(private readonly bench: Bench) {}

  async close(): Promise<void> {
    // The fixture uses only memory.
  }

  /** Microseconds of processor time, the mean of as many decisions as fit into the time. */
  private microseconds(work: () => unknown): number {
    const { clock, scale } = this.bench
    const [before, beganMs] = [process.cpuUsage(), clock.monotonicMs()]
    let count = 0
    do {
      for (let n = 0; n < 100; n += 1) work()
      count += 100
    } while (clock.monotonicMs() - beganMs < scale.seconds * 1000)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / count
  }

  /** Only the last policy matches the requested resource, and allows it. */
  async decision(placeOf: PlaceOf, place: string, outcome: Decision["outcome"]): Promise<Measured> {
    const texts = Array.from({ length: POLICIES }, (_, n) => policyOf(placeOf(n)))
    const identity = texts.map((text, n) => ({ name: `policy ${n}`, policy: parsed(text) }))
    const [requested, own] = [request(place), { identity, boundary: undefined, session: undefined }]
    const ask = () => decide(requested, own, NO_RESOURCE_POLICIES)
    for (let n = 0; n < WARM_DECISIONS; n += 1) ask()
    if (ask().outcome !== outcome) throw new Error(`decided ${ask().outcome} instead of ${outcome}`)
    const also = { policies: POLICIES, bytes: texts.join("").length }
    return { figure: this.microseconds(ask), unit: "CPU µs", also }
  }

  async parsing(): Promise<Measured> {
    const text = policyOf(ownBucket(0))
    return { figure: this.microseconds(() => parsed(text)), unit: "CPU µs", also: { bytes: text.length } }
  }
}

const LAST = POLICIES - 1
const TARGET = all(atMost("figure", DECISION_MICROSECONDS_MAX))

const rows: readonly Row<Policies>[] = [
  {
    work: `decide, ${POLICIES} policies of 2 KiB, the last allows`,
    target: TARGET,
    measure: it => it.decision(ownBucket, ownBucket(LAST), "allow"),
  },
  {
    work: `decide, ${POLICIES} policies of 2 KiB, none allows`,
    target: TARGET,
    measure: it => it.decision(ownBucket, "elsewhere", "implicitDeny"),
  },
  {
    work: `decide, ${POLICIES} policies of 2 KiB, all of one bucket`,
    target: TARGET,
    measure: it => it.decision(ownFolder, ownFolder(LAST), "allow"),
  },
  { work: "parse a policy of 2 KiB", measure: it => it.parsing() },
]

export const POLICY_DECISIONS = theme({ name: "policies", open: async bench => new Policies(bench), rows: () => rows })
