/** The commands of users, groups, roles, policies and tokens, as an operator types them, over identities in memory. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { after, before, beforeEach, test } from "node:test"
import { z } from "zod"
import { decide, NO_RESOURCE_POLICIES } from "@hayloft/access/index.js"
import type { AdminApi } from "@hayloft/admin/index.js"
import { accessInMemory } from "@hayloft/admin/testing-access.js"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { must } from "@hayloft/base/assert.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS
const EXPIRING = z.object({ expiresMs: z.number() })
const READ = {
  Version: "2012-10-17",
  Statement: [{ Sid: "Read", Effect: "Allow", Action: "s3:GetObject", Resource: "*" }],
}
const NUMBER = accountNumberOf(ROOT)
const USER = `arn:aws:iam::${NUMBER}:user`
const TRUST = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { AWS: NUMBER }, Action: "sts:AssumeRole" }],
}

let folder = ""
let api: AdminApi | undefined

const operator = operatorOf(() => must(api, "each test has an API"))

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-identities-"))
  await writeFile(join(folder, "read.json"), JSON.stringify(READ))
  await writeFile(join(folder, "trust.json"), JSON.stringify(TRUST))
  await writeFile(join(folder, "broken.json"), "{")
  await writeFile(
    join(folder, "wrong.json"),
    JSON.stringify({ ...READ, Statement: [{ Effect: "Maybe" }] }, undefined, 1),
  )
})
after(async () => {
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  const { accounts, identities } = accessInMemory(ROOT)
  await accounts.ensureRoot()
  const policyFacts: FakeStore["parts"]["policyFacts"] = {
    knownActions: new Map([["s3:GetObject", "object"]]),
    decideS3: async ({ caller: { principal, policies }, action, resource, values: context }) => {
      const owner = { accountId: ROOT, accountNumber: NUMBER }
      const request = { principal, action, resource, owner, nowMs: 7, context }
      return { decision: decide(request, policies, NO_RESOURCE_POLICIES), exclusion: undefined }
    },
    nowMs: () => 7,
  }
  api = adminOver({ ...new FakeStore().parts, accounts, identities, policyFacts })
})

const hayloft = (line: string) => operator(line.split(" "), { workingFolder: folder })

async function says(line: string, pattern: RegExp): Promise<void> {
  const { code, out, error } = await hayloft(line)
  assert.deepEqual([code, error], [0, ""], line)
  assert.match(out, pattern, line)
}

async function refuses(line: string, code: number, pattern: RegExp): Promise<void> {
  const outcome = await hayloft(line)
  assert.equal(outcome.code, code, `${line}: ${outcome.error}`)
  assert.match(outcome.error, pattern, line)
}

test("users are created with a policy, listed, shown and deleted with what they have", async () => {
  await says("user create ann --policy readonly", /^created user ann\n$/)
  await says("user list", /CREATED +USER +KEYS +GROUPS +POLICIES\n.* ann +0 +- +readonly\n$/)
  await says(
    "user show ann",
    /user +ann\narn +.*:user\/ann\n[^]*attached +arn:aws:iam::aws:policy\/readonly\n[^]*tags +none\n$/,
  )
  await refuses("user create ann", 6, /ann/)
  await refuses("user delete ann", 1, /detach|polic/i)
  await says("user delete ann --cascade", /^deleted user ann\n$/)
  await refuses("user show ann", 3, /ann/)
})

test("groups have members", async () => {
  await says("user create ann", /ann/)
  await says("group create readers", /^created group readers\n$/)
  await says("group add readers ann", /^added user ann, group readers\n$/)
  await says("group members readers", /^USER +ARN\nann +.*:user\/ann\n$/)
  await says("user list", / ann +0 +readers +-\n$/)
  await says("group remove readers ann", /^removed user ann, group readers\n$/)
  await says("group members readers", /^USER +ARN\n$/)
  await refuses("group add readers bob", 3, /bob/)
  await says("group delete readers", /^deleted group readers\n$/)
})

test("roles are created with a trust policy, changed, shown and deleted", async () => {
  await refuses("role create backup", 2, /--trust/)
  await refuses(
    "role create backup --trust broken.json",
    2,
    /broken\.json is not JSON.*hayloft policy validate broken\.json/,
  )
  await refuses("role create backup --trust read.json", 1, /Principal/i)
  await says(
    "role create backup --trust trust.json --policy readwrite --max-session 2h --description nightly",
    new RegExp(`^created role backup: arn:aws:iam::${NUMBER}:role/backup\n$`),
  )
  await says("role list", /CREATED +ROLE +SESSIONS +POLICIES +DESCRIPTION\n.* backup +2 h 0 min +readwrite +nightly\n$/)
  await says("role set backup --description weekly --max-session 12h", /^changed role backup\n$/)
  await says("role show backup", /description +weekly\nsessions +12 h 0 min at most\n[^]*"Action": "sts:AssumeRole"/)
  await refuses("role set backup", 2, /name what changes: --trust/)
  await refuses("role set backup --max-session 13h", 2, /between 3600 and 43200/)
  await says("policy simulate s3:GetObject photos/cat --role backup", /^allowed +yes\n/)
  await says("role delete backup --cascade", /^deleted role backup\n$/)
  await refuses("role show backup", 3, /backup/)
})

for (const [kind, made] of [
  ["user", "user create x"],
  ["group", "group create x"],
  ["role", "role create x --trust trust.json"],
] as const) {
  test(`a ${kind} has policies of its own, and managed ones`, async () => {
    await says(made, /x/)
    await says(`policy set own read.json --${kind} x`, new RegExp(`^set policy own of ${kind} x\n$`))
    await says(`policy attach readonly --${kind} x`, /^attached policy readonly\n$/)
    await says(
      `policy list --${kind} x`,
      /^POLICY +KIND +ARN\nown +own +-\nreadonly +managed +arn:aws:iam::aws:policy\/readonly\n$/,
    )
    await says(`policy show own --${kind} x`, /^\{\n[^]*"Sid": "Read"[^]*\n\}\n$/)
    await says(`policy detach readonly --${kind} x`, /^detached policy readonly\n$/)
    await says(`policy delete own --${kind} x`, new RegExp(`^deleted policy own of ${kind} x\n$`))
    await says(`policy list --${kind} x`, /^POLICY +KIND +ARN\n$/)
    await refuses(`policy show own --${kind} x`, 3, /own/)
    await refuses(`policy set own wrong.json --${kind} x`, 1, /Effect|Maybe/)
  })
}

test("managed policies are set, listed, shown and deleted", async () => {
  await says("policy set reads read.json", /^set policy reads, version 1\n$/)
  await says("policy set reads read.json", /^set policy reads, version 2\n$/)
  await says("policy list", /readonly +built-in +0 +0[^]*reads +account +0 +0/)
  await says("policy show reads", /"Sid": "Read"/)
  await says("user create ann", /ann/)
  await says("policy attach reads --user ann", /attached/)
  await refuses("policy delete reads", 1, /attached|detach/i)
  await refuses("policy attach reads", 2, /name one of --user, --group, --role/)
  await refuses("policy list --user ann --group b", 2, /name one of --user, --group, --role/)
  await says("policy detach reads --user ann", /detached/)
  await says("policy delete reads", /^deleted policy reads\n$/)
})

test("the simulator says why, and the validation names lines", async () => {
  await says("user create ann", /ann/)
  await says("policy set own read.json --user ann", /own/)
  await says(
    "policy simulate s3:GetObject photos/cat --user ann",
    new RegExp(
      `^allowed +yes\ncaller +${USER}/ann\n[^]*why +allowed by statement 1 \\(Read\\) of user ann: inline own\n$`,
    ),
  )
  await says("policy simulate s3:GetObject photos/cat --anonymous", /^allowed +no\ncaller +anonymous\n/)
  const Statement = [
    {
      ...READ.Statement[0],
      Condition: { IpAddress: { "aws:SourceIp": "192.0.2.0/24" }, StringEquals: { "aws:UserAgent": "x" } },
    },
  ]
  await writeFile(join(folder, "conditions.json"), JSON.stringify({ ...READ, Statement }))
  const conditional = "policy simulate s3:GetObject photos/cat --policy conditions.json"
  await says(`${conditional} --condition aws:SourceIp=192.0.2.1 --condition aws:UserAgent=x`, /^allowed +yes\n/)
  await says(`${conditional} --condition aws:SourceIp=192.0.2.1`, /^allowed +no\n/)
  await refuses(`${conditional} --condition aws:SourceIp`, 2, /--condition: "aws:SourceIp" is not KEY=VALUE/)
  await refuses(`${conditional} --user ann`, 2, /name one of --user, --role, --policy, --anonymous/)
  await says("policy validate read.json", /^no problems\n$/)
  const { code, out, error } = await hayloft("policy validate wrong.json")
  assert.equal(code, 1)
  assert.match(out, /^wrong\.json:\d+: error: .*effect.*\(\$\.Statement\[0\]/m)
  assert.match(error, /wrong\.json would be refused/)
})

test("an account is named with --account", async () => {
  await says("account create Team --id team", /team/)
  await says("user create ann --account team", /ann/)
  await says("role create job --trust trust.json --account team", /:role\/job\n$/)
  await says("role list --account team", / job /)
  await says("role list", /^CREATED +ROLE +SESSIONS +POLICIES +DESCRIPTION\n$/)
  await refuses("role list --account nobody", 3, /nobody/)
})

class ClockBehind extends RealClock {
  override wallMs(): number {
    return super.wallMs() - 10 * YEAR_MS
  }
}

test("a duration is over by the store's clock, however wrong that of the operator's machine is", async () => {
  const created: number[] = []
  for (const line of [
    "key create --expires 30d --json",
    "key import OFANOTHERSTORE --expires 30d --json",
    "token create laptop --scope read --expires 30d --json",
  ]) {
    const { code, out, error } = await operator(line.split(" "), {
      workingFolder: folder,
      clock: new ClockBehind(),
      input: Readable.from([Buffer.from("their-own-secret")]),
    })
    assert.equal(code, 0, error)
    created.push(EXPIRING.parse(JSON.parse(out)).expiresMs)
  }
  const storeMs = new RealClock().wallMs()
  for (const expiresMs of created) assert.ok(Math.abs(expiresMs - storeMs - 30 * DAY_MS) < DAY_MS)
})
